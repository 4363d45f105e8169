"""The standard streams of a program whose stdout is a protocol: taken from the process, so that
nothing else there can print into the protocol or read from it.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Final, Self

_PIECE: Final = 1 << 16
_LOOK: Final = 2.0  # seconds between two looks whether the client is still there
_LAST_WRITE: Final = 1.0


class Stdio:
    """Lines in, messages out. `inlet` and `outlet` are descriptors of our own."""

    def __init__(self, inlet: int, outlet: int) -> None:
        self._inlet, self._outlet = inlet, outlet
        self._writing = threading.Lock()
        self._closed = False
        self._end: Future[None] = Future()

    @classmethod
    def taken(cls) -> Self:
        """Take the process's own. From here on, `print` goes to stderr and stdin is empty; a
        browser that is started inherits neither."""
        sys.stdout.flush()
        inlet, outlet = os.dup(0), os.dup(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)
        if sys.platform == "win32":
            import msvcrt

            for handle in (inlet, outlet):
                msvcrt.setmode(handle, os.O_BINARY)
        return cls(inlet, outlet)

    def serve(
        self,
        split: Callable[[Callable[[], bytes]], Iterator[bytes | None]],
        take: Callable[[bytes | None], None],
    ) -> None:
        """Take each line until the client has closed its end or gone away. That is noticed even
        while taking a line blocks, for example because a server never answers."""
        from ..threads import done_within

        taken = before = 0

        def take_all() -> None:
            nonlocal taken
            error = None
            try:
                for line in split(self._read):
                    if self._closed:
                        break
                    taken += 1
                    take(line)
            except BaseException as why:  # which the caller is to see
                error = why
            self._settle(error)

        threading.Thread(target=take_all, daemon=True, name="stdin").start()
        while not done_within(self._end, _LOOK):
            if taken == before and self._hung_up():
                return
            before = taken
        self._end.result()

    def _settle(self, error: BaseException | None = None) -> None:
        with suppress(InvalidStateError):
            self._end.set_exception(error) if error else self._end.set_result(None)

    def _hung_up(self) -> bool:
        """Whether the client has closed its end of stdin, while there is more to read."""
        if not hasattr(select, "poll"):
            return False
        # only Linux reports it for a socket, which hosts on Node.js use as a pipe
        ended = select.POLLHUP | getattr(select, "POLLRDHUP", 0)
        poll = select.poll()
        poll.register(self._inlet, ended)  # only macOS has to be asked for POLLHUP
        # for a terminal, poll says that it is not open
        return any(event & ended for _, event in poll.poll(0))

    def _read(self) -> bytes:
        while True:
            try:
                return os.read(self._inlet, _PIECE)
            except BlockingIOError:  # the client has made the pipe non-blocking
                select.select([self._inlet], [], [])
            except OSError:
                return b""

    def write(self, text: bytes) -> None:
        """Write one message, whole; it is not an error if the client has gone away."""
        with self._writing:
            left = memoryview(text)
            while left and not self._closed:
                try:
                    left = left[os.write(self._outlet, left[: 1 << 20]) :]
                except BlockingIOError:
                    select.select([], [self._outlet], [])
                except OSError:
                    self._closed = True
                    self._settle()

    def close(self) -> None:
        """Let a message that is being written end; none is written after it."""
        if self._writing.acquire(timeout=_LAST_WRITE):
            self._closed = True
            self._writing.release()
