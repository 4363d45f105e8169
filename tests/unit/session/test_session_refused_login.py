"""A login that the server refused is marked for every program on the store."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx
import pytest

from mcp_client_auth import (
    LoginRequired,
    MemoryStorage,
    StorageError,
    TokenRefused,
)
from mcp_client_auth.credential import Note
from tests.support.session_world import (
    KEY,
    SERVER,
    Person,
    Program,
    World,
    credential,
    logged_in,
)

pytestmark = pytest.mark.usefixtures("here_and_now")


def test_a_marked_login_is_not_handed_out_by_any_program_on_the_store(world: World) -> None:
    program = logged_in(world, age=60, refreshable=False)
    world.authorization.revoke_access()
    with pytest.raises(LoginRequired):
        program.post()
    for _ in range(2):
        with pytest.raises(LoginRequired, match="no longer accepts the login") as caught:
            Program(world, program.storage).session.fresh()
        assert "no longer accepts the access token, and it cannot be renewed" in caught.value.hint
    assert program.session._renewal.known.mark
    with pytest.raises(LoginRequired):
        program.session.fresh()
    with pytest.raises(LoginRequired):
        program.session.fresh(60)


def test_a_marked_token_is_sent_all_the_same_and_its_acceptance_ends_the_mark(
    world: World,
) -> None:
    program = logged_in(world, age=60, refreshable=False)
    access = dict(world.authorization.access)
    world.authorization.revoke_access()
    with pytest.raises(LoginRequired):
        program.post()
    world.authorization.access.update(access)
    other = Program(world, program.storage)
    assert other.post() == 200
    assert program.storage.load(Note(KEY, "refused")) is None
    assert Program(world, program.storage).session.fresh() == program.stored
    assert program.session.fresh() == program.stored, "and who had marked it sees that, too"


def test_the_first_reason_is_repeated_by_every_program(world: World) -> None:
    program = logged_in(world, age=60)
    world.authorization.revoke_everything()
    for each in (program, program, Program(world, program.storage)):
        with pytest.raises(LoginRequired, match="The token endpoint refused with “invalid_grant”"):
            each.post()
    with pytest.raises(LoginRequired, match="“invalid_grant”"):
        Program(world, program.storage).session.fresh()
    assert world.refreshes == 1


def test_the_reason_of_a_login_that_has_expired_is_the_true_one_after_a_restart(
    world: World,
) -> None:
    program = logged_in(world, age=3601)
    world.authorization.revoke_everything()
    with pytest.raises(LoginRequired, match="“invalid_grant”"):
        program.post()
    for _ in range(2):
        with pytest.raises(LoginRequired, match="“invalid_grant”"):
            Program(world, program.storage).post()
    person = Person(world)
    Program(world, program.storage, person).session.log_in()
    assert program.storage.load(Note(KEY, "ended")) is None


def marked_though_renewable(world: World) -> Program:
    """The server refuses whatever its authorization server issues, after it took it for long."""
    program = logged_in(world, age=60)
    world.authorization.refuses_fresh = True
    assert program.post() == 401
    assert program.session._renewal.known.mark
    return program


def test_within_the_cooling_time_nothing_is_refreshed_for_a_marked_login(world: World) -> None:
    program = marked_though_renewable(world)
    for each in (program, Program(world, program.storage)):
        with pytest.raises(LoginRequired, match="has just issued"):
            each.post()
        with pytest.raises(LoginRequired, match="has just issued"):
            each.session.fresh()
    assert world.refreshes == 1


def test_after_the_cooling_time_one_refresh_is_tried_and_a_second_mark_asks_at_once(
    world: World,
) -> None:
    program = marked_though_renewable(world)
    world.clock.go(61)
    person = Person(world)
    again = Program(world, program.storage, person)
    before = len(world.statuses)
    assert again.post() == 401, "the new login is refused as well"
    assert world.refreshes == 2
    assert len(person.visits) == 1
    assert len(world.statuses) == before + 5, "each new token was tried twice"


def test_after_the_cooling_time_a_server_that_accepts_again_needs_no_person(world: World) -> None:
    program = marked_though_renewable(world)
    world.clock.go(61)
    world.authorization.refuses_fresh = False
    assert Program(world, program.storage).post() == 200
    assert program.storage.load(Note(KEY, "refused")) is None


def test_tokens_with_a_short_life_do_not_outrun_a_mark(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person, age=3, lifetime=4.0)
    world.authorization.lifetime = 4
    world.authorization.refuses_fresh = True
    for _ in range(5):
        with suppress(TokenRefused):
            program.post()
        world.clock.go(5)
    assert len(person.visits) == 1


def test_an_explicit_login_tries_what_was_refused_a_minute_ago_before_it_asks(
    world: World,
) -> None:
    program = marked_though_renewable(world)
    world.clock.go(61)
    person = Person(world)
    asking = Program(world, program.storage, person)
    with pytest.raises(TokenRefused):
        asking.session.log_in()
    assert len(person.visits) == 1, "not “already logged in”"
    world.clock.go(61)
    world.authorization.refuses_fresh = False
    calm = Program(world, program.storage, person)
    assert calm.session.log_in() == calm.stored
    assert len(person.visits) == 1
    assert program.storage.load(Note(KEY, "refused")) is None


@pytest.mark.parametrize(
    ("url", "status", "ends"),
    [
        (SERVER, 200, True),
        (SERVER + "/", 202, True),
        (SERVER, 302, False),
        (SERVER, 403, False),
        (SERVER, 404, False),
        (SERVER, 405, False),
        (SERVER, 503, False),
        (SERVER, 429, False),
        ("https://mcp.example.com/health", 200, False),
    ],
)
def test_only_an_answer_that_shows_acceptance_ends_a_mark(
    world: World, url: str, status: int, ends: bool
) -> None:
    program = logged_in(world, age=60, refreshable=False)
    world.authorization.revoke_access()
    with pytest.raises(LoginRequired):
        program.post()
    program.client._transport = httpx.MockTransport(lambda request: httpx.Response(status))
    assert program.client.post(url, json={}).status_code == status
    assert (program.storage.load(Note(KEY, "refused")) is None) is ends


def test_the_end_of_a_servers_redirects_is_its_own_url_too(world: World) -> None:
    final = "https://mcp.example.com/v1/mcp"
    program = logged_in(world, age=60, refreshable=False, final_url=final)
    world.authorization.revoke_access()
    with pytest.raises(LoginRequired):
        program.client.post(final, json={})
    assert program.storage.load(Note(KEY, "refused"))


def test_a_mark_never_falls_on_a_newer_login(world: World) -> None:
    program = logged_in(world, age=60, refreshable=False)
    program.post()
    world.authorization.revoke_access()
    newer = replace(credential(world), generation=9)
    write = program.storage._save

    def late(value: Any, key: Any) -> None:
        if key == Note(KEY, "refused"):
            write(newer, KEY)
        write(value, key)

    program.storage._save = late  # type: ignore[method-assign]
    assert program.post() == 200
    assert Program(world, program.storage).session.fresh() == newer


def test_a_store_that_cannot_keep_a_mark_is_no_reason_to_fail(world: World) -> None:
    class ReadOnly(MemoryStorage):
        def _save(self, value: Any, key: Any) -> None:
            if isinstance(key, Note):
                raise StorageError("read-only")
            super()._save(value, key)

    storage = ReadOnly()
    program = Program(world, storage)
    storage.save(credential(world, age=60, refreshable=False))
    world.authorization.revoke_access()
    for _ in range(2):
        with pytest.raises(LoginRequired):
            program.post()
        with pytest.raises(LoginRequired):
            program.session.fresh()


def test_a_401_that_is_handed_back_is_told(world: World) -> None:
    program = marked_though_renewable(world)
    assert isinstance(program.auth.last_error, TokenRefused)
    assert "has just issued" in program.auth.last_error.summary
