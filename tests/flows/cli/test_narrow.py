"""A terminal of 40 columns: no line of ours is wider, except addresses, which are copied whole."""

from __future__ import annotations

import os
import sys

import pytest

from tests.support.hostile import World
from tests.support.inside import credential
from tests.support.terminal import Terminal, command

if sys.platform == "win32":
    pytest.skip("POSIX terminals", allow_module_level=True)

from mcp_client_auth import FileStorage
from mcp_client_auth.cli.verbs import VERBS
from mcp_client_auth.testing import DemoServer, Settings
from tests.support.ptys import address, at_a_pty, drawn, logging_in, signed_in

COLUMNS = 40


@pytest.fixture
def terminal(terminal: Terminal) -> Terminal:
    terminal.environment |= {"TERM": "xterm", "CODESPACES": "true"}
    return terminal


def too_wide(text: str) -> list[str]:
    lines = drawn(text, 10_000)  # as they were written, not as the terminal broke them
    return [line for line in lines if len(line) > COLUMNS and not is_address(line)]


def is_address(line: str) -> bool:
    """A URL or path, perhaps behind its label."""
    return len(line.split()) <= 3 and ("://" in line or os.sep in line)


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_fits(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mcp_client_auth.cli import run

    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    assert run([verb, "--help"] if verb else ["--help"]) == 0
    assert too_wide(capsys.readouterr().out) == []


def test_a_login_fits(terminal: Terminal, server: DemoServer) -> None:
    with logging_in(terminal, server, columns=COLUMNS) as running:
        running.type(signed_in(address(running.text)) + "\r")
        assert running.end() == 0
        assert too_wide(running.text) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["list"], 0),
        (["status", "--check"], 0),
        (["refresh", "URL"], 0),
        (["token", "URL", "--account", "x"], 3),
        (["token", "URL", "--min-valid", "x"], 2),
        (["tokne"], 2),
        (["login", "nobody"], 2),
        (["URL", "--store", "keyring", "--force"], 7),
        (["token", "http://mcp.lan/mcp"], 5),
        (["logout", "URL"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_said_fits(terminal: Terminal, world: World, words: list[str], code: int) -> None:
    storage = FileStorage(terminal.store)
    storage.save(credential(world.url, issuer=world.issuer))
    storage.save(credential(world.url, account="work", issuer=world.issuer))
    terminal.environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    line = command(*(word.replace("URL", world.url) for word in words))
    with at_a_pty(line, terminal.environment, columns=COLUMNS) as running:
        assert running.end() == code, running.text
        assert too_wide(running.text) == []


@pytest.mark.parametrize("server", [Settings(registration=False)], indirect=True)
def test_questions_fit(terminal: Terminal, server: DemoServer) -> None:
    del terminal.environment["MCP_CLIENT_AUTH_STORAGE"]
    terminal.environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    line = command(server.url, "--no-browser")
    with at_a_pty(line, terminal.environment, columns=COLUMNS) as running:
        running.wait_for("Keep logins there from now on? [y/N]: ")
        running.type("y\r")
        running.wait_for("Client ID (empty to cancel): ")
        running.type("\r")
        assert running.end() == 4, running.text
        assert too_wide(running.text) == []
