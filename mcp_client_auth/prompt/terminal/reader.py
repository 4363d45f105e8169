"""Reads the person's terminal beside other work, and can be cancelled from any thread.

What is typed while the question is open belongs to the question: it is not shown, and what is
left of it at the end does not reach the shell.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from ...environment import is_terminal
from ...events import logger
from .line import Line

_LOOK: Final = 0.25  # how soon a move to the foreground is seen
# A paste without brackets goes on at once after the end of a line; a person does not.
_QUIET: Final = 0.1


class Keys(Protocol):
    """A terminal being read, without echo and without a limit on a line."""

    def read(self, seconds: float) -> str:
        """What arrives within `seconds`, perhaps nothing; `OSError` if the terminal is gone."""
        ...

    def wake(self) -> None:
        """Have `read` return at once, from any thread."""
        ...

    def give_back(self) -> None:
        """Leave the terminal as it was, from any thread, and any number of times."""
        ...

    def close(self) -> None:
        """Give it back for the last time, after reading has ended."""
        ...


class Typist(Protocol):
    """What receives the text, on the reader's thread."""

    def typed(self, count: int) -> None:
        """`count` characters wait for Enter."""
        ...

    def entered(self, text: str) -> None:
        """A whole text: Enter was pressed, or a bracketed paste has ended."""
        ...

    def ended(self) -> None:
        """Ctrl-D: nothing more is read."""
        ...


@contextmanager
def reading(typist: Typist) -> Iterator[None]:
    """Read while this lasts, but only if stdin is a terminal, and on the main thread: on another
    thread no signal could give the terminal back, and the caller may have left.

    The terminal is ours on entering, so nothing that is typed from then on is lost.
    """
    terminal = _standard_input()
    keys = None if terminal is None else _opened(terminal)
    if keys is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_read, args=(keys, typist, over), name="terminal", daemon=True)
    try:
        thread.start()
        yield
    finally:
        keys.give_back()
        over.set()
        keys.wake()
        thread.join(1)
        keys.close()


def is_readable() -> bool:
    """Whether `reading` will read."""
    return _standard_input() is not None


def _standard_input() -> int | None:
    """Its file descriptor, if it is a terminal (a notebook's stdin is not)."""
    if threading.current_thread() is not threading.main_thread():
        return None
    try:
        return sys.stdin.fileno() if is_terminal(sys.stdin) else None
    except (AttributeError, OSError, ValueError):
        return None


def _opened(terminal: int) -> Keys | None:
    try:
        if sys.platform == "win32":
            from .windows import WindowsKeys

            return WindowsKeys()
        from .posix import PosixKeys

        return PosixKeys(terminal)
    except (ImportError, OSError) as error:
        logger.debug("the terminal cannot be read: %s", type(error).__name__)
        return None


def _read(keys: Keys, typist: Typist, over: threading.Event) -> None:
    line, shown = Line(), 0
    try:
        while not over.is_set():
            more = keys.read(_QUIET if line.complete else _LOOK)
            line.feed(more)
            if line.ended:
                typist.ended()
                return
            text = line.take() if line.complete and not more else ""
            if len(line) != shown:
                shown = len(line)
                typist.typed(shown)
            if text and not over.is_set():
                typist.entered(text)
    except (OSError, ValueError) as error:  # hung up, or closed under us
        logger.debug("the terminal is no longer read: %s", type(error).__name__)
    finally:
        keys.give_back()
