"""The browser comes back with an answer that is wrong, forged or missing: no code is exchanged."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from hostile import html
from victim import Victim, victim_of

from mcp_client_auth import (
    AuthError,
    AuthorizationDenied,
    BadResponse,
    IssuerMismatch,
    LoginFailed,
    Unavailable,
)

Changes = dict[str, str | None]
DENIED: Changes = {"code": None, "error": "access_denied"}
ANSWERS: dict[str, tuple[Changes, type[AuthError], str]] = {
    "denied": (DENIED, AuthorizationDenied, "denied"),
    "another error": ({**DENIED, "error": "no"}, AuthorizationDenied, "“no”"),
    "in trouble": ({**DENIED, "error": "server_error"}, Unavailable, "try again"),
    "denied by another issuer": ({**DENIED, "iss": "https://evil.example"}, IssuerMismatch, "evil"),
    "a wrong iss": ({"iss": "https://evil.example"}, IssuerMismatch, "evil.example"),
    "no iss": ({"iss": None}, IssuerMismatch, "got none"),
    "another iss": ({"iss": "/"}, IssuerMismatch, "expected"),
    "no code": ({"code": None}, BadResponse, "“code”"),
    "an empty code": ({"code": ""}, BadResponse, "“code”"),
    "a wrong state": ({"state": "wrong"}, LoginFailed, "nobody signed in"),
    "no state": ({"state": None}, LoginFailed, "nobody signed in"),
    "a denial without state": ({**DENIED, "state": None}, LoginFailed, "nobody signed in"),
}


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with victim_of(tmp_path / "home") as victim:
        yield victim


@pytest.mark.parametrize("name", ANSWERS)
def test_it_ends_in_one_error_and_nothing_is_exchanged(victim: Victim, name: str) -> None:
    changes, expected, words = ANSWERS[name]
    victim.world.at("authorize", victim.world.callback(**changes))
    with victim.unharmed(expected) as raised:
        victim.log_in(login_timeout=0.6)
    assert words in str(raised.value)
    assert raised.value.url == victim.world.issuer + "/authorize"
    assert "token" not in victim.world.visited


def test_a_callback_that_never_comes_ends_by_the_clock(victim: Victim) -> None:
    victim.world.at("authorize", html())
    with victim.unharmed(LoginFailed) as raised:
        victim.log_in(login_timeout=0.6)
    assert "nobody signed in within" in str(raised.value)
