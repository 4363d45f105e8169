"""When a token is renewed: ahead of its end, early on demand, and under clocks that jump."""

from __future__ import annotations

import pytest

from mcp_client_auth import (
    LoginRequired,
    Options,
    Unavailable,
)
from mcp_client_auth.session.renewal import draw
from tests.support.session_world import (
    DAY,
    TOKEN,
    Person,
    Program,
    World,
    document,
    logged_in,
    without_threads,
)

pytestmark = pytest.mark.usefixtures("here_and_now")


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("lifetime", [5.0, 10.0, 300.0, 3600.0, 30 * DAY])
def test_renewal_is_due_at_most_a_tenth_of_the_lifetime_before_expiry(
    world: World, lifetime: float, jitter: float
) -> None:
    with without_threads(jitter):
        most = min(360.0, 0.1 * lifetime)
        margin = most if lifetime < 10 else 1 + (most - 1) * jitter
        program = logged_in(world, lifetime=lifetime)
        program.post()
        world.clock.go(lifetime - margin - 0.001)
        program.post()
        assert world.refreshes == 0
        world.clock.go(0.002)
        assert program.post() == 200
        assert world.refreshes == 1


def test_the_margin_is_drawn_anew_for_each_token(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_client_auth.session.renewal.draw", draw)
    program, margins = logged_in(world), set()
    for _ in range(20):
        program.post()
        held, due = program.session._renewal.known.current, program.session._renewal.known.due
        assert held
        assert held.tokens.expires_at
        margins.add(held.tokens.expires_at - due)
        world.clock.go(3601)
    assert len(margins) > 15
    assert 1 <= min(margins) <= max(margins) <= 360


def test_a_due_token_still_serves_the_request_that_begins_its_renewal(world: World) -> None:
    program = logged_in(world)
    program.post()
    old = program.stored.tokens.access_token.reveal()
    world.clock.go(3600 - 30)
    program.post()
    program.post()
    assert world.bearers[:2] == [old, old]
    assert world.bearers[2] == program.stored.tokens.access_token.reveal() != old


def test_an_expired_token_is_never_sent(world: World) -> None:
    program = logged_in(world)
    program.post()
    world.clock.go(3601)
    assert program.post() == 200
    assert world.statuses == [200, 200]


def test_a_token_without_expiry_is_used_until_it_is_refused(world: World) -> None:
    program = logged_in(world, lifetime=None)
    world.clock.go(5 * DAY)
    assert program.post() == 200
    world.authorization.revoke_access()
    assert program.post() == 200
    assert world.statuses == [200, 401, 200]
    assert world.refreshes == 1


def test_a_token_that_cannot_be_renewed_is_used_to_its_end(world: World) -> None:
    program = logged_in(world, refreshable=False)
    world.clock.go(3599)
    assert program.post() == 200
    world.clock.go(2)
    with pytest.raises(LoginRequired):
        program.post()
    assert world.bearers[1:] == [""], "an expired token was sent"


@pytest.mark.parametrize("lifetime", [0, -5, "0"], ids=["zero", "negative", "text"])
def test_a_new_token_is_used_once_whatever_expires_in_says(world: World, lifetime: object) -> None:
    world.authorization.lifetime = lifetime
    person = Person(world)
    program = Program(world, prompt=person)
    assert [program.post(), program.post()] == [200, 200]
    assert world.statuses == [401, 200, 200]
    assert world.refreshes == 1
    assert len(person.visits) == 1


@pytest.mark.parametrize("lifetime", [None, "3600", 1e17, 3600.5])
def test_any_expires_in_gives_a_token_that_is_used_again(world: World, lifetime: object) -> None:
    world.authorization.lifetime = lifetime
    program = Program(world, prompt=Person(world))
    assert [program.post(), program.post()] == [200, 200]
    assert world.refreshes == 0


def test_a_clock_set_back_by_a_day_costs_nothing_while_the_token_lives(world: World) -> None:
    program = logged_in(world)
    program.post()
    world.clock.wall -= DAY
    assert program.post() == 200
    assert world.refreshes == 0


def test_after_a_clock_was_set_back_a_refused_token_is_refreshed(world: World) -> None:
    program = logged_in(world)
    program.post()
    world.clock.wall -= DAY
    world.authorization.revoke_access()
    assert program.post() == 200
    assert world.refreshes == 1


def test_a_clock_that_jumps_a_day_ahead_costs_one_refresh(world: World) -> None:
    program = logged_in(world)
    program.post()
    world.clock.wall += DAY
    assert [program.post(), program.post()] == [200, 200]
    assert world.refreshes == 1


def test_a_backoff_does_not_follow_the_wall_clock(world: World) -> None:
    program = logged_in(world, arguments={"options": Options(patience=0)})
    program.post()
    world.clock.go(3601)
    world.faults = [document({}, TOKEN, 503, retry_after="30")]
    with pytest.raises(Unavailable):
        program.post()
    world.clock.wall += DAY
    with pytest.raises(Unavailable):
        program.post()
    world.clock.steady += 34
    assert program.post() == 200


@pytest.mark.parametrize("age", [60, 3601], ids=["fresh", "expired"])
def test_an_explicit_refresh_is_one_request(world: World, age: float) -> None:
    program = logged_in(world, age=age)
    assert program.session.refresh() == program.stored
    assert world.refreshes == 1


def test_a_token_that_lives_long_enough_is_handed_out_as_it_is(world: World) -> None:
    program = logged_in(world)
    assert program.session.fresh(3000) == program.stored
    assert world.refreshes == 0


def test_a_token_that_ends_too_soon_is_renewed_early(world: World) -> None:
    program = logged_in(world, age=1000)
    held = program.session.fresh(3000)
    assert held == program.stored
    assert world.refreshes == 1


def test_a_token_with_less_life_than_asked_for_is_handed_out_once_renewed(world: World) -> None:
    world.authorization.lifetime = 60
    program = logged_in(world, lifetime=60)
    program.session.fresh(3000)
    assert world.refreshes == 1


def test_without_a_login_there_is_no_token(world: World) -> None:
    with pytest.raises(LoginRequired, match="you are not logged in to"):
        Program(world).session.fresh()
