"""A stored credential has expired, and the world in which it is renewed has turned bad."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mcp_client_auth import AuthError, LoginRequired, Unavailable
from tests.support.hostile import (
    Behaviour,
    World,
    bomb,
    broken_gzip,
    cut,
    document,
    html,
    huge,
    noise,
    redirect,
    reset,
    text,
    tokens,
)
from tests.support.victim import SHORT, Victim, victim_of

pytestmark = pytest.mark.usefixtures("short_waits")


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with victim_of(tmp_path / "home") as victim:
        victim.expire()
        yield victim


def oauth(error: str, status: int = 400) -> Behaviour:
    return document({"error": error, "error_description": "it is old"}, status)


PASSING: dict[str, Callable[[World], Behaviour]] = {
    "hang": lambda world: world.hang,
    "drip": lambda world: world.drip,
    "reset": lambda world: reset,
    "cut": lambda world: cut,
    "noise": lambda world: noise,
    "huge": lambda world: huge,
    "bomb": lambda world: bomb,
    "broken gzip": lambda world: broken_gzip,
    "html": lambda world: html(),
    "html 400": lambda world: html(400),
    "html 401": lambda world: html(401),
    "empty 401": lambda world: text("", 401),
    "empty 404": lambda world: text("", 404),
    "500": lambda world: text("", 500),
    "503": lambda world: html(503),
    "429": lambda world: text("", 429),
    "temporarily_unavailable": lambda world: oauth("temporarily_unavailable"),
    "server_error": lambda world: oauth("server_error", 200),
    "slow_down": lambda world: oauth("slow_down"),
    "array": lambda world: document([]),
    "null": lambda world: document(None),
    "number": lambda world: document(7),
    "no token": lambda world: document({}),
    "empty token": lambda world: document(tokens(access_token="")),
    "a token for a key": lambda world: document(tokens(token_type="DPoP")),
    "another origin": lambda world: redirect(world.elsewhere + "/token", 307),
    "its own origin": lambda world: redirect("/token?again", 308),
    "an error that is no string": lambda world: document({"error": {"code": "invalid_grant"}}, 400),
}
SLOW = ("hang", "drip")


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_fault_keeps_the_record_and_asks_nobody(victim: Victim, name: str) -> None:
    victim.world.at("refresh", PASSING[name](victim.world))
    victim.http_timeout = SHORT if name in SLOW else Victim.http_timeout
    with victim.unharmed(Unavailable) as raised:
        victim.post()
    victim.http_timeout = Victim.http_timeout
    assert victim.world.visited == ["refresh"]
    assert victim.world.issuer in str(raised.value)
    victim.world.mend()
    assert victim.post().status_code == 200


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client", "unauthorized_client"])
@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_a_definite_no_ends_in_the_command_to_run(victim: Victim, error: str, status: int) -> None:
    victim.world.at("refresh", oauth(error, status))
    for _ in range(2):
        with pytest.raises(LoginRequired, match=r"Run: mcp-login http://127\.0\.0\.1") as raised:
            victim.post()
        assert "planted" not in str(raised.value)
    # a client may be known again after a second, so only that refusal is retried, once
    assert victim.world.visited.count("refresh") == (2 if error == "invalid_client" else 1)


@pytest.mark.parametrize("error", ["invalid_scope", "invalid_request", "invalid_target", "made_up"])
def test_any_other_no_keeps_the_record_and_needs_the_person(victim: Victim, error: str) -> None:
    victim.world.at("refresh", oauth(error))
    with victim.unharmed(LoginRequired):
        victim.post()


def test_the_refresh_token_goes_only_where_it_came_from(victim: Victim) -> None:
    """Discovery has turned bad as well; the refresh does not even look at it."""
    bad = victim.world.server_metadata(token_endpoint=victim.world.elsewhere + "/token")
    victim.world.at("server", document(bad))
    assert victim.post().status_code == 200
    assert victim.world.visited == ["refresh", "answer"]


def test_a_person_who_logs_in_anew_is_not_kept_out_by_a_dead_refresh(victim: Victim) -> None:
    victim.world.at("refresh", oauth("invalid_grant"))
    victim.log_in(force=False)
    assert victim.world.visited.count("authorize") == 1
    assert victim.post().status_code == 200


def test_a_person_who_logs_in_anew_is_told_that_the_server_is_away(victim: Victim) -> None:
    victim.world.at("refresh", html(503))
    with victim.unharmed(Unavailable):
        victim.log_in(force=False)
    assert victim.opened == []


@pytest.mark.parametrize("again", ["the same token", "another token"])
def test_a_server_that_refuses_what_a_refresh_gives_is_asked_for_one(
    tmp_path: Path, again: str
) -> None:
    """Some authorization servers return the same access token again until it expires."""
    with victim_of(tmp_path / "home") as victim:
        world = victim.world
        world.at("answer", text("", 401))
        if again == "another token":
            world.at("refresh", document(tokens(access_token="planted-other")))
        for _ in range(2):
            with suppress(AuthError):
                assert victim.post().status_code == 401
        assert world.visited.count("refresh") == 1
        assert world.visited.count("answer") <= 5
