"""A POSIX terminal: its modes are changed while it is read, and restored on every way out.

It is touched only from the foreground, and only if no other program has turned off line mode
before us (a shell at its prompt, a full-screen program).
"""

from __future__ import annotations

import sys

if sys.platform == "win32":
    raise ImportError("this system has no POSIX terminals")

import atexit
import codecs
import errno
import os
import select
import signal
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

_CHUNK: Final = 65536
_LOCAL, _SPECIAL = 3, 6  # indexes in what tcgetattr() returns
_BRACKETS_ON, _BRACKETS_OFF = b"\x1b[?2004h", b"\x1b[?2004l"
# Signals that end or stop a process without unwinding; Ctrl-C is an exception, and unwinds.
_DEPARTURES: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)


class PosixKeys:
    """Reads `terminal`, a file descriptor; `OSError` if that cannot be read."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._modes = Modes(terminal)
        self._modes.take(flush=True)  # what was typed before the question is not its answer
        self._departures = Departures(self._modes)

    def read(self, seconds: float) -> str:
        ours = self._modes.take()
        watched = [self._woken, self._terminal] if ours else [self._woken]
        ready = select.select(watched, [], [], seconds)[0]
        if self._terminal not in ready or self._woken in ready:
            return ""
        data = b""
        try:
            with unstoppable():
                data = os.read(self._terminal, _CHUNK)
        except OSError as error:
            # EIO: no longer in the foreground; or hung up, which the next read will show
            if error.errno not in (errno.EIO, errno.EAGAIN):
                raise
        if not data:  # ready, but nothing came: do not retry at once
            select.select([self._woken], [], [], 0.05)
        return self._decode(data)

    def wake(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._wake, b".")

    def give_back(self) -> None:
        self._modes.leave()

    def close(self) -> None:
        self._departures.close()
        self._modes.close()
        os.close(self._woken)
        os.close(self._wake)


class Modes:
    """The terminal's modes: set to read without lines and echo, and restored as they were."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._before: list[Any] = []
        self._ours: list[Any] = []
        self._taken = self._away = False
        self._turn = threading.RLock()  # a signal handler may run in the middle of it
        self._process = os.getpid()
        atexit.register(self.leave)

    def take(self, *, flush: bool = False) -> bool:
        """Take it; return whether it is ours to read now. Raises `OSError` if it has hung up."""
        with self._turn, unstoppable():
            try:
                self._taken = not self._away and self._in_front() and self._set(flush=flush)
            except termios.error as error:
                raise OSError(*error.args) from None
            return self._taken

    def leave(self) -> None:
        """Give it back, and do not take it until `come_back()`."""
        with self._turn, unstoppable(), suppress(OSError, termios.error):
            taken, self._taken, self._away = self._taken, False, True
            if not taken or self._process != os.getpid() or not self._in_front():
                return
            self._write(_BRACKETS_OFF)
            if termios.tcgetattr(self._terminal) == self._ours:
                # the rest of a paste holds a code, which must not reach the shell's command line
                termios.tcflush(self._terminal, termios.TCIFLUSH)
                termios.tcsetattr(self._terminal, termios.TCSANOW, self._before)

    def come_back(self) -> None:
        with self._turn:
            self._away = False

    def close(self) -> None:
        self.leave()
        atexit.unregister(self.leave)

    def _in_front(self) -> bool:
        try:
            return os.tcgetpgrp(self._terminal) == os.getpgrp()
        except OSError as error:
            if error.errno == errno.ENOTTY:  # no job control here, so no one is in front of us
                return True
            raise

    def _set(self, *, flush: bool) -> bool:
        now = termios.tcgetattr(self._terminal)
        if now == self._ours:
            return True
        if not now[_LOCAL] & termios.ICANON:
            return False
        self._before = now
        changed = [*now[:_SPECIAL], [*now[_SPECIAL]]]
        changed[_LOCAL] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
        # do not wait for a byte: another process may have read what select() saw
        changed[_SPECIAL][termios.VMIN] = changed[_SPECIAL][termios.VTIME] = 0
        # never TCSADRAIN: it would wait as long as the output is stopped (Ctrl-S)
        termios.tcsetattr(self._terminal, termios.TCSANOW, changed)
        self._ours = termios.tcgetattr(self._terminal)
        self._write(_BRACKETS_ON)
        if flush:
            termios.tcflush(self._terminal, termios.TCIFLUSH)
        return True

    def _write(self, sequence: bytes) -> None:
        if os.environ.get("TERM", "dumb") != "dumb":
            with suppress(OSError):
                os.write(self._terminal, sequence)


class Departures:
    """Gives the terminal back before a signal ends or stops the process, and takes it again.

    Only if the program has no handler of its own; made and closed on the main thread.
    """

    def __init__(self, modes: Modes) -> None:
        self._modes = modes
        self._ours = [n for n in _DEPARTURES if signal.getsignal(n) is signal.SIG_DFL]
        for number in self._ours:
            signal.signal(number, self._depart)

    def close(self) -> None:
        for number in self._ours:
            if signal.getsignal(number) == self._depart:
                signal.signal(number, signal.SIG_DFL)

    def _depart(self, number: int, frame: FrameType | None) -> None:
        self._modes.leave()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        # only a process that was stopped and continues comes here
        signal.signal(number, self._depart)
        self._modes.come_back()


@contextmanager
def unstoppable() -> Iterator[None]:
    """Keep the process from being stopped for touching the terminal from the background."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN, signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
