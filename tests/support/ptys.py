"""A person at a real terminal: a pty whose shell or command leads a session."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from mcp_client_auth.testing import DemoServer
from tests.support.terminal import Terminal, command
from tests.support.visiting import address as address
from tests.support.visiting import signed_in as signed_in

PATIENCE = 60.0
WAITING = "Waiting for you"


class Pty:
    """What runs there, everything that it wrote, and the keyboard."""

    def __init__(self, process: int, master: int) -> None:
        self.process = process
        self._master = master
        self._text, self._over = b"", False
        self._more = threading.Condition()
        self._status: int | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        with self._more:
            return self._text.decode("utf-8", "replace")

    def wait_for(self, words: str, after: int = 0) -> str:
        """All that was written, once these words appear after its first `after` characters."""
        with self._more:
            there = self._more.wait_for(lambda: words in self.text[after:], PATIENCE)
            assert there, f"{words!r} is not in {self.text[after:]!r}"
            return self.text

    def type(self, keys: str) -> None:
        data = keys.encode()
        while data:  # the line discipline holds 4 KB, and then writing blocks
            data = data[os.write(self._master, data[:1024]) :]

    def press(self, key: str, answer: str = "interrupted\r\n") -> int:
        """Press a key that ends the program, until it has answered; return its exit code.

        If Ctrl-C comes after a prompt was shown but before `input()` has begun to read, CPython's
        own handler defers it until the read returns; a person presses it again. Once the program
        has answered, no key is pressed: it would end the program in another way.
        """
        seen, end, answered = len(self.text), time.monotonic() + PATIENCE, False
        while not answered:
            assert time.monotonic() < end, self.text
            with suppress(OSError):  # the program has ended, and its terminal with it
                self.type(key)
            with self._more:
                answered = self._more.wait_for(
                    lambda: self._over or answer in self.text[seen:], 2.0
                )
        return self.end()

    def modes(self) -> list[Any]:
        return termios.tcgetattr(self._master)

    def echoes(self) -> bool:
        return bool(self.modes()[3] & termios.ECHO)

    def until(self, true: Any) -> None:
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, self.text
            time.sleep(0.01)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process, number)

    def end(self) -> int:
        """The exit code, negative for a signal; `text` is whole by then."""
        end = time.monotonic() + PATIENCE
        while self._status is None:
            assert time.monotonic() < end, self.text
            found, status = os.waitpid(self.process, os.WNOHANG)
            if found:
                self._status = status
            else:
                time.sleep(0.01)
        self._reader.join(PATIENCE)
        return os.waitstatus_to_exitcode(self._status)

    def hang_up(self) -> None:
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        if self._status is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
        if self._master >= 0:
            self.hang_up()

    def _read(self) -> None:
        with suppress(OSError):
            while data := os.read(self._master, 65536):
                with self._more:
                    self._text += data
                    self._more.notify_all()
        with self._more:
            self._over = True
            self._more.notify_all()


@contextmanager
def at_a_pty(
    arguments: Sequence[str],
    environment: dict[str, str],
    *,
    columns: int = 80,
    stderr: int | None = None,
) -> Iterator[Pty]:
    process, master = pty.fork()
    if not process:
        if stderr is not None:
            os.dup2(stderr, 2)
        os.execvpe(arguments[0], list(arguments), environment)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    running = Pty(process, master)
    try:
        yield running
    finally:
        running.close()


def drawn(text: str, columns: int) -> list[str]:
    """The rows that a terminal with this many columns shows after this output."""
    rows = [""]
    column = 0
    for piece in re.findall(r"\x1b\[[0-?]*[ -/]*[@-~]|.", text, re.DOTALL):
        if piece == "\n":
            rows.append("")
        elif piece == "\r":
            column = 0
        elif piece == "\b":
            column -= 1
        elif not piece.startswith("\x1b"):
            if column == columns:
                rows.append("")
                column = 0
            rows[-1] = rows[-1].ljust(column)[:column] + piece + rows[-1][column + 1 :]
            column += 1
            continue
        if piece == "\n":
            column = 0
    return [row.rstrip() for row in rows]


@contextmanager
def logging_in(
    terminal: Terminal, server: DemoServer, *more: str, columns: int = 80
) -> Iterator[Pty]:
    """`mcp-login` at a terminal of its own, waiting for a person who has no browser there."""
    words = command(server.url, "--no-browser", *more)
    with at_a_pty(words, terminal.environment, columns=columns) as running:
        running.wait_for(WAITING)
        yield running
