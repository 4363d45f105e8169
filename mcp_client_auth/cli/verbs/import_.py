"""`mcp-login import`: the logins of mcp-remote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..commands import verb
from ..opening import listening, session_for
from ..options import about_login, option
from ..wishes import usual


@verb("import")
@click.argument("urls", nargs=-1, metavar="[URL]...")
@option(
    "--from",
    "place",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The cache of mcp-remote (default: ~/.mcp-auth).",
)
@option("-y", "--yes", is_flag=True, help="Import without asking.")
@option("--force", is_flag=True, help="Replace a login that you have here.")
@option("--no-check", is_flag=True, help="Do not try each login at its server.")
@about_login
def command(
    urls: tuple[str, ...], place: Path | None, yes: bool, force: bool, no_check: bool, **asked: Any
) -> int:
    """Take over the logins of mcp-remote.

    Each URL that is named, or all that can be found. Its files are read and left as they are.
    """
    from ..importing import run_import

    told = listening(asked)
    return run_import(
        urls,
        lambda url: session_for(url, asked, on_event=told, **usual(url, asked)),
        place=place,
        yes=yes,
        force=force,
        check=not no_check,
    )
