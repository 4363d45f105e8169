"""`mcp-login token`: what a shell or another program needs, and nothing else, on stdout.

The plain case does not come here: see `quick`.
"""

from __future__ import annotations

from typing import Any

import click

from ..commands import verb
from ..opening import listening, session_for
from ..options import (
    about_client,
    about_login,
    endpoint,
    issuer,
    json_too,
    min_valid,
    option,
    scope,
    section,
    the_server,
)
from ..wishes import program


@verb("token")
@the_server()
@min_valid(0.0)
@option("--header", is_flag=True, help="Print the whole Authorization header.")
@about_login
@json_too
@section(
    "Without a person",
    option(
        "--grant",
        type=click.Choice(["client_credentials", "workload_identity"]),
        metavar="GRANT",
        env="GRANT",
        help="client_credentials or workload_identity, for a program of its own.",
    ),
    option(
        "--assertion-file",
        metavar="FILE",
        env="ASSERTION_FILE",
        help="A file with the workload's own JWT.",
    ),
    scope,
    issuer,
    endpoint,
)
@about_client
def command(url: str, min_valid: float, header: bool, **asked: Any) -> None:
    """Print a valid access token, refreshed first when needed.

    Nobody is asked: where a person must log in it ends with exit code 3. Everything but the
    token goes to stderr.
    """
    from ...errors import UsageError
    from ..answers import answers, expiry_fields
    from ..opening import fresh
    from ..screen import screen

    session = session_for(url, asked, on_event=listening(asked), **program(url, asked))
    tokens = fresh(session, min_valid).tokens
    token = tokens.access_token.reveal()
    if header and tokens.bound:
        raise UsageError(
            "this login is bound to a key (DPoP), so no header fits every request",
            hint="Use: mcp-login request",
        )
    if answers.as_json:
        kind = "DPoP" if tokens.bound else "Bearer"
        told = {"access_token": token, "token_type": kind, "scopes": tokens.scope}
        answers.give(token={**told, **expiry_fields(tokens.expires_at)})
    else:
        click.echo(f"Authorization: Bearer {token}" if header else token)
    if tokens.bound:
        screen.remark(
            "This token is bound to a key (DPoP): it is of no use without a proof for each request."
        )
