"""`mcp-login list`: the index, which holds no secret."""

from __future__ import annotations

import click

from ..commands import verb
from ..options import json_too


@verb("list")
@json_too
def command() -> None:
    """List the logins on this machine.

    No keyring is asked and no server: it tells what is kept and until when it lives.
    """
    from ...storage.index import Index
    from ..answers import answers, login_fields
    from ..listing import listing
    from ..screen import screen

    index = Index()
    found, names = index.all(), index.names()
    if answers.as_json:
        answers.give(logins=[login_fields(entry, names) for entry in found])
    elif found:
        click.echo(listing(found, names))
    else:
        screen.remark("You are not logged in to any server. Log in with: mcp-login URL")
