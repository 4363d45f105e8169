"""What a file of ours may contain after a disk, an editor or another program has damaged it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

DEEP = "[" * 100_000 + "]" * 100_000
BYTES = {
    "empty": b"",
    "binary": bytes(range(256)),
    "not UTF-8": b'{"version": 1, "\xff": 2}',
    "cut": b'{"version": 1, "key": {"server": "https',
    "an array": b"[]",
    "a number": b"1e999",
    "null": b"null",
    "deep": DEEP.encode(),
    "deep in a field": b'{"version": 1, "key": ' + DEEP.encode() + b"}",
    "no end": b"[" * 1_000_000,
    "a long number": b'{"version": ' + b"9" * 10_000 + b"}",
    "another version": b'{"version": -1}',
    "a sealed one": b'{"version": 1, "sealed": "A256GCM", "key": 1, "nonce": [], "data": {}}',
}


def _pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def _huge(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, 1 << 34)


def _content(content: bytes) -> Callable[[Path], None]:
    def place(path: Path) -> None:
        path.write_bytes(content)

    return place


PLACED: dict[str, Callable[[Path], None]] = {
    **{name: _content(content) for name, content in BYTES.items()},
    "huge": _huge,
    "a directory": _directory,
    **({"a pipe": _pipe} if hasattr(os, "mkfifo") else {}),
}
