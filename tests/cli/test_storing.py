"""The one question about where logins are kept, and what is said without a terminal."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from screen import at_a_screen
from terminal import Terminal

from mcp_client_auth.testing import DemoServer
from mcp_client_auth.testing.secret_service import INSTALL, SecretService

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX")
NO_KEYRING = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
QUESTION = "Keep logins there from now on?"


def test_without_a_keyring_one_question_is_asked_and_its_answer_remembered(
    terminal: Terminal, server: DemoServer
) -> None:
    with at_a_screen(terminal, server.url, **NO_KEYRING) as screen:
        screen.until(QUESTION)
        assert server.count("/register") == 0
        assert str(terminal.store) in screen.text
        assert "not encrypted" in screen.text
        screen.type("y\n")
        assert screen.end() == 0
    assert "kept in  a file that only you can read" in screen.text
    with at_a_screen(terminal, server.url, "--account", "work", **NO_KEYRING) as screen:
        assert screen.end() == 0
    assert QUESTION not in screen.text
    assert terminal.run("token", server.url, MCP_CLIENT_AUTH_STORAGE="", **NO_KEYRING).code == 0


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"], ids=["no", "nothing", "end of input"])
def test_who_does_not_agree_is_told_the_remedies_before_anything_is_sent(
    answer: str, terminal: Terminal, server: DemoServer
) -> None:
    with at_a_screen(terminal, server.url, **NO_KEYRING) as screen:
        screen.until(QUESTION)
        screen.type(answer)
        code = screen.end()
    assert code == (130 if answer == "\x04" else 7)
    if code == 7:
        assert "--store file" in screen.text
    assert server.requests == []
    assert terminal.stored() == {}


def test_a_storage_that_was_named_is_not_asked_about(
    terminal: Terminal, server: DemoServer
) -> None:
    with at_a_screen(terminal, server.url, "--store", "keyring", **NO_KEYRING) as screen:
        assert screen.end() == 7
    assert QUESTION not in screen.text


def test_without_a_terminal_nobody_is_asked(terminal: Terminal, server: DemoServer) -> None:
    answer = terminal.run(server.url, MCP_CLIENT_AUTH_STORAGE="", **NO_KEYRING)
    assert answer.code == 7
    assert "--store file" in answer.err
    assert server.requests == []


def test_a_token_without_a_keyring_and_a_login_needs_a_login(
    terminal: Terminal, server: DemoServer
) -> None:
    answer = terminal.run("token", server.url, MCP_CLIENT_AUTH_STORAGE="", **NO_KEYRING)
    assert answer.code == 3
    assert f"mcp-login {server.url}" in answer.err


def test_a_person_is_told_that_the_keyring_may_be_waiting_for_them(
    terminal: Terminal, server: DemoServer, tmp_path: Path
) -> None:
    if not SecretService.installed():
        pytest.skip(f"a Secret Service is needed: {INSTALL}")
    with SecretService() as service:
        service.lock_with_a_prompt()
        with at_a_screen(terminal, server.url, **service.environment) as screen:
            screen.until("Waiting for the OS keyring: it may be asking for its password")
            screen.type("\x03")
            began = time.monotonic()
            assert screen.end() == 130
            assert time.monotonic() - began < 5
    assert server.requests == []
