"""A passing fault of the token endpoint is waited out, and costs no login."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth import (
    FileStorage,
    Options,
    Unavailable,
)
from mcp_client_auth.protocol.flow import HttpResponse
from tests.support.session_world import (
    DOWN,
    KEY,
    TOKEN,
    Person,
    Program,
    World,
    credential,
    document,
    grant,
    logged_in,
    oauth_error,
)

pytestmark = pytest.mark.usefixtures("here_and_now")


PASSING = {
    "no connection": DOWN,
    "500": document({}, TOKEN, 500),
    "an empty 401 of a proxy": HttpResponse(401, TOKEN),
    "a captive portal": HttpResponse(200, TOKEN, (), b"<!doctype html><p>Sign in to the wifi"),
    "not JSON": HttpResponse(200, TOKEN, (), b"oops"),
    "no token": document({"access_token": ""}, TOKEN),
    "429": document({}, TOKEN, 429),
    "temporarily_unavailable": oauth_error("temporarily_unavailable"),
    "server_error": oauth_error("server_error"),
    "slow_down": oauth_error("slow_down"),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_passing_fault_is_waited_out_within_the_callers_patience(
    world: World, fault: Any
) -> None:
    program = logged_in(world, age=3601)
    world.faults = [fault]
    assert program.post() == 200
    assert world.clock.slept == [0.5]


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_after_a_passing_fault_the_record_is_the_same_byte_for_byte(
    world: World, fault: Any, tmp_path: Path
) -> None:
    storage = FileStorage(tmp_path)
    person = Person(world)
    program = Program(world, storage, person, options=Options(patience=0))
    storage.save(credential(world, age=3601))
    record = (tmp_path / f"{KEY.id}.secret").read_bytes()
    world.faults = [fault]
    with pytest.raises(Unavailable) as caught:
        program.post()
    assert (tmp_path / f"{KEY.id}.secret").read_bytes() == record
    assert caught.value.hint
    assert person.visits == []
    assert world.statuses == []


def test_the_pauses_double_and_end_with_the_patience(world: World) -> None:
    program = logged_in(world, age=3601)
    world.faults = [DOWN] * 9
    with pytest.raises(Unavailable):
        program.post()
    assert world.clock.slept == [0.5, 1.0, 2.0, 4.0]
    assert len(world.faults) == 4


def test_a_pause_is_never_longer_than_a_minute(world: World) -> None:
    program = logged_in(world, age=3601, arguments={"options": Options(patience=1000)})
    world.faults = [DOWN] * 12
    assert program.post() == 200
    assert max(world.clock.slept) == 60.0


def test_retry_after_is_kept_to_and_handed_on(world: World) -> None:
    program = logged_in(world, age=3601)
    world.faults = [document({}, TOKEN, 429, retry_after="7")]
    assert program.post() == 200
    assert world.clock.slept == [pytest.approx(7.7)]  # and a little more, by the dice


def test_a_retry_after_beyond_the_patience_fails_at_once(world: World) -> None:
    program = logged_in(world, age=3601)
    world.faults = [document({}, TOKEN, 503, retry_after="600")]
    with pytest.raises(Unavailable) as caught:
        program.post()
    assert caught.value.retry_after == 600
    assert world.clock.slept == []


def test_while_in_trouble_nothing_is_sent_to_the_token_endpoint(world: World) -> None:
    program = logged_in(world, age=3601)
    world.faults = [document({}, TOKEN, 503, retry_after="600")]
    for _ in range(3):
        with pytest.raises(Unavailable, match="HTTP 503"):
            program.post()
        world.clock.go(100)
    assert len(world.sent) == 1
    assert world.statuses == [], "a request went out without a token"


def test_trouble_is_over_with_the_first_answer(world: World) -> None:
    program = logged_in(world, age=3601)
    world.faults = [DOWN, DOWN, DOWN]
    assert program.post() == 200
    world.clock.slept.clear()
    world.clock.go(3601)
    world.faults = [DOWN]
    assert program.post() == 200
    assert world.clock.slept == [0.5], "the pauses begin anew"


def test_a_token_that_lives_goes_on_through_trouble(world: World) -> None:
    program = logged_in(world)
    program.post()
    world.clock.go(3600 - 30)
    world.faults = [document({}, TOKEN, 503, retry_after="10"), DOWN]
    for _ in range(10):
        assert program.post() == 200
        world.clock.go(2)
    assert world.refreshes == 1
    assert world.clock.slept == []


def test_a_token_that_dies_in_trouble_is_not_sent_any_more(world: World) -> None:
    program = logged_in(world)
    program.post()
    world.clock.go(3600 - 30)
    world.faults = [document({}, TOKEN, 503, retry_after="600")]
    program.post()
    world.clock.go(31)
    with pytest.raises(Unavailable):
        program.post()
    assert set(world.statuses) == {200}


class Patient(World):
    patience = 15.0


def test_the_answer_to_a_refresh_is_awaited_longer_than_any_other() -> None:
    """The server may have rotated the token, and then nothing else brings the login back."""
    world = Patient()
    program = Program(world, prompt=Person(world))
    assert program.post() == 200
    assert {request.lasting for request in world.sent} == {0.0}
    world.clock.go(3601)
    assert program.post() == 200
    assert world.sent[-1].url == TOKEN
    assert world.sent[-1].lasting > world.patience


def test_an_answer_that_was_lost_is_asked_for_again(world: World) -> None:
    """The one case in which a rotated refresh token comes back: nobody knows that it was."""
    program = logged_in(world, Person(world), age=3601)

    def lost() -> HttpResponse:
        world.authorization.token(dict(grant_type="refresh_token", **grant(program)))
        raise DOWN

    world.faults = [lost]
    assert program.post() == 200
    assert len(world.authorization.reused) == 1
