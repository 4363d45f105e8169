"""`mcp-login exec`: runs a program that needs a token in its environment.

The simple case is handled in `quick`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import click

from ...errors import UsageError
from ...secret import quoted
from ..arguments import AboutLogin, argument, command_line, group, min_valid, option, server
from ..commands import verb
from ..quick import EXEC_MIN_VALID, EXEC_VARIABLE

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@command_line
class Arguments:
    url: str = server()
    command: tuple[str, ...] = argument(
        "COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED
    )
    env: str = option(
        "--env",
        default=EXEC_VARIABLE,
        metavar="NAME",
        help="Variable that holds the token (default: MCP_ACCESS_TOKEN).",
    )
    min_valid: float = min_valid(EXEC_MIN_VALID)
    login: AboutLogin = group(AboutLogin)


def _ended(words: list[str], taking: Collection[str]) -> list[str]:
    """Return the words with `--` before COMMAND; the rest is its own, as with `env` or `sudo`."""
    plain, value = 0, False
    for at, word in enumerate(words):
        if word == "--":
            break
        if value or (word.startswith("-") and word != "-"):
            value = not value and word in taking
            continue
        plain += 1
        if plain == 2:  # the first is SERVER
            return [*words[:at], "--", *words[at:]]
    return words


@verb("exec", Arguments, _ended)
def command(arguments: Arguments) -> int:
    """\b
    mcp-login exec SERVER -- COMMAND …

    The token is renewed first if it expires within --min-valid seconds. MCP_SERVER_URL holds the
    server's URL. The exit code is the command's, or 127 if there is no such command.
    """
    from ...environment import for_other_programs
    from ...session.renewal import save_what_is_left
    from ...session.single_flight import settle
    from ..execute import execute
    from ..sessions import fresh, require_bearer, stored_session

    if not _NAME.fullmatch(arguments.env):
        raise UsageError(f"{quoted(arguments.env, 60)} cannot be the name of a variable")
    session = stored_session(arguments.url, arguments.login)
    credential = require_bearer(fresh(session, arguments.min_valid))
    settle()  # a renewal that is on the wire must be kept before we are gone
    save_what_is_left()
    environment = {
        **for_other_programs(),
        arguments.env: credential.tokens.access_token.reveal(),
        "MCP_SERVER_URL": credential.endpoint(session.config.server_url),
    }
    return execute(arguments.command, environment)
