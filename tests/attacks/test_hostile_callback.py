"""The browser comes back with an answer that is wrong, forged or missing: no code is exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_client_auth import (
    AuthError,
    AuthorizationDenied,
    BadResponse,
    IssuerMismatch,
    LoginFailed,
    Unavailable,
)
from tests.support.hostile import html
from tests.support.victim import Victim, victim_of

Changes = dict[str, str | None]
DENIED: Changes = {"code": None, "error": "access_denied"}
ANSWERS: dict[str, tuple[Changes, type[AuthError], str]] = {
    "denied": (DENIED, AuthorizationDenied, "access_denied"),
    "another error": ({**DENIED, "error": "no"}, AuthorizationDenied, "no"),
    "in trouble": ({**DENIED, "error": "server_error"}, Unavailable, "server_error"),
    "denied by another issuer": (
        {**DENIED, "iss": "https://evil.example"},
        IssuerMismatch,
        "issuer_mismatch",
    ),
    "a wrong iss": ({"iss": "https://evil.example"}, IssuerMismatch, "issuer_mismatch"),
    "no iss": ({"iss": None}, IssuerMismatch, "issuer_mismatch"),
    "another iss": ({"iss": "/"}, IssuerMismatch, "issuer_mismatch"),
    "no code": ({"code": None}, BadResponse, "bad_response"),
    "an empty code": ({"code": ""}, BadResponse, "bad_response"),
    "a wrong state": ({"state": "wrong"}, LoginFailed, "timeout"),
    "no state": ({"state": None}, LoginFailed, "timeout"),
    "a denial without state": ({**DENIED, "state": None}, LoginFailed, "timeout"),
}


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with victim_of(tmp_path / "home") as victim:
        yield victim


@pytest.mark.parametrize("name", ANSWERS)
def test_it_ends_in_one_error_and_nothing_is_exchanged(victim: Victim, name: str) -> None:
    changes, expected, code = ANSWERS[name]
    victim.world.at("authorize", victim.world.callback(**changes))
    with victim.unharmed(expected) as raised:
        victim.log_in(login_timeout=0.6 if expected is LoginFailed else 40)
    assert raised.value.code == code
    assert raised.value.url == victim.world.issuer + "/authorize"
    assert "token" not in victim.world.visited


def test_a_callback_that_never_comes_ends_by_the_clock(victim: Victim) -> None:
    victim.world.at("authorize", html())
    with victim.unharmed(LoginFailed) as raised:
        victim.log_in(login_timeout=0.6)
    assert raised.value.code == "timeout"
