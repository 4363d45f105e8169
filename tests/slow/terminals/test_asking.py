"""Where a server gives no client to a program: a person at a terminal is asked for one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.inside import Inside
from tests.support.terminal import Terminal, command

if sys.platform == "win32":
    pytest.skip("POSIX terminals", allow_module_level=True)

from mcp_client_auth.testing import DemoServer, RegisteredClient, Settings
from tests.support.ptys import Pty, address, at_a_pty, signed_in

SECRET = "planted-client-secret"
CALLBACK = ("http://127.0.0.1/callback",)
OURS = RegisteredClient("ours", SECRET, "client_secret_post", CALLBACK)
PUBLIC = RegisteredClient("public", None, "none", CALLBACK)
CLOSED = Settings(registration=False, clients=(OURS, PUBLIC))
ASK_ID, ASK_SECRET = "Client ID (empty to cancel): ", "Client secret (empty for none): "

pytestmark = pytest.mark.parametrize("server", [CLOSED], indirect=True)


@contextmanager
def asked(terminal: Terminal, server: DemoServer, *more: str) -> Iterator[Pty]:
    line = command(server.url, "--no-browser", *more)
    environment = {**terminal.environment, "TERM": "xterm"}
    with at_a_pty(line, environment) as running:
        running.wait_for(ASK_ID)
        yield running


def test_who_has_one_types_it_and_the_secret_is_not_shown(
    terminal: Terminal, server: DemoServer
) -> None:
    with asked(terminal, server) as running:
        before = running.modes()
        assert "http://127.0.0.1/callback as its redirect URI" in " ".join(running.text.split())
        assert running.echoes()
        running.type("ours\r")
        running.wait_for(ASK_SECRET)
        running.until(lambda: not running.echoes())
        running.type(SECRET + "\r")
        running.wait_for("Waiting for you")
        running.type(signed_in(address(running.text)) + "\r")
        assert running.end() == 0, running.text
        assert running.modes() == before
        assert SECRET not in running.text
    server.clear_requests()
    assert terminal.run("refresh", server.url).code == 0, "it is kept with the login"


def test_a_client_without_a_secret_is_one_too(terminal: Terminal, server: DemoServer) -> None:
    with asked(terminal, server, "-q") as running:
        running.type("public\r")
        running.wait_for(ASK_SECRET)
        running.until(lambda: not running.echoes())
        running.type("\r")
        running.wait_for("Waiting for you")
        running.type(signed_in(address(running.text)) + "\r")
        assert running.end() == 0, running.text


@pytest.mark.parametrize(("answer", "code"), [("\r", 4), ("  \r", 4), ("\x03", 130), ("\x04", 130)])
def test_who_has_none_ends_it_and_nothing_was_kept(
    terminal: Terminal, server: DemoServer, answer: str, code: int
) -> None:
    with asked(terminal, server) as running:
        assert running.press(answer) == code, running.text
        assert ("--client-id" in running.text.rpartition(ASK_ID)[2]) == (code == 4)
        assert "Traceback" not in running.text
    assert not [name for name in terminal.stored() if name.endswith(".json")]


def test_who_has_named_a_client_is_not_asked(terminal: Terminal, server: DemoServer) -> None:
    file = terminal.home / "secret"
    file.write_text("wrong")
    words = ("--client-id", "ours", "--client-secret-file", str(file), "--timeout", "5")
    line = command(server.url, *words)
    with at_a_pty(line, terminal.environment) as running:
        assert running.end() == 4, running.text
        assert ASK_ID not in running.text


def test_a_secret_that_is_typed_for_a_file_is_not_shown(
    terminal: Terminal, server: DemoServer
) -> None:
    words = ("--no-browser", "--client-id", "ours", "--client-secret-file", "-")
    with at_a_pty(command(server.url, *words), terminal.environment) as running:
        running.wait_for("Secret: ")
        running.until(lambda: not running.echoes())
        running.type(SECRET + "\r")
        running.wait_for("Waiting for you")
        running.type(signed_in(address(running.text)) + "\r")
        assert running.end() == 0, running.text
        assert SECRET not in running.text


def test_nor_is_a_token(terminal: Terminal, server: DemoServer) -> None:
    token = server.mint_token()
    line = command("login", server.url, "--token-file", "-")
    with at_a_pty(line, terminal.environment) as running:
        running.wait_for("Token: ")
        running.until(lambda: not running.echoes())
        running.type(token + "\r")
        assert running.end() == 0, running.text
        assert token not in running.text
    assert terminal.run("token", server.url).out.strip() == token


def test_where_nobody_is_the_flags_are_named(inside: Inside, server: DemoServer) -> None:
    ran = inside(server.url)
    assert ran.code == 4
    assert ASK_ID not in ran.err
    assert "--client-id" in ran.err
    assert "--client-metadata-url" in ran.err


def test_no_secret_is_asked_for_on_behalf_of_a_file_nearby(
    terminal: Terminal, server: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".mcp.json").write_text(json.dumps({"mcpServers": {"notes": {"url": server.url}}}))
    with at_a_pty(command("notes", "--no-browser"), terminal.environment) as running:
        assert running.end() == 4
        assert ASK_ID.strip() not in running.text
        assert f"“notes” is {server.url}" in " ".join(running.text.split())
