"""What `mcp-login logout` says, and what it asks before it ends everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from ..credential import Key
from ..errors import UsageError
from ..leaving import LoggedOut
from ..session import Session
from ..storage.index import Index
from .answers import logout_fields
from .asking import somebody
from .progress import plain
from .screen import hanging, say, screen


def leave(session: Session, *, local: bool) -> dict[str, Any]:
    """End one login, say what was done, and give it as fields."""
    key = session.key
    done = session.log_out(local=local)
    if done and not any(entry.key.server == key.server for entry in Index().all()):
        _forget_names(key.server)
    for line in _told(key, done, local=local):
        indent = "  " if line.startswith(" ") else ""
        screen.remark(hanging(indent, line.strip()))
    return logout_fields(key.server, key.account, done)


def _told(key: Key, done: LoggedOut, *, local: bool) -> Iterator[str]:
    which = f"{plain(key.server)} (account {plain(key.account)})"
    if not done:
        yield f"You were not logged in to {which}"
        others = [entry.key.account for entry in Index().all() if entry.key.server == key.server]
        if others:
            yield f"  There are logins as: {plain(', '.join(others))} (--account LABEL)"
        return
    yield f"Logged out of {which}"
    if done.unregistered:
        yield "  The client that was registered for it is deleted there too."
    if not done.revoked and not local:
        yield "  The server has not confirmed that it ended the login; here it is deleted."
    for trouble in dict.fromkeys(done.trouble):
        yield f"  {plain(trouble[:1].upper() + trouble[1:])}."


def _forget_names(server: str) -> None:
    """What it was called goes with its last login."""
    index = Index()
    for name, url in index.names().items():
        if url == server:
            index.name(name, "")


def confirm_all(*, yes: bool) -> list[Key]:
    """The keys of all logins, when a person agrees or has said so before."""
    found = Index().all()
    if not found:
        screen.remark("You are not logged in to any server")
        return []
    if not yes:
        if not somebody():
            raise UsageError("without a terminal, logout --all needs --yes")
        for entry in found:
            say(f"  {plain(entry.key.server)} (account {plain(entry.key.account)})")
        if not click.confirm(f"Log out of all {len(found)}?", default=False, err=True):
            return []
    return [entry.key for entry in found]
