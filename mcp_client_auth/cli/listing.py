"""The logins on this machine as a person reads them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from ..credential import PERSONAL
from ..storage import Summary
from .progress import expiry, plain, table
from .screen import columns, hanging


def listing(found: Sequence[Summary], names: dict[str, str]) -> str:
    """A table; where the terminal is too narrow for it, a few lines for each login."""
    head, *told = rows(found, names)
    whole, width = table([head, *told]), columns(sys.stdout)
    if not width or max(map(len, whole.splitlines())) <= width:
        return whole
    at = head.index("SERVER")
    return "\n".join(line for row in told for line in _below(head, row, at))


def _below(head: tuple[str, ...], row: tuple[str, ...], at: int) -> Iterator[str]:
    """The server, and below it the rest, each with its label."""
    yield row[at]
    for number, (label, cell) in enumerate(zip(head, row, strict=True)):
        if number != at and cell:
            yield hanging(f"  {label.lower():<8} ", cell, sys.stdout)


def rows(found: Sequence[Summary], names: dict[str, str]) -> list[tuple[str, ...]]:
    """A line each below its heading; a column of names where there are any."""
    head = ("SERVER", "ACCOUNT", "KEPT IN", "EXPIRES")
    told = [_row(entry) for entry in found]
    if not names:
        return [head, *told]
    called = {url: [n for n, there in names.items() if there == url] for url in names.values()}
    first = [", ".join(called.get(entry.key.server, ())) for entry in found]
    return [("NAME", *head), *((name, *row) for name, row in zip(first, told, strict=True))]


def _row(entry: Summary) -> tuple[str, ...]:
    until = expiry(entry.expires_at, renewable=entry.renewable)
    return plain(entry.key.server), label(entry), plain(entry.storage), until


def label(entry: Summary) -> str:
    """The account; behind it what tells another program's login, or one without a person."""
    kind = entry.key.grant if entry.key.grant != PERSONAL else ""
    own = " ".join(word for word in (kind, entry.key.client) if word)
    return plain(entry.key.account + (f" ({own})" if own else ""))
