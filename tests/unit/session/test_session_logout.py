"""A logout revokes, forgets, and ends what was under way."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from mcp_client_auth import (
    AuthorizationDenied,
    LoggedOut,
    LoginRequired,
)
from tests.support.session_world import (
    KEY,
    Person,
    Program,
    World,
    logged_in,
)

pytestmark = pytest.mark.usefixtures("here_and_now")


def test_a_logout_revokes_and_forgets(world: World) -> None:
    program = logged_in(world)
    program.post()
    assert program.session.log_out() == LoggedOut(True, revoked=True)
    assert program.storage.load(KEY) is None
    assert all(family.revoked for family in world.authorization.refresh.values())
    assert program.session.log_out() == LoggedOut(False)
    with pytest.raises(LoginRequired):
        program.post()
    assert world.bearers[-1] == ""


def test_a_logout_that_reaches_nobody_forgets_all_the_same(world: World) -> None:
    program = logged_in(world, revocation_endpoint="")
    done = program.session.log_out()
    assert (done.found, done.revoked) == (True, None)
    assert done.trouble == ("the authorization server offers no revocation",)
    assert program.storage.load(KEY) is None


def test_a_logout_elsewhere_ends_this_session_with_its_token(world: World) -> None:
    program = logged_in(world)
    program.post()
    Program(world, program.storage).session.log_out()
    with pytest.raises(LoginRequired):
        program.post()
    assert world.refreshes == 0


def test_a_logout_ends_the_cooling(world: World) -> None:
    person = Person(world, "deny")
    program = Program(world, prompt=person)
    with pytest.raises(AuthorizationDenied):
        program.post()
    program.session.log_out()
    person.decision = "allow"
    assert program.post() == 200


def test_a_logout_during_a_refresh_waits_for_it_and_ends_what_it_brought(world: World) -> None:
    program = logged_in(world, age=3601)
    done: list[LoggedOut] = []
    out = threading.Thread(target=lambda: done.append(program.session.log_out()))

    def slow() -> None:
        out.start()
        out.join(0.05)
        assert out.is_alive(), "the logout did not wait for the lock"

    world.faults = [slow]
    with suppress(LoginRequired):  # the logout may end the token before the request is answered
        program.post()
    out.join(60)
    assert done == [LoggedOut(True, revoked=True)]
    assert program.storage.load(KEY) is None
    assert all(family.revoked for family in world.authorization.refresh.values())
