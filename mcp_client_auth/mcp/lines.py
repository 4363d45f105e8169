"""The lines of a stream that comes in pieces; each is a message of a client over stdio."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .exchange import LARGEST


def lines_of(read: Callable[[], bytes]) -> Iterator[bytes | None]:
    """The lines of a stream that comes in pieces; None for one that is too large."""
    kept: list[bytes] = []
    size, skipping = 0, False
    while piece := read():
        *ended, rest = piece.split(b"\n")
        for part in ended:
            if skipping or size + len(part) > LARGEST:
                yield None
            elif line := b"".join([*kept, part]).strip():
                yield line
            kept, size, skipping = [], 0, False
        size += len(rest)
        skipping = skipping or size > LARGEST
        if skipping:
            kept = []
        elif rest:
            kept.append(rest)
    if kept and not skipping and (line := b"".join(kept).strip()):
        yield line  # the last one, without a line break
