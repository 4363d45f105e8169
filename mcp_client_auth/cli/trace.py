"""`--trace FILE`: each step of a run as a line of JSON. An event carries no secret."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from .. import __version__
from ..errors import UsageError
from ..events import Event
from ..paths import Foreign, Unfit, is_foreign
from ..prompt.screen import screen
from ..secret import quoted

_WHY: Final = {
    errno.ELOOP: "it is a symbolic link",
    errno.ENXIO: "it is a pipe that no program reads",
    errno.EPIPE: "it is a pipe that no program reads",
}


class Trace:
    """An event listener that writes to a file of its own, which only its owner can read.

    The first line names the program; `-` is stderr. Safe from any thread.
    """

    def __init__(self, path: str) -> None:
        self._turn = threading.Lock()
        self._handle: int | None = None
        try:
            if path != "-":
                flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
                if not path.startswith("/dev/"):  # there links stand for pipes of the shell: >(jq)
                    flags |= getattr(os, "O_NOFOLLOW", 0)
                self._handle = os.open(os.path.expanduser(path), flags, 0o600)
                self._take(self._handle)
            self._write({"version": 1, "mcp_client_auth": __version__})
        except (OSError, ValueError) as error:
            number = getattr(error, "errno", None) or 0
            why = _WHY.get(number) or getattr(error, "strerror", None) or "it is not a path"
            raise UsageError(
                f"the trace cannot be written to {quoted(path)}: {why}",
                hint="Name a file that you can write, or - for stderr",
            ) from None

    @staticmethod
    def _take(handle: int) -> None:
        """Empty a file that was there, but refuse one that another user may have put there to
        read along, or to have a file of ours emptied."""
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            return
        if is_foreign(state):
            raise Foreign(0, "it belongs to another user")
        if state.st_nlink > 1:
            raise Unfit(0, "it is a file that has another name, too")
        os.ftruncate(handle, 0)
        if os.name == "posix":
            os.fchmod(handle, 0o600)

    def __call__(self, event: Event) -> None:
        fields = {
            "step": event.number or None,
            "name": event.name,
            "url": event.url or None,
            "status": event.status or None,
            "detail": event.detail or None,
            "rule": event.rule or None,
            "seconds": round(event.seconds, 4) or None,
        }
        with suppress(OSError):  # a disk that is full now is no reason to lose a login
            self._write(fields)

    def _write(self, fields: dict[str, Any]) -> None:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds")}
        line |= {name: value for name, value in fields.items() if value is not None}
        text = json.dumps(line) + "\n"
        with self._turn:
            if self._handle is None:
                screen.say(text.rstrip())
            else:
                os.write(self._handle, text.encode())


@cache
def trace_to(path: str) -> Trace:
    """One for all sessions of a run, which would overwrite each other's lines."""
    return Trace(path)
