"""A new login beside one in use takes its place once the server has accepted it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_client_auth import (
    Credential,
    FileStorage,
    InsufficientScope,
    MemoryStorage,
    Storage,
    StorageError,
    TokenRefused,
    Unavailable,
)
from mcp_client_auth.credential import Key
from tests.support.session_world import (
    KEY,
    SERVER,
    Person,
    Program,
    World,
    credential,
)

pytestmark = pytest.mark.usefixtures("here_and_now")


@pytest.fixture(params=["memory", "file"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return MemoryStorage() if request.param == "memory" else FileStorage(tmp_path)


@pytest.fixture
def program(world: World, storage: Storage) -> Program:
    """Logged in, and somebody may be asked for another login."""
    program = Program(world, storage, Person(world))
    storage.save(credential(world, age=60))
    return program


def only(program: Program, *, status: int = 401, times: int = 1000) -> Credential:
    """Hereafter the server accepts the login that is there, and no other so many times."""
    held, answer, left = program.stored, program.world.answer, [times]

    def partial(authorization: str, *needed: str) -> httpx.Response:
        ours = authorization == f"Bearer {held.tokens.access_token.reveal()}"
        if not authorization or ours or left[0] <= 0:
            return answer(authorization, *needed)
        left[0] -= 1
        headers = {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="more"'}
        return httpx.Response(status, headers=headers)

    program.world.answer = partial  # type: ignore[method-assign]
    return held


def waiting(program: Program) -> Credential | None:
    return program.storage.load(program.session.key.beside)


def revoked(world: World) -> int:
    return sum(request.url.endswith("/revoke") for request in world.sent)


def test_a_new_login_that_is_accepted_takes_the_place(program: Program) -> None:
    old = program.stored
    fresh = program.session.log_in(force=True)
    assert program.stored == fresh
    assert fresh.key == KEY
    assert fresh.generation == old.generation + 1
    assert waiting(program) is None
    assert program.post() == 200
    assert program.world.statuses == [401, 200, 200], "its acceptance is asked for once"


def test_a_new_login_that_is_refused_is_dropped_and_the_old_one_stays(
    program: Program, world: World
) -> None:
    old = only(program)
    with pytest.raises(TokenRefused, match="The login that was there is kept and in use"):
        program.session.log_in(force=True)
    assert program.stored == old
    assert waiting(program) is None
    assert revoked(world) == 0
    assert world.clock.slept == [1.0], "once more, for a replica may lag"
    assert program.post() == 200
    assert Program(world, program.storage).post() == 200


def test_a_replica_that_lags_costs_a_new_login_a_second(program: Program, world: World) -> None:
    only(program, times=1)
    fresh = program.session.log_in(force=True)
    assert program.stored == fresh
    assert world.clock.slept == [1.0]


def test_a_new_login_whose_token_ends_on_the_way_is_kept_and_renewed(
    program: Program, world: World
) -> None:
    """A machine that sleeps, or is busy: the server refuses what was good when it was sent."""
    old = only(program, times=2)
    resource = world.answer

    def late(authorization: str, *needed: str) -> httpx.Response:
        if authorization and world.clock.wall < old.tokens.issued_at + 3600:
            world.clock.go(3600)
        return resource(authorization, *needed)

    world.answer = late  # type: ignore[method-assign]
    assert program.session.log_in(force=True) == program.stored != old
    assert waiting(program) is None
    assert world.refreshes == 1
    assert program.post() == 200


def test_one_that_ended_and_cannot_be_renewed_takes_the_place_of_none(
    program: Program, world: World
) -> None:
    old = only(program)
    resource, world.authorization.refreshable = world.answer, False

    def late(authorization: str, *needed: str) -> httpx.Response:
        if authorization and world.clock.wall < old.tokens.issued_at + 3600:
            world.clock.go(3600)
        return resource(authorization, *needed)

    world.answer = late  # type: ignore[method-assign]
    with pytest.raises(TokenRefused, match="The login that was there is kept and in use"):
        program.session.log_in(force=True)
    assert program.stored == old
    assert waiting(program) is None


def test_a_new_login_with_too_little_scope_is_dropped(program: Program, world: World) -> None:
    old = only(program, status=403)
    with pytest.raises(InsufficientScope, match="The login that was there is kept and in use"):
        program.session.log_in(force=True)
    assert program.stored == old
    assert waiting(program) is None


@pytest.mark.parametrize("status", [200, 400, 404, 405, 406])
def test_any_other_answer_accepts_it(program: Program, status: int) -> None:
    old = only(program, status=status)
    assert program.session.log_in(force=True) == program.stored != old


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_answer_that_says_nothing_of_it_keeps_it(program: Program, status: int) -> None:
    old = only(program, status=status)
    program.session.log_in(force=True)
    assert program.stored.tokens.access_token != old.tokens.access_token
    assert waiting(program) is None


def test_without_an_answer_it_is_kept(program: Program, world: World) -> None:
    old, resource = program.stored, world.answer

    def down(authorization: str, *needed: str) -> httpx.Response:
        if authorization:
            raise Unavailable("no answer")
        return resource(authorization, *needed)

    world.answer = down  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="The login is kept"):
        program.session.log_in(force=True)
    assert program.stored.tokens.access_token != old.tokens.access_token
    assert waiting(program) is None


def test_what_replaces_a_dead_login_waits_for_nothing(program: Program, world: World) -> None:
    world.authorization.revoke_everything()
    saved: list[Key] = []
    save = program.storage._save

    def note(value: Any, key: Any) -> None:
        if isinstance(key, Key):
            saved.append(key)
        save(value, key)

    program.storage._save = note  # type: ignore[method-assign]
    assert program.post() == 200
    assert set(saved) == {KEY}


def test_a_step_up_that_is_refused_keeps_the_old_login(program: Program, world: World) -> None:
    old = only(program)
    with pytest.raises(TokenRefused):
        program.post("write")
    assert program.stored == old
    assert program.post() == 200
    with pytest.raises(TokenRefused):
        program.post("write")
    assert isinstance(program.session.prompt, Person)
    assert len(program.session.prompt.visits) == 1, "remembered for a while"


@pytest.mark.parametrize("granted", [(), ("read",)], ids=["nothing", "less"])
def test_a_step_up_that_only_takes_scopes_away_keeps_the_old_login(
    program: Program, world: World, granted: tuple[str, ...]
) -> None:
    program.storage.save(credential(world, scope=("read", "list"), age=60, generation=1))
    old = program.stored
    world.authorization.granting = lambda asked: granted
    for _ in range(2):
        with pytest.raises(InsufficientScope, match="The login that was there is kept and in use"):
            program.post("write")
    assert program.stored == old
    assert waiting(program) is None
    assert program.post("list") == 200
    assert revoked(world) == 0
    assert isinstance(program.session.prompt, Person)
    assert len(program.session.prompt.visits) == 1, "remembered for a while"
    world.authorization.granting = lambda asked: asked
    world.clock.go(61)
    assert program.post("write") == 200


def test_a_step_up_without_its_scope_does_not_cost_the_refresh_token(
    program: Program, world: World
) -> None:
    """A server that gives one at the first consent only."""
    old, world.authorization.refreshable = program.stored, False
    world.authorization.granting = lambda asked: ("read",)
    with pytest.raises(InsufficientScope, match="The login that was there is kept and in use"):
        program.post("write")
    assert program.stored == old
    world.authorization.granting = lambda asked: asked
    world.clock.go(61)
    assert program.post("write") == 200
    assert not program.stored.renewable


def test_a_step_up_that_gave_something_else_takes_the_place(program: Program, world: World) -> None:
    """Only the server knows what its scopes mean."""
    old = program.stored
    world.authorization.granting = lambda asked: ("https://mcp.example.com/write",)
    with pytest.raises(InsufficientScope):
        program.post("write")
    assert program.stored != old
    assert program.stored.tokens.scope == ("https://mcp.example.com/write",)


class Killed(BaseException):
    """The process is gone."""


def killed_before_the_answer(program: Program) -> None:
    resource = program.world.answer

    def die(authorization: str, *needed: str) -> httpx.Response:
        if authorization:
            raise Killed
        return resource(authorization, *needed)

    program.world.answer = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        program.session.log_in(force=True)
    program.world.answer = resource  # type: ignore[method-assign]


def test_a_crash_before_the_answer_costs_neither(program: Program, world: World) -> None:
    old = program.stored
    killed_before_the_answer(program)
    assert program.stored == old
    left = waiting(program)
    assert left
    again = Program(world, program.storage, person := Person(world))
    assert again.post() == 200
    world.authorization.access.pop(old.tokens.access_token.reveal())
    assert old.tokens.refresh_token
    world.authorization.refresh[old.tokens.refresh_token.reveal()].revoked = True
    assert again.post() == 200
    assert person.visits == [], "what was waiting serves"
    assert again.stored.tokens.access_token == left.tokens.access_token
    assert waiting(program) is None


def test_what_a_crash_has_left_and_the_server_refuses_is_dropped(
    program: Program, world: World
) -> None:
    killed_before_the_answer(program)
    world.authorization.revoke_everything()
    person = Person(world)
    assert Program(world, program.storage, person).post() == 200
    assert len(person.visits) == 1
    assert waiting(program) is None


def test_what_waits_is_in_no_list_and_a_logout_ends_it_too(program: Program, world: World) -> None:
    killed_before_the_answer(program)
    assert [entry.key for entry in program.storage.list()] == [KEY]
    world.clock.go(3601)
    program.session.log_out()
    assert waiting(program) is None
    assert all(family.revoked for family in world.authorization.refresh.values())
    assert program.storage.list() == []


def test_what_waits_and_cannot_be_read_is_in_nobodys_way(world: World, tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    program = Program(world, storage, Person(world))
    storage.save(credential(world, age=60))
    killed_before_the_answer(program)
    (tmp_path / f"{KEY.beside.id}.secret").write_text("{")
    world.authorization.revoke_everything()
    assert program.post() == 200
    assert storage.summary(KEY.beside) is None


def test_a_store_that_cannot_keep_the_new_one_keeps_the_old(program: Program, world: World) -> None:
    old, save = program.stored, program.storage._save

    def full(value: Any, key: Any) -> None:
        if isinstance(key, Key) and key.waits:
            raise StorageError("the disk is full")
        save(value, key)

    program.storage._save = full  # type: ignore[method-assign]
    with pytest.raises(StorageError):
        program.session.log_in(force=True)
    assert program.stored == old
    assert program.post() == 200


def test_the_command_and_the_library_agree_on_where_it_waits() -> None:
    assert KEY.beside.waits
    assert not KEY.waits
    assert KEY.beside.place == KEY
    assert KEY.beside.id != KEY.id
    assert KEY.server == SERVER
