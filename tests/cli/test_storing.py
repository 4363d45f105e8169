"""The one question about where logins are kept, and what is said without a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from terminal import PATIENCE, Terminal, command

from mcp_client_auth.testing import DemoServer
from mcp_client_auth.testing.secret_service import INSTALL, SecretService

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX")
NO_KEYRING = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
QUESTION = "Keep this login and later ones there?"


class Screen:
    """A command at a pseudo-terminal: what it shows, and what is typed."""

    def __init__(self, main: int, process: subprocess.Popen[bytes]) -> None:
        self._main, self._process = main, process
        self.text = ""

    def until(self, words: str) -> None:
        end = time.monotonic() + PATIENCE
        while words not in self.text and time.monotonic() < end and self._read():
            pass
        assert words in self.text, self.text

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def end(self) -> int:
        while self._read():
            pass
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        try:
            more = os.read(self._main, 65536)
        except OSError:  # EIO: the other side has ended
            return False
        self.text += more.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(more)


@contextmanager
def at_a_screen(terminal: Terminal, *arguments: str, **environment: str) -> Iterator[Screen]:
    main, side = pty.openpty()
    inherited = {k: v for k, v in terminal.environment.items() if k != "MCP_CLIENT_AUTH_STORAGE"}
    process = subprocess.Popen(
        command(*arguments),
        env={**inherited, **environment},
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is one
    )
    os.close(side)
    try:
        yield Screen(main, process)
    finally:
        process.kill()
        process.wait()
        os.close(main)


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
