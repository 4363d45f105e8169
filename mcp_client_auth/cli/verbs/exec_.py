"""`mcp-login exec`: a program that wants a token in its environment."""

from __future__ import annotations

from typing import Any

import click

from ..commands import verb
from ..opening import held_session
from ..options import about_login, min_valid, option, the_server


@verb("exec")
@the_server()
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@option(
    "--env",
    "variable",
    default="MCP_ACCESS_TOKEN",
    metavar="NAME",
    help="The variable of the token (default: MCP_ACCESS_TOKEN).",
)
@min_valid(60.0)
@about_login
def command(
    url: str, command: tuple[str, ...], variable: str, min_valid: float, **asked: Any
) -> int:
    """Run a command with the token in its environment.

    \b
    mcp-login exec SERVER -- COMMAND …

    The token is renewed first when it lives less than --min-valid seconds. The server's URL
    stands in MCP_SERVER_URL. The exit code is the command's, 127 where there is none.
    """
    from ..executing import run_with_token

    return run_with_token(held_session(url, asked), command, variable, min_valid)
