"""`mcp-login login`: the fifteen steps, with a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ...errors import RegistrationRefused
from ..commands import verb
from ..opening import listening, session_for, talking
from ..options import (
    about_client,
    about_login,
    endpoint,
    issuer,
    json_too,
    name,
    option,
    pairs,
    port,
    private,
    resource,
    scope,
    section,
    the_server,
    timeout,
)
from ..wishes import login_protocol

if TYPE_CHECKING:
    from ...credential import Credential
    from ...session import Session


@verb("login")
@the_server()
@option(
    "--name",
    metavar="NAME",
    callback=name,
    help="Call this server so from now on.",
)
@scope
@option("--force", is_flag=True, help="Log in again although you are logged in.")
@option("--switch", is_flag=True, help="Sign in as somebody else than the server remembers.")
@option("--no-browser", is_flag=True, env="NO_BROWSER", help="Only show the address to open.")
@option("--device", is_flag=True, env="DEVICE", help="Show a code for another device, too.")
@timeout(600.0, "How long to wait for you")
@about_login
@json_too
@section(
    "Client",
    option(
        "--client-metadata-url",
        metavar="URL",
        env="CLIENT_METADATA_URL",
        help="A client ID metadata document.",
    ),
    option(
        "--client-name",
        default="",
        metavar="NAME",
        env="CLIENT_NAME",
        help="What this client is called where it registers.",
    ),
    option("--new-client", is_flag=True, help="Register anew, whatever client was used before."),
    option(
        "--initial-access-token-file",
        type=click.File(encoding="utf-8"),
        metavar="FILE",
        env="INITIAL_ACCESS_TOKEN_FILE",
        help="A file with what lets this client register (- for standard input).",
    ),
    option(
        "--callback-port",
        type=int,
        metavar="PORT",
        callback=port,
        env="CALLBACK_PORT",
        help="The port of the callback.",
    ),
    option(
        "--redirect-uri",
        default="",
        metavar="URI",
        env="REDIRECT_URI",
        help="The callback, on loopback.",
    ),
)
@about_client
@section(
    "Authorization",
    issuer,
    endpoint,
    resource,
    option(
        "--audience",
        default="",
        metavar="URI",
        env="AUDIENCE",
        help="Ask for a token for this audience.",
    ),
    option("--login-hint", default="", metavar="NAME", help="As whom you will sign in."),
    option(
        "--param",
        "params",
        multiple=True,
        metavar="NAME=VALUE",
        callback=pairs,
        help="Another parameter for the sign-in page (repeatable).",
    ),
    option("--par", is_flag=True, help="Push the authorization request to the server."),
    option("--refresh-scope", is_flag=True, help="Name the scopes in each refresh, too."),
    option("--dpop", is_flag=True, help="Ask for tokens that only a key here can use (DPoP)."),
    option("--assume-pkce-s256", is_flag=True, help="The server does PKCE though it is silent."),
    private,
)
def command(url: str, **asked: Any) -> None:
    """Log in to an MCP server.

    SERVER is its URL, its host, or a name: one that you gave it with --name, or that an
    .mcp.json at hand gives it. You sign in in your browser; where no callback can arrive, paste
    the address of the last page here. The login is kept in the keyring of your system.
    """
    from ..answers import answers, login_fields
    from ..progress import report

    credential, session, already = _logged_in(url, asked)
    names = _named(asked["name"], session.key.server)
    where = session.edges.storage.where
    heading = "You are already logged in to" if already else "Logged in to"
    report(credential, where, heading=heading)
    if answers.as_json:
        entry = session.edges.storage.summary(session.key)
        answers.give(login=entry and login_fields(entry, names), already=already)


def _logged_in(url: str, asked: dict[str, Any]) -> tuple[Credential, Session, bool]:
    """The login, and whether it was there."""
    from ..progress import Progress
    from ..storing import settle

    anew = asked["force"] or asked["switch"] or asked["new_client"]
    progress = Progress(verbose=asked["verbose"])
    told = listening(asked, progress)
    prompt = talking(browser=not asked["no_browser"], device=asked["device"])
    protocol = login_protocol(url, asked)
    session = session_for(url, asked, prompt, told, **protocol)
    before = None if anew else session.usable()
    if before is not None:
        return before, session, True
    settle(session.edges.storage, asked=asked["store"] is not None)
    try:
        return session.log_in(force=anew), session, False
    except RegistrationRefused as error:
        from ..asking import client_of_person

        protocol["client"] = client_of_person(error)
        session = session_for(url, asked, prompt, told, **protocol)
        return session.log_in(force=anew), session, False


def _named(name: str | None, server: str) -> dict[str, str]:
    """All names, once this one is given."""
    from ...storage.index import Index

    index = Index()
    if name:
        index.name(name, server)
    return index.names()
