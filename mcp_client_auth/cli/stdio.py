"""The standard streams of a program whose stdout is a protocol: taken from the process, so that
what anything else prints there, or reads, is not part of it.
"""

from __future__ import annotations

import os
import queue
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, Self

_PIECE: Final = 1 << 16
_END: Final = object()
_LAST_WRITE: Final = 1.0


class Stdio:
    """Lines in, messages out. `inlet` and `outlet` are descriptors of our own."""

    def __init__(self, inlet: int, outlet: int) -> None:
        self._inlet, self._outlet = inlet, outlet
        self._writing = threading.Lock()
        self._closed = False
        self._lines: queue.Queue[object] = queue.Queue(1)  # the client waits while we are behind

    @classmethod
    def taken(cls) -> Self:
        """The process's own. Print goes to stderr from here on, and stdin is empty; a browser
        that is started inherits neither."""
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

    def lines(
        self, split: Callable[[Callable[[], bytes]], Iterator[bytes | None]]
    ) -> Iterator[bytes | None]:
        """Until the client has closed its end, or has gone away."""
        from ..threads import shortest

        threading.Thread(target=self._read_all, args=(split,), daemon=True).start()
        while True:
            try:
                line = self._lines.get(timeout=shortest())
            except queue.Empty:
                continue
            if line is _END or self._closed:
                return
            yield line  # type: ignore[misc]

    def _read_all(self, split: Callable[[Callable[[], bytes]], Iterator[bytes | None]]) -> None:
        for line in split(self._read):
            self._lines.put(line)
        self._lines.put(_END)

    def _read(self) -> bytes:
        while True:
            try:
                return os.read(self._inlet, _PIECE)
            except BlockingIOError:  # the client has made the pipe so
                select.select([self._inlet], [], [])
            except OSError:
                return b""

    def write(self, text: bytes) -> None:
        """One message, whole. What a client that has gone away does not get is no error."""
        with self._writing:
            left = memoryview(text)
            while left and not self._closed:
                try:
                    left = left[os.write(self._outlet, left[: 1 << 20]) :]
                except BlockingIOError:
                    select.select([], [self._outlet], [])
                except OSError:
                    self._closed = True
                    with suppress(queue.Full):  # otherwise `lines` looks before it gives the next
                        self._lines.put_nowait(_END)

    def close(self) -> None:
        """A message that is being written is ended; none comes after it."""
        if self._writing.acquire(timeout=_LAST_WRITE):
            self._closed = True
            self._writing.release()
