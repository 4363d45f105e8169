"""What a server says is shown short and clean: no terminal codes, no flood, no secret echoed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcp_client_auth import (
    AuthError,
    AuthorizationDenied,
    InsufficientScope,
    LoginFailed,
    LoginRequired,
)
from mcp_client_auth.cli.describe import report
from mcp_client_auth.cli.progress import Progress
from mcp_client_auth.events import Event
from mcp_client_auth.protocol.challenge import Challenge
from mcp_client_auth.session.single_flight import wait
from tests.support.hostile import Behaviour, Spot, World, challenge, document, text, tokens
from tests.support.session_world import Person, Program, credential
from tests.support.session_world import World as Memory
from tests.support.victim import Victim, fit_to_show, victim_of

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m‮\r\n\t\x00"
WORDS = {"escapes": f"bad{ESCAPES}thing", "long": "x" * 500_000, "both": (ESCAPES + "y") * 30_000}


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with victim_of(tmp_path / "home") as victim:
        victim.forget_client()
        yield victim


def denial(world: World, words: str) -> Behaviour:
    said = {"code": None, "error": words[:2000], "error_description": words[:2000]}
    return world.callback(**said)


SAYINGS: dict[str, tuple[Spot, Callable[[World, str], Behaviour]]] = {
    "registration error": (
        "register",
        lambda world, words: document({"error": words, "error_description": words}, 400),
    ),
    "registration in plain text": ("register", lambda world, words: text(words, 403, "text/plain")),
    "registration method": (
        "register",
        lambda world, words: document(
            {"client_id": "c", "client_secret": "s", "token_endpoint_auth_method": words}, 201
        ),
    ),
    "token error": (
        "token",
        lambda world, words: document({"error": words, "error_description": words}, 400),
    ),
    "denial": ("authorize", denial),
    "issuer": ("server", lambda world, words: document(world.server_metadata(issuer=words))),
    "issuer with a path": (
        "server",
        lambda world, words: document(
            world.server_metadata(issuer=f"https://evil.example/{words}")
        ),
    ),
    "resource": (
        "resource",
        lambda world, words: document(world.resource_metadata(resource=words)),
    ),
    "resource with a path": (
        "resource",
        lambda world, words: document(
            world.resource_metadata(resource=f"https://evil.example/{words}")
        ),
    ),
    "authorization server": (
        "resource",
        lambda world, words: document(
            world.resource_metadata(authorization_servers=[f"http://evil.example/{words}"])
        ),
    ),
    "authorization endpoint": (
        "server",
        lambda world, words: document(
            world.server_metadata(authorization_endpoint=f"http://evil.example/{words}")
        ),
    ),
    "PKCE methods": (
        "server",
        lambda world, words: document(
            world.server_metadata(code_challenge_methods_supported=[words])
        ),
    ),
}


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("saying", SAYINGS)
def test_an_error_quotes_them_short_and_clean(victim: Victim, saying: str, kind: str) -> None:
    spot, behaviour = SAYINGS[saying]
    victim.world.at(spot, behaviour(victim.world, WORDS[kind]))
    with pytest.raises(AuthError) as raised:
        victim.log_in()
    assert not isinstance(raised.value, LoginFailed), "the words have not arrived"
    victim.browser.join(60)
    fit_to_show(raised.value)
    assert len(raised.value.code) <= 100
    assert raised.value.code.isprintable()
    for event in victim.events:
        fit_for_a_line(event)


TOLD: dict[str, tuple[Spot, Callable[[World, str], Behaviour]]] = {
    "client id": ("register", lambda world, words: document({"client_id": words}, 201)),
    "granted scope": ("token", lambda world, words: document(tokens(scope=words))),
    "listed scopes": (
        "resource",
        lambda world, words: document(world.resource_metadata(scopes_supported=[words, "a"])),
    ),
    "several servers": (
        "resource",
        lambda world, words: document(
            world.resource_metadata(
                authorization_servers=[world.issuer, f"https://evil.example/{words}"]
            )
        ),
    ),
}


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("saying", TOLD)
def test_progress_shows_them_short_and_clean(
    victim: Victim, saying: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spot, behaviour = TOLD[saying]
    victim.world.at(spot, behaviour(victim.world, WORDS[kind][:3000]))
    seen: list[Event] = []
    try:
        login = victim.log_in(on_event=seen.append)
    except AuthError as error:
        fit_to_show(error)
    else:
        report(login.credential, "memory", heading="Logged in to")
    for verbose in (False, True):
        for event in seen:
            Progress(verbose=verbose)(event)
    for line in capsys.readouterr().err.splitlines():
        fit_for_a_line(line)


def test_a_challenge_with_escapes_is_read_as_nothing_or_shown_clean(victim: Victim) -> None:
    victim.world.at("probe", challenge(victim.world.origin + "/\\\x1b[2Jx", scope="a\tb"))
    with pytest.raises(AuthError) as raised:
        victim.log_in()
    fit_to_show(raised.value)


ENDS = {
    "asked for before": (True, True, InsufficientScope),
    "denied": (False, True, AuthorizationDenied),
    "with nobody to ask": (False, False, LoginRequired),
}


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize(("before", "person", "end"), ENDS.values(), ids=ENDS)
def test_the_scopes_of_a_403_are_shown_short_and_clean(
    kind: str, before: bool, person: bool, end: type[AuthError]
) -> None:
    hostile = Challenge("bearer", {"error": "insufficient_scope", "scope": WORDS[kind]})
    world = Memory()
    program = Program(world, prompt=Person(world, "deny") if person else None)
    held = credential(world, requested=("read", *((hostile.scope or ()) if before else ())))
    with pytest.raises(end) as raised:
        wait(program.session.after_403(held, hostile))
    fit_to_show(raised.value)
    for event in program.events:
        fit_for_a_line(str(event))


def fit_for_a_line(line: str) -> None:
    assert line.isprintable(), ascii(line)[:300]
    assert len(line) < 1000
