"""`mcp-login token`: prints what a shell or another program needs, and nothing else, on stdout.

The simple case is handled in `quick`.
"""

from __future__ import annotations

from typing import Any

import click

from ...errors import UsageError
from ..arguments import (
    AboutLogin,
    Client,
    command_line,
    endpoints,
    group,
    issuer,
    json_answer,
    metadata_url,
    min_valid,
    option,
    scope,
    server,
)
from ..commands import verb
from ..sources import is_typed, source_of


@command_line
class Program:
    """What a program needs to have tokens of its own."""

    grant: str | None = option(
        "--grant",
        type=click.Choice(["client_credentials", "workload_identity"]),
        metavar="GRANT",
        env="GRANT",
        help="client_credentials or workload_identity, to get a token for a program.",
    )
    assertion_file: str | None = option(
        "--assertion-file",
        metavar="FILE",
        env="ASSERTION_FILE",
        help="File with the workload's JWT.",
    )
    scope: str | None = scope()
    issuer: str = issuer()
    metadata_url: str = metadata_url()
    endpoints: dict[str, str] = endpoints()


@command_line
class Arguments:
    url: str = server()
    min_valid: float = min_valid(0.0)
    header: bool = option("--header", is_flag=True, help="Print the whole Authorization header.")
    login: AboutLogin = group(AboutLogin)
    json: bool = json_answer()
    program: Program = group(Program, "For programs")
    client: Client = group(Client, "Client")


@verb("token", Arguments)
def command(arguments: Arguments) -> None:
    """It never prompts: if you have to log in, it ends with exit code 3. Everything but the token
    goes to stderr.
    """
    from ...prompt.screen import screen
    from ..answers import answers, expiry_fields
    from ..sessions import fresh, listener_for, require_bearer, session_for

    login = arguments.login
    on_event = listener_for(login.output)
    session = session_for(arguments.url, login, on_event=on_event, **_protocol(arguments))
    credential = fresh(session, arguments.min_valid)
    tokens = (require_bearer(credential) if arguments.header else credential).tokens
    token = tokens.access_token.reveal()
    if answers.as_json:
        kind = "DPoP" if tokens.bound else "Bearer"
        fields = {"access_token": token, "token_type": kind, "scopes": tokens.scope}
        answers.give(token={**fields, **expiry_fields(tokens.expires_at)})
    else:
        click.echo(f"Authorization: Bearer {token}" if arguments.header else token)
    if tokens.bound:
        screen.remark("This token is bound to a key (DPoP): each request needs a proof as well.")


_OF_A_PROGRAM = (
    "assertion_file",
    "client_id",
    "client_secret_file",
    "client_key_file",
    "client_auth_method",
    "scope",
    "issuer",
    "metadata_url",
    "endpoints",
)


def _protocol(arguments: Arguments) -> dict[str, Any]:
    """The grant without a person, with its client, scope and options; nothing without `--grant`."""
    from dataclasses import replace

    from ...grants.client_credentials import ClientCredentials
    from ...grants.workload_identity import WorkloadIdentity
    from ..sessions import client_of, endpoints_of, usual_options

    program, client = arguments.program, arguments.client
    if program.grant is None:
        values = {**vars(program), **vars(client)}
        if stray := [name for name in _OF_A_PROGRAM if values[name] and is_typed(name)]:
            raise UsageError(f"{source_of(stray[0])} needs --grant")
        return {}
    workload = program.grant == "workload_identity"
    if workload and not program.assertion_file:
        raise UsageError(f"{source_of('grant')} workload_identity needs --assertion-file")
    if program.assertion_file and not workload:
        raise UsageError(f"{source_of('assertion_file')} needs --grant workload_identity")
    if not workload and not client.client_id:
        raise UsageError(
            f"{source_of('grant')} client_credentials needs --client-id",
            hint="Pass a client that the server's operator registered for this program, with its"
            " --client-secret-file or --client-key-file",
        )
    file = program.assertion_file
    return {
        "grant": WorkloadIdentity(assertion_file=file) if file else ClientCredentials(),
        "client": client_of(client),
        "scope": program.scope,
        "options": replace(
            usual_options(arguments.login.network),
            issuer=program.issuer,
            metadata_url=program.metadata_url,
            endpoints=endpoints_of(program.endpoints, program.issuer),
        ),
    }
