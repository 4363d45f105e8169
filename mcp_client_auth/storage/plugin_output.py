"""What other people's code prints or logs in one thread, kept from the user's terminal.

The plug-ins of `keyring` come with packages that have nothing to do with ours.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from ..secret import quoted
from ..threads import FreshInChildren

_LONGEST: Final = 300


class _Captures(FreshInChildren):
    """How to end the captures under way: the threads of a forked child have the same numbers."""

    def __init__(self) -> None:
        self.ends: set[Callable[[], None]] = set()
        super().__init__()

    def reset(self) -> None:
        for end in self.ends:
            end()
        self.ends = set()


CAPTURES: Final = _Captures()


@contextmanager
def captured(output: list[str]) -> Iterator[None]:
    """Append to `output` what this thread prints or logs; other threads do not notice."""
    thread = threading.get_ident()
    latest: logging.LogRecord | None = None

    def keep(record: logging.LogRecord) -> bool:
        nonlocal latest
        if record.thread == thread and record is not latest:  # once, not for each handler
            try:
                output.append(logging.Formatter().format(record) + "\n")
            except Exception:  # its arguments do not fit its text
                output.append(f"{record.msg}\n")
            latest = record
        return record.thread != thread

    # what has no handler is printed to stderr, where it is captured too
    handlers = [*logging.getLogger("keyring").handlers, *logging.getLogger().handlers]
    splits = {name: _Split(getattr(sys, name), thread, output) for name in ("stdout", "stderr")}

    def end() -> None:
        for name, split in splits.items():
            if getattr(sys, name) is split:  # otherwise another has taken its place meanwhile
                setattr(sys, name, _real(split.stream))
            split.over = True
        for handler in handlers:
            handler.removeFilter(keep)

    CAPTURES.ends.add(end)
    for handler in handlers:
        handler.addFilter(keep)
    for name, split in splits.items():
        setattr(sys, name, split)
    try:
        yield
    finally:
        CAPTURES.ends.discard(end)
        end()


def _real(stream: Any) -> Any:
    """The stream behind the captures that are over: overlapping calls put one before another."""
    while isinstance(stream, _Split) and stream.over:
        stream = stream.stream
    return stream


def summary(output: list[str]) -> str:
    """The first and the last line: in a traceback, these say what failed and why."""
    lines = [line.strip() for line in "".join(output).splitlines() if line.strip()]
    ends = lines if len(lines) < 2 else [lines[0], lines[-1]]
    return quoted(" … ".join(ends), _LONGEST)[1:-1]


class _Split:
    """A standard stream for all threads but one."""

    def __init__(self, stream: Any, thread: int, output: list[str]) -> None:
        self.stream, self.over = stream, False
        self._thread, self._output = thread, output

    def write(self, text: str) -> int:
        if not self.over and threading.get_ident() == self._thread:
            self._output.append(text)
            return len(text)
        return self.stream.write(text) if self.stream else len(text)

    def flush(self) -> None:
        if self.stream:
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
