"""A Windows console, polled at short intervals: one cannot wait for it and for other things."""

from __future__ import annotations

import sys

if sys.platform != "win32":
    raise ImportError("this system has no Windows console")

import _thread
import msvcrt
import threading
import time
from typing import Final

_INTERVAL: Final = 0.05
_AT_ONCE: Final = 4096
_PREFIXES: Final = "\x00\xe0"  # of a function key or an arrow
_CTRL_C: Final = "\x03"


class WindowsKeys:
    """The console has no echo and no lines here: what is not read is not shown."""

    def __init__(self) -> None:
        self._woken = threading.Event()
        self._drain()  # what was typed before the question is not its answer

    def read(self, seconds: float) -> str:
        end = time.monotonic() + seconds
        while not msvcrt.kbhit():
            if self._woken.wait(_INTERVAL) or time.monotonic() >= end:
                return ""
        return self._available()

    def wake(self) -> None:
        self._woken.set()

    def give_back(self) -> None:
        """Nothing was taken."""

    def close(self) -> None:
        self._drain()

    def _drain(self) -> None:
        while self._available():
            pass

    def _available(self) -> str:
        keys = ""
        while msvcrt.kbhit() and len(keys) < _AT_ONCE:
            key = msvcrt.getwch()
            if key in _PREFIXES:
                msvcrt.getwch()
            elif key == _CTRL_C:  # here it comes as a key, not as a signal
                _thread.interrupt_main()
            else:
                keys += key
        return keys.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
