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
from typing import Any

from .. import __version__
from ..errors import UsageError, quoted
from ..events import Event
from .screen import screen


class Trace:
    """An event listener that writes to a file of its own, which only its owner can read.

    The first line names the program; `-` is stderr. Safe from any thread.
    """

    def __init__(self, path: str) -> None:
        self._turn = threading.Lock()
        self._handle = None if path == "-" else _opened(path)
        try:
            self._write({"version": 1, "mcp_client_auth": __version__})
        except OSError as error:
            raise _unwritable(path, error) from None

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
        told = {"time": datetime.now(UTC).isoformat(timespec="milliseconds")}
        told |= {name: value for name, value in fields.items() if value is not None}
        line = json.dumps(told) + "\n"
        with self._turn:
            if self._handle is None:
                screen.say(line.rstrip())
            else:
                os.write(self._handle, line.encode())


@cache
def trace_to(path: str) -> Trace:
    """One for all sessions of a run, which would overwrite each other's lines."""
    return Trace(path)


def _opened(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    try:
        handle = os.open(os.path.expanduser(path), flags, 0o600)
        if os.name == "posix" and stat.S_ISREG(os.fstat(handle).st_mode):
            os.fchmod(handle, 0o600)  # it may have been there
    except OSError as error:
        raise _unwritable(path, error) from None
    return handle


def _unwritable(path: str, error: OSError) -> UsageError:
    why = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
    return UsageError(
        f"the trace cannot be written to {quoted(path, 120)}: {why}",
        hint="Name a file in a directory of yours, or - for stderr",
    )
