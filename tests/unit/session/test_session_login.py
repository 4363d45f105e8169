"""A login asks a person once, is remembered, and is found by every other session."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth import (
    AuthorizationDenied,
    BadResponse,
    FileStorage,
    LoginFailed,
    LoginRequired,
    MemoryStorage,
    StorageError,
    TokenRefused,
    Unavailable,
)
from mcp_client_auth.credential import Note
from tests.support.codes import coded
from tests.support.session_world import (
    DOWN,
    ISSUER,
    KEY,
    OTHER,
    SERVER,
    TOKEN,
    Person,
    Program,
    World,
    credential,
    document,
    logged_in,
    meanwhile,
)

pytestmark = pytest.mark.usefixtures("here_and_now")


def test_a_login_is_remembered_across_restarts(world: World) -> None:
    storage = MemoryStorage()
    Program(world, storage, Person(world)).post()
    assert Program(world, storage).post() == 200
    assert world.statuses == [401, 200, 200]


def test_a_denied_login_is_not_asked_for_again_for_a_minute(world: World) -> None:
    person = Person(world, "deny")
    program = Program(world, prompt=person)
    for _ in range(3):
        with pytest.raises(AuthorizationDenied):
            program.post()
        world.clock.go(19)
    assert len(person.visits) == 1
    assert person.visits[0].ending == "denied"
    world.clock.go(10)
    person.decision = "allow"
    assert program.post() == 200


def test_a_login_that_nobody_answers_cools_down_for_every_process(world: World) -> None:
    storage, person = MemoryStorage(), Person(world, "timeout")
    for _ in range(3):
        with pytest.raises(LoginFailed, check=coded("timeout")):
            Program(world, storage, person).post()
    assert len(person.visits) == 1
    assert person.visits[0].ending == "failed"


def test_an_explicit_login_ends_the_cooling(world: World) -> None:
    storage, person = MemoryStorage(), Person(world, "deny")
    program = Program(world, storage, person)
    with pytest.raises(AuthorizationDenied):
        program.post()
    person.decision = "allow"
    Program(world, storage, person).session.log_in()
    assert program.post() == 200


def test_a_login_that_met_a_passing_fault_may_be_tried_again_at_once(world: World) -> None:
    person = Person(world)
    program = Program(world, prompt=person)
    world.faults = [DOWN]
    with pytest.raises(Unavailable):
        program.post()
    assert program.post() == 200
    assert program.storage.load(Note(KEY, "cooling")) is None


def test_a_new_login_ends_the_trouble_of_the_old_one(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person, age=3601)
    world.faults = [document({}, TOKEN, 503, retry_after="80000")]
    with pytest.raises(Unavailable):
        program.post()
    program.session.log_in(force=True)
    world.clock.go(3601)
    assert program.post() == 200


def test_a_login_made_elsewhere_is_found_before_anybody_is_asked(world: World) -> None:
    storage, person = MemoryStorage(), Person(world)
    first, second = Program(world, storage, person), Program(world, storage, person)
    assert second.session.current() is None
    first.post()
    assert second.post() == 200
    assert len(person.visits) == 1


def test_who_waited_for_a_login_of_a_short_lived_token_refreshes_it(world: World) -> None:
    """`expires_in: 0`: what the other one got has expired when the lease is ours."""
    storage, person = MemoryStorage(), Person(world)
    world.authorization.lifetime = 0
    first, second = Program(world, storage, person), Program(world, storage, person)
    with pytest.raises(LoginRequired):
        Program(world, storage).post()
    second.session.ports.storage.lock = meanwhile(  # type: ignore[method-assign]
        storage, lambda: first.post()
    )
    assert second.post() == 200
    assert len(person.visits) == 1


def test_a_login_waits_for_one_that_another_program_has_begun(world: World) -> None:
    """Whatever version of this one it is: they agree on the name of the lease."""
    person = Person(world)
    program = Program(world, prompt=person)
    thread = threading.Thread(target=program.session.log_in)
    with program.storage.lock(KEY, "login"):
        thread.start()
        while thread.is_alive() and "waiting" not in [event.name for event in program.events]:
            time.sleep(0.01)
        assert person.visits == []
    thread.join(60)
    assert len(person.visits) == 1


def test_closing_aborts_a_waiting_login_which_then_may_be_begun_again(world: World) -> None:
    person = Person(world, "wait")
    program = Program(world, prompt=person)
    failed: list[BaseException] = []

    def post() -> None:
        with pytest.raises(LoginFailed, match="aborted") as caught:
            program.post()
        failed.append(caught.value)

    thread = threading.Thread(target=post)
    thread.start()
    person.asked.result(60)
    program.auth.close()
    thread.join(60)
    assert failed
    person.decision = "allow"
    assert program.post() == 200


def test_closing_with_nothing_under_way_changes_nothing(world: World) -> None:
    program = logged_in(world)
    program.auth.close()
    assert program.post() == 200


def test_the_authorization_server_moves(world: World) -> None:
    """Nothing of the old one reaches the new one; the old record stays until the login is done."""
    person = Person(world, "deny")
    program = Program(world, prompt=Person(world))
    program.post()
    old = program.stored
    world.issuer = OTHER
    world.servers[ISSUER].revoke_everything()
    world.clock.go(60)
    again = Program(world, program.storage, person)
    with pytest.raises(AuthorizationDenied):
        again.post()
    assert program.stored.issuer == ISSUER
    assert program.stored.tokens.access_token == old.tokens.access_token
    world.clock.go(61)
    person.decision = "allow"
    assert again.post() == 200
    assert program.stored.issuer == OTHER
    sent = [r.body + repr(r.headers).encode() for r in world.sent if r.url.startswith(OTHER)]
    assert old.tokens.refresh_token is not None
    for secret in (old.tokens.access_token, old.tokens.refresh_token):
        assert not [body for body in sent if secret.reveal().encode() in body]
    assert old.client.client_id not in {f["client_id"] for f in world.authorization.forms}


def test_the_authorization_server_of_tokens_without_a_lifetime_moves(world: World) -> None:
    person = Person(world)
    program = Program(world, prompt=person)
    world.servers[ISSUER].lifetime = 0
    program.post()
    world.issuer = OTHER
    assert [program.post(), program.post()] == [401, 200]
    assert program.stored.issuer == OTHER


def test_an_explicit_login_with_a_usable_credential_asks_nobody(world: World) -> None:
    program = logged_in(world)
    assert program.session.log_in() == program.stored
    assert world.sent == []


def test_an_explicit_login_refreshes_what_has_expired(world: World) -> None:
    program = logged_in(world, age=3601)
    program.session.log_in()
    assert world.refreshes == 1


def test_a_damaged_record_is_replaced_by_an_explicit_login(world: World, tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    program = Program(world, storage, Person(world))
    storage.save(credential(world))
    (tmp_path / f"{KEY.id}.secret").write_text("{")
    with pytest.raises(StorageError):
        program.post()
    program.session.log_in()
    assert program.post() == 200


@pytest.mark.parametrize("fault", [DOWN, BadResponse("larger than 1 MiB")])
def test_a_login_whose_last_request_fails_says_that_it_is_kept(world: World, fault: Any) -> None:
    program = Program(world, prompt=Person(world))
    probes: list[int] = []

    def transport(request: Any) -> Any:
        probes.append(request.url == SERVER)
        if sum(probes) == 2 and request.url == SERVER:
            raise fault
        return world(request)

    object.__setattr__(program.session.ports, "transport", transport)
    with pytest.raises(type(fault), match="The login is kept"):
        program.session.log_in()
    assert program.post() == 200


def test_an_explicit_login_to_a_server_that_refuses_the_fresh_token_says_so(world: World) -> None:
    program = Program(world, prompt=Person(world))
    world.authorization.refuses_fresh = True
    with pytest.raises(TokenRefused, match="has just issued"):
        program.session.log_in()
