"""A server that repeats what it was sent, in part or in another form: nothing of it is shown."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth import (
    AuthError,
    BrowserPrompt,
    FileStorage,
    MCPAuth,
    Options,
    PreRegistered,
    login,
)
from mcp_client_auth.events import Event
from mcp_client_auth.testing import ScriptedBrowser
from tests.support.hostile import Exchange, Spot, World, document, tokens
from tests.support.terminal import Terminal

ACCESS = "acc-Zq7mT2xWv9LrK4nPd8YsB1hJf6GcEoUi"
REFRESH = "ref-Hn3kV8bQt5XzM1wRj7LpD2fYs9GaCeTu"
PASSWORD = "pw_Gy4cN9vKx2TsB7mZq1LhW8rJd5FpEaUo"
SECRETS = (ACCESS, REFRESH, PASSWORD)
PAIR = b64encode(f"app:{PASSWORD}".encode()).decode()
Reply = Callable[[Exchange], None]


def repeating(text: str, status: int = 400) -> Reply:
    body = {"error": f"invalid_{text[:20]}", "error_description": f"I was sent {text}, sorry"}
    return document(body, status)


def parts_in(text: str) -> list[str]:
    forms = (*SECRETS, PAIR, PAIR.rstrip("="))
    return [f[at : at + 12] for f in forms for at in range(len(f) - 11) if f[at : at + 12] in text]


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        world.at("token", document(tokens(access_token=ACCESS, refresh_token=REFRESH)))
        yield world


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    caplog.set_level(logging.DEBUG, "mcp_client_auth")
    return lambda: caplog.text


class Program:
    def __init__(self, world: World, home: Path) -> None:
        self.world = world
        self.events: list[Any] = []
        self.browser = ScriptedBrowser()
        self.arguments: dict[str, Any] = {
            "storage": FileStorage(home),
            "client": PreRegistered("app", PASSWORD, method="client_secret_basic"),
            "options": Options(patience=0, login_timeout=60),
            "on_event": self.events.append,
        }

    def log_in(self) -> MCPAuth:
        prompt = BrowserPrompt(open_url=self.browser)
        made = login(self.world.url, prompt=prompt, force=True, **self.arguments)
        assert self.browser.join(60)
        return made.auth

    def said(self, error: AuthError) -> str:
        events = [str(event) for event in self.events if isinstance(event, Event)]
        return json.dumps([str(error), repr(error), repr(vars(error)), *events])


@pytest.fixture
def program(world: World, tmp_path: Path) -> Program:
    return Program(world, tmp_path)


PIECES: dict[str, Callable[[Any], str]] = {
    "the header": lambda e: e.headers["Authorization"],
    "the header, cut": lambda e: e.headers["Authorization"][6:-3],
    "the form": lambda e: e.body.decode(),
    "half the secret": lambda e: PASSWORD[len(PASSWORD) // 2 :],
    "JSON": lambda e: json.dumps({"client_secret": PASSWORD, "header": PAIR[7:30]}),
}


@pytest.mark.parametrize("piece", PIECES)
def test_at_the_token_endpoint(
    world: World, program: Program, piece: str, told: Callable[[], str]
) -> None:
    world.at("token", lambda exchange: repeating(PIECES[piece](exchange))(exchange))
    with pytest.raises(AuthError) as raised:
        program.log_in()
    said = program.said(raised.value)
    assert "I was sent" in said
    assert parts_in(said + told()) == []


@pytest.mark.parametrize("piece", [REFRESH[:18], REFRESH[9:], "…".join([REFRESH[:13], ACCESS])])
def test_at_a_refresh(world: World, program: Program, piece: str, told: Callable[[], str]) -> None:
    auth = program.log_in()
    world.at("refresh", repeating(piece))
    with pytest.raises(AuthError) as raised:
        auth.session.refresh()
    said = program.said(raised.value)
    assert "I was sent" in said
    assert parts_in(said + told()) == []


# What only a server can know if it was sent the secret earlier

ELSEWHERE: dict[str, tuple[Spot, Callable[[World], Reply]]] = {
    "authorization response": (
        "authorize",
        lambda world: world.callback(
            code=None, error=f"denied {REFRESH[:16]}", error_description=f"no {REFRESH} {PAIR}"
        ),
    ),
    "content type": (
        "token",
        lambda world: lambda e: e.reply(200, b"<html", f"text/{REFRESH[4:30]}"),
    ),
    "issuer": (
        "server",
        lambda world: document(world.server_metadata(issuer=f"https://evil.example/{REFRESH}")),
    ),
    "an endpoint": (
        "server",
        lambda world: document(
            world.server_metadata(token_endpoint=f"http://evil.example/{ACCESS}")
        ),
    ),
    "PKCE methods": (
        "server",
        lambda world: document(world.server_metadata(code_challenge_methods_supported=[REFRESH])),
    ),
}


@pytest.mark.parametrize("place", ELSEWHERE)
def test_at_the_next_login(
    world: World, program: Program, place: str, told: Callable[[], str]
) -> None:
    program.log_in()
    program.events.clear()
    spot, behaviour = ELSEWHERE[place]
    world.at(spot, behaviour(world))
    with pytest.raises(AuthError) as raised:
        program.log_in()
    assert parts_in(program.said(raised.value) + told()) == []


def test_in_the_challenge_of_the_mcp_server(
    world: World, program: Program, told: Callable[[], str]
) -> None:
    auth = program.log_in()
    challenge = f'Bearer error="insufficient_scope", scope="{ACCESS} {ACCESS[:14]} more"'
    world.at("answer", lambda e: e.reply(403, headers=[("WWW-Authenticate", challenge)]))
    quiet = MCPAuth(world.url, prompt=None, **program.arguments)
    import httpx

    with httpx.Client(auth=quiet, trust_env=False) as client, pytest.raises(AuthError) as raised:
        client.post(world.url, json={})
    said = program.said(raised.value)
    assert "more" in said
    assert parts_in(said + told()) == []
    auth.close()


@pytest.mark.slow
def test_by_the_command_with_all_that_it_writes(world: World, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.log_in(world.url)
    trace = tmp_path / "trace"
    world.at("refresh", repeating(f"{REFRESH[:20]} {REFRESH[-15:]}"))
    world.at("probe", lambda e: e.reply(401, headers=[("WWW-Authenticate", f"Bearer {ACCESS}")]))
    answers = [
        terminal.run("refresh", world.url, "--verbose", "--trace", str(trace), "--json"),
        terminal.run("doctor", world.url),
        terminal.run("status", world.url, "--check"),
    ]
    assert "I was sent" in answers[0].err
    text = "".join(answer.out + answer.err for answer in answers) + trace.read_text()
    assert parts_in(text) == []
