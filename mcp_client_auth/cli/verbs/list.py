"""`mcp-login list`: the index, which holds no secret."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import click

from ..arguments import command_line, json_answer
from ..commands import verb

if TYPE_CHECKING:
    from ...storage import Summary


@command_line
class Arguments:
    json: bool = json_answer()


@verb("list", Arguments)
def command(arguments: Arguments) -> None:
    """It shows what is stored and when it expires, without opening a keyring or asking a server."""
    from ...prompt.screen import screen
    from ...storage import local_index
    from ...storage.settings import Settings
    from ..answers import answers, login_fields
    from ..storage import shared_storage

    gc.disable()  # of 100,000 logins none is garbage before the end
    shared = shared_storage()
    entries, names = shared.list() if shared else local_index().all(), Settings().names()
    if answers.as_json:
        answers.give(logins=[login_fields(entry, names) for entry in entries])
    elif entries:
        click.echo(listing(entries, names), color=True)  # it has no colours to look for
    else:
        screen.remark("You are not logged in to any server. Log in with: mcp-login URL")


def listing(entries: Sequence[Summary], names: dict[str, str]) -> str:
    """A table; in a terminal too narrow for it, a few lines for each login."""
    from ...environment import terminal_width
    from ...prompt.screen import hanging
    from ..describe import table

    head, *lines = rows(entries, names)
    whole, width = table([head, *lines]), terminal_width(sys.stdout)
    if not width or max(map(len, whole.splitlines())) <= width:
        return whole
    at = head.index("SERVER")
    parts = []
    for row in lines:
        parts.append(row[at])
        labelled = zip(head[:at] + head[at + 1 :], row[:at] + row[at + 1 :], strict=True)
        parts += [hanging(f"  {n.lower():<8} ", cell, sys.stdout) for n, cell in labelled if cell]
    return "\n".join(parts)


def rows(entries: Sequence[Summary], names: dict[str, str]) -> list[tuple[str, ...]]:
    """A line each below its heading; a column of names where there are any, and of accounts
    where they tell anything."""
    from ..describe import accounts_tell, expiry, label, marked, plain, refused

    marks, labelled, now = marked(), cache(label), time.time()
    called: dict[str, list[str]] = {}
    for name, url in names.items():
        called.setdefault(url, []).append(name)
    lines = [("NAME", "SERVER", "ACCOUNT", "KEPT IN", "EXPIRES")]
    for entry in entries:
        key = entry.key
        server, own = key.server, labelled(key.account, key.grant, key.client)
        until = expiry(entry.expires_at, renewable=entry.renewable, now=now)
        if marks and key.id in marks and refused(entry):
            until = "refused by the server, log in again"
        name = ", ".join(called[server]) if server in called else ""
        lines.append((name, plain(server), own, entry.storage, until))
    hidden = {at for at, useful in ((0, bool(names)), (2, accounts_tell(entries))) if not useful}
    return [tuple(cell for at, cell in enumerate(line) if at not in hidden) for line in lines]
