"""A command at a pseudo-terminal of its own: what it shows, and what is typed."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

from terminal import PATIENCE, Terminal, command


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
