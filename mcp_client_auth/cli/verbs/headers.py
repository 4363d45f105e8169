"""`mcp-login headers`: what another program sends to the server, as one JSON object.

The simple case is handled in `quick`.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace

import click

from ...errors import UsageError
from ...secret import quoted
from ..arguments import AboutLogin, command_line, group, min_valid, server
from ..commands import verb
from ..quick import HOST_URL, MIN_VALID

_ALL = 8.0  # Claude Code gives up after 10 s, in which the interpreter starts too


@command_line
class Arguments:
    url: str | None = server(required=False, envvar=HOST_URL)
    min_valid: float = min_valid(MIN_VALID)
    login: AboutLogin = group(AboutLogin)


@verb("headers", Arguments)
def command(arguments: Arguments) -> None:
    """For programs that run a command to get headers before they connect, such as Claude Code's
    headersHelper, which names the server in CLAUDE_CODE_MCP_SERVER_URL: then SERVER may be left
    out. It never prompts, and answers within 10 seconds.
    """
    from ...protocol.gateway import headers_at
    from ...protocol.urls import canonical
    from ..sessions import fresh, listener_for, require_bearer, session_for, usual_options

    options, url = usual_options(arguments.login.network), arguments.url
    if not url:
        raise UsageError(
            "headers needs a SERVER", hint=f"Pass its URL or name, or set {HOST_URL} to its URL"
        )
    connecting = os.environ.get(HOST_URL) or url
    try:
        named = canonical(connecting)
    except UsageError as error:
        whose = f"{HOST_URL}: " if os.environ.get(HOST_URL) else ""
        raise UsageError(f"{whose}{error.summary}", code=error.code, hint=error.remedy) from None
    if canonical(url) != named:
        raise UsageError(
            f"{HOST_URL} is {quoted(named)}, but these headers are for {quoted(canonical(url))}",
            hint="Nothing was printed. Use the same server in both places",
        )
    options = replace(options, patience=0.0)
    on_event = listener_for(arguments.login.output)
    session = session_for(url, arguments.login, on_event=on_event, options=options)
    login = require_bearer(fresh(session, arguments.min_valid, within=_ALL))
    token = f"Bearer {login.tokens.access_token.reveal()}"
    click.echo(json.dumps({**headers_at(login.headers, url), "Authorization": token}))
