"""`mcp-login list`: the index, which holds no secret."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Collection, Sequence
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
    from ...storage.directory import Listed
    from ...storage.settings import Settings
    from ..answers import answers, login_fields
    from ..describe import marked
    from ..storage import shared_storage

    gc.disable()  # of 100,000 logins none is garbage before the end
    shared, here, names = shared_storage(), Listed(), Settings().names()
    entries = shared.list() if shared else local_index(here).all()
    if answers.as_json:
        answers.give(logins=[login_fields(entry, names) for entry in entries])
    elif entries:
        marks = set() if shared else marked(here)
        click.echo(listing(entries, names, marks), color=True)  # click need not look for colours
    else:
        screen.remark("You are not logged in to any server. Log in with: mcp-login URL")


def listing(entries: Sequence[Summary], names: dict[str, str], marks: Collection[str] = ()) -> str:
    """A table; in a terminal too narrow for it, a few lines for each login."""
    from ...environment import terminal_width
    from ...prompt.screen import hanging
    from ..describe import table

    columns = columns_of(entries, names, marks)
    whole, width = table(columns), terminal_width(sys.stdout)
    if not width or max(map(len, whole.splitlines())) <= width:
        return whole
    head, *lines = zip(*columns, strict=True)
    at = head.index("SERVER")
    parts = []
    for row in lines:
        parts.append(row[at])
        labelled = zip(head[:at] + head[at + 1 :], row[:at] + row[at + 1 :], strict=True)
        parts += [hanging(f"  {n.lower():<8} ", cell, sys.stdout) for n, cell in labelled if cell]
    return "\n".join(parts)


def columns_of(
    entries: Sequence[Summary], names: dict[str, str], marks: Collection[str]
) -> list[Sequence[str]]:
    """Return the columns, each with its heading; names only if there are any, accounts only if
    they tell the user anything. `marks`: the ids of logins that may have been refused."""
    from ..describe import all_plain, expiry, label, refused, useful

    called: dict[str, list[str]] = {}
    for name, url in names.items():
        called.setdefault(url, []).append(name)
    named, servers, accounts = ["NAME"], ["SERVER"], ["ACCOUNT"]
    kept, expires, now = ["KEPT IN"], ["EXPIRES"], time.time()
    for entry in entries:  # once: there may be so many that each look is a wait for memory
        key, server = entry.key, entry.key.server
        until = expiry(entry.expires_at, renewable=entry.renewable, now=now)
        if marks and key.id in marks and refused(entry):
            until = "refused by the server, log in again"
        if called:
            named.append(", ".join(called[server]) if server in called else "")
        servers.append(server)
        accounts.append(label(key))
        kept.append(entry.storage)
        expires.append(until)
    told = useful(servers[1:], accounts[1:])
    return [
        *([named] if called else []),
        all_plain(servers),
        *([accounts] if told else []),
        kept,
        expires,
    ]
