"""`--trace FILE`: each step of a run as a line of JSON. An event carries no secret."""

from __future__ import annotations

import json
import os
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from .. import __version__
from ..errors import UsageError, quoted
from ..events import Event


class Trace:
    """An event listener that writes to a file of its own, which only its owner can read.

    The first line names the program; `-` is stderr. Safe from any thread.
    """

    def __init__(self, path: str) -> None:
        self._turn = threading.Lock()
        self._file = sys.stderr if path == "-" else _opened(path)
        self._write({"version": 1, "mcp_client_auth": __version__})

    def __call__(self, event: Event) -> None:
        self._write(
            {
                "step": event.number or None,
                "name": event.name,
                "url": event.url or None,
                "status": event.status or None,
                "detail": event.detail or None,
                "rule": event.rule or None,
                "seconds": round(event.seconds, 4) or None,
            }
        )

    def _write(self, fields: dict[str, Any]) -> None:
        told = {"time": datetime.now(UTC).isoformat(timespec="milliseconds")}
        told |= {name: value for name, value in fields.items() if value is not None}
        with self._turn:
            self._file.write(json.dumps(told) + "\n")
            self._file.flush()


def _opened(path: str) -> Any:
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        return os.fdopen(os.open(os.path.expanduser(path), flags, 0o600), "w", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"the trace cannot be written to {quoted(path, 120)}: {error.strerror}"
        ) from None
