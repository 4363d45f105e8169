"""What a refused refresh token, client or grant ends, and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_client_auth import (
    LoginRequired,
)
from mcp_client_auth.protocol.flow import HttpResponse
from tests.support.session_world import (
    Person,
    Program,
    World,
    credential,
    logged_in,
    oauth_error,
)

pytestmark = pytest.mark.usefixtures("here_and_now")


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
@pytest.mark.parametrize("code", ["invalid_grant", "unauthorized_client"])
def test_a_definite_rejection_ends_the_refresh_token_at_any_status(
    world: World, code: str, status: int
) -> None:
    program = logged_in(world, age=3601)
    world.faults = [oauth_error(code, status)]
    for _ in range(2):
        with pytest.raises(LoginRequired):
            program.post()
    assert program.stored.tokens.refresh_token is None
    assert len(world.sent) == 1


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
def test_a_client_that_is_unknown_once_is_known_again_after_a_second(
    world: World, status: int
) -> None:
    program = logged_in(world, age=3601)
    world.faults = [oauth_error("invalid_client", status)]
    assert program.post() == 200
    assert world.clock.slept == [1.0]
    refused = next(event for event in program.events if event.name == "refresh")
    assert "invalid_client" in refused.detail
    assert refused.status == status


def test_a_client_that_stays_unknown_keeps_its_refresh_token_which_is_sent_once_a_minute(
    world: World,
) -> None:
    program = logged_in(world, age=3601)
    record = program.stored
    world.faults = [oauth_error("invalid_client")] * 3
    for _ in range(3):
        with pytest.raises(LoginRequired, match="no longer knows this client") as raised:
            program.post()
        assert "a new login registers another" in raised.value.hint
        assert "secret" not in raised.value.hint, "it has none to check"
    assert len(world.sent) == 2
    assert program.stored == record
    world.clock.go(61)
    with pytest.raises(LoginRequired):
        program.post()
    assert len(world.sent) == 3
    world.clock.go(61)
    assert program.post() == 200, "the server has found its clients again"


@pytest.mark.parametrize("code", ["invalid_client", "invalid_scope"])
def test_what_one_process_was_told_of_a_refresh_token_counts_for_all_of_them(
    world: World, code: str
) -> None:
    program = logged_in(world, age=3601)
    world.faults = [oauth_error(code)] * 9
    for _ in range(3):
        with pytest.raises(LoginRequired, match=code):
            Program(world, program.storage).session.fresh()
    assert len(world.sent) == (2 if code == "invalid_client" else 1)
    with pytest.raises(LoginRequired, match=code):
        Program(world, program.storage).session.refresh()
    assert len(world.sent) == (4 if code == "invalid_client" else 2), "asked for, it is tried"
    world.clock.go(61)
    world.faults.clear()
    assert Program(world, program.storage).post() == 200


def test_a_clock_that_was_set_back_does_not_keep_a_refresh_token_unused(world: World) -> None:
    program = logged_in(world, age=3601)
    world.faults = [oauth_error("invalid_scope")]
    with pytest.raises(LoginRequired):
        program.post()
    world.clock.wall -= 100
    program.storage.save(credential(world, age=3601))
    assert Program(world, program.storage).post() == 200


def test_the_look_before_an_unknown_client_is_tried_again_finds_what_another_has_renewed(
    world: World,
) -> None:
    program = logged_in(world, age=3601)
    sleep = world.clock.sleep

    def meanwhile(seconds: float) -> None:
        sleep(seconds)
        program.storage.save(replace(credential(world), generation=5))

    object.__setattr__(program.session.ports, "sleep", meanwhile)
    world.faults = [oauth_error("invalid_client")]
    assert program.post() == 200
    assert len(world.sent) == 1


@pytest.mark.parametrize("code", ["invalid_request", "invalid_scope", "invalid_target", "what"])
def test_any_other_oauth_error_keeps_the_record_and_asks_the_person(
    world: World, code: str
) -> None:
    program = logged_in(world, age=3601)
    record = program.stored
    world.faults = [oauth_error(code)] * 2
    for _ in range(2):
        with pytest.raises(LoginRequired):
            program.post()
    assert len(world.sent) == 1, "sent once per cooling time"
    assert program.stored == record
    world.clock.go(61)
    with pytest.raises(LoginRequired):
        program.post()
    assert len(world.sent) == 2
    person = Person(world)
    assert Program(world, program.storage, person).post() == 200
    assert len(person.visits) == 1


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_scope"])
def test_a_refused_renewal_leaves_the_token_to_its_end(world: World, code: str) -> None:
    program = logged_in(world)
    program.post()
    world.clock.go(3600 - 30)
    world.faults = [oauth_error(code)]
    assert [program.post() for _ in range(4)] == [200] * 4
    assert len(world.sent) == 1
    world.clock.go(31)
    world.faults = [oauth_error(code)] * 2
    with pytest.raises(LoginRequired):
        program.post()
    assert world.statuses[-1:] == [401]
    assert world.bearers[-1] == "", "an expired token was sent"


def test_a_refusal_ends_only_the_record_that_failed(world: World) -> None:
    program = logged_in(world, age=3601)
    newer = replace(credential(world), generation=5)

    def meanwhile() -> HttpResponse:
        program.storage.save(newer)
        return oauth_error("invalid_grant")

    world.faults = [meanwhile]
    assert program.post() == 200
    assert program.stored == newer
    assert world.bearers == [newer.tokens.access_token.reveal()]


def test_a_dead_client_is_forgotten_with_its_grant(world: World) -> None:
    person = Person(world)
    program = Program(world, prompt=person)
    program.post()
    world.authorization.known.clear()
    world.clock.go(3601)
    assert program.post() == 200
    assert len(world.authorization.registrations) == 2
    assert len(person.visits) == 2


def test_a_client_that_was_unknown_once_is_not_registered_again(world: World) -> None:
    person = Person(world)
    program = Program(world, prompt=person)
    program.post()
    world.clock.go(3601)
    world.faults = [oauth_error("invalid_client")]
    assert program.post() == 200
    program.session.log_in(force=True)
    assert len(world.authorization.registrations) == 1
