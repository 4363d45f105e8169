"""What `mcp-login logout` says, and what it asks before it ends everything."""

from __future__ import annotations

import sys

import click

from ..credential import Key
from ..errors import UsageError
from ..session import Session
from ..storage.index import Index
from .progress import plain
from .screen import say


def leave(session: Session, *, local: bool) -> None:
    """End one login and say what was done."""
    which = f"{plain(session.key.server)} (account {plain(session.key.account)})"
    done = session.log_out(local=local)
    if not done:
        say(f"You were not logged in to {which}")
        others = [e.key.account for e in Index().all() if e.key.server == session.key.server]
        if others:
            say(f"  There are logins as: {plain(', '.join(others))} (--account LABEL)")
        return
    say(f"Logged out of {which}")
    if done.unregistered:
        say("  The client that was registered for it is deleted there too.")
    if not done.revoked and not local:
        say("  The server has not confirmed that it ended the login; here it is deleted.")
    for trouble in done.trouble:
        say(f"  {plain(trouble)}")


def confirm_all(*, yes: bool) -> list[Key]:
    """The keys of all logins, when a person agrees or has said so before."""
    found = Index().all()
    if not found:
        say("You are not logged in to any server")
        return []
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError("without a terminal, logout --all needs --yes")
        for entry in found:
            say(f"  {plain(entry.key.server)} (account {plain(entry.key.account)})")
        if not click.confirm(f"Log out of all {len(found)}?", default=False, err=True):
            return []
    return [entry.key for entry in found]
