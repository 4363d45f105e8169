"""The verbs, one function each. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import __version__
from ..errors import UsageError, quoted
from .opening import (
    login_protocol,
    program,
    session_for,
    session_of,
    talking,
    usual,
)
from .options import about_client, about_login, about_server, pairs, seconds


class LoginByDefault(click.Group):
    """`mcp-login URL` means `mcp-login login URL`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = bool(args) and not args[0].startswith("-") and "://" not in args[0]
        if not named and any("://" in word for word in args):
            args = ["login", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if self.get_command(ctx, word) is None and any(c in word for c in "./:"):
            raise click.UsageError(
                f"{quoted(word, 80)} is neither a command nor a URL: a URL begins with https://",
                ctx,
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=LoginByDefault,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`mcp-login URL` is short for `mcp-login login URL`.",
)
@click.version_option(__version__, message="mcp-login %(version)s")
def cli() -> None:
    """Log in to MCP servers, keep the logins, and use them."""


@cli.command()
@about_server()
@click.option("--scope", metavar="SCOPES", help="Scopes to ask for, separated by spaces.")
@about_client
@click.option("--client-metadata-url", metavar="URL", help="A client ID metadata document.")
@click.option("--redirect-uri", default="", metavar="URI", help="The callback, on loopback.")
@click.option(
    "--callback-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="The port of the callback.",
)
@click.option("--resource", metavar="URI", help="Send this resource; empty sends none.")
@click.option("--issuer", default="", metavar="URL", help="Trust this authorization server only.")
@click.option("--audience", default="", metavar="URI", help="Ask for a token for this audience.")
@click.option("--login-hint", default="", metavar="NAME", help="As whom you will sign in.")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    callback=pairs,
    help="Another parameter for the sign-in page (repeatable).",
)
@click.option("--par", is_flag=True, help="Push the authorization request to the server.")
@click.option(
    "--initial-access-token-file",
    type=click.File(encoding="utf-8"),
    help="A file with what lets this client register (- for standard input).",
)
@click.option(
    "--timeout",
    default=600.0,
    metavar="SECONDS",
    callback=seconds,
    help="How long to wait for you (default: 600).",
)
@click.option("--no-browser", is_flag=True, help="Only show the address to open.")
@click.option("--device", is_flag=True, help="Show a code for another device, too.")
@click.option("--force", is_flag=True, help="Log in again although you are logged in.")
@click.option("--dpop", is_flag=True, help="Ask for tokens that only a key here can use (DPoP).")
@click.option("--assume-pkce-s256", is_flag=True, help="The server does PKCE though it is silent.")
@click.option("--allow-private-addresses", is_flag=True, help="Follow it into private networks.")
@click.option("-v", "--verbose", is_flag=True, help="Show each of the fifteen steps.")
def login(url: str, account: str, store: str | None, verbose: bool, **asked: Any) -> None:
    """Log in to the MCP server at URL."""
    from .progress import Progress, report
    from .screen import say
    from .storing import settle

    progress = Progress(verbose=verbose)
    prompt = talking(browser=not asked["no_browser"], device=asked["device"])
    session = session_for(url, account, store, prompt, progress, **login_protocol(url, asked))
    before = None if asked["force"] else session.usable()
    if before is None:
        settle(session.edges.storage, asked=store is not None)
    credential = before or session.log_in(force=asked["force"])
    heading = "You are already logged in to" if before else "Logged in to"
    if progress.spoke:
        say("")
    report(credential, session.edges.storage.where, heading=heading)


@cli.command()
@about_server()
@click.option(
    "--grant",
    type=click.Choice(["client_credentials", "workload_identity"]),
    help="Get one without a person, for a program of its own.",
)
@about_client
@click.option(
    "--assertion-file",
    metavar="FILE",
    help="A file with the workload's own JWT.",
)
@click.option("--scope", metavar="SCOPES", help="Scopes to ask for, separated by spaces.")
@click.option("--issuer", default="", metavar="URL", help="Trust this authorization server only.")
def token(url: str, account: str, store: str | None, **asked: Any) -> None:
    """Print a valid access token for URL, refreshed first when needed."""
    from .progress import Patience
    from .screen import at_terminal, say

    protocol = program(url, asked)
    patience = Patience(protocol["options"].patience) if at_terminal() else None
    session = session_for(url, account, store, on_event=patience, **protocol)
    tokens = session.fresh().tokens
    click.echo(tokens.access_token.reveal())
    if tokens.bound:
        say(
            "This token is bound to a key (DPoP): it is of no use without a proof for each request."
        )


@cli.command(name="list")
def list_() -> None:
    """List the logins on this machine."""
    from ..credential import PERSONAL
    from ..storage.index import Index
    from .progress import expiry, plain, table
    from .screen import say

    found = Index().all()
    if not found:
        say("You are not logged in to any server. Log in with: mcp-login URL")
        return
    rows = [("SERVER", "ACCOUNT", "KEPT IN", "EXPIRES")]
    for entry in found:
        until = expiry(entry.expires_at, renewable=entry.renewable)
        kind = entry.key.grant if entry.key.grant != PERSONAL else ""
        own = " ".join(word for word in (kind, entry.key.client) if word)
        label = entry.key.account + (f" ({own})" if own else "")
        rows.append((plain(entry.key.server), plain(label), plain(entry.storage), until))
    click.echo(table(rows))


@cli.command()
@about_server(required=False)
@click.option("--all", "every", is_flag=True, help="Every login on this machine.")
@click.option("--local", is_flag=True, help="Delete it here only; the server is not told.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def logout(
    url: str | None,
    account: str,
    store: str | None,
    every: bool,
    local: bool,
    yes: bool,
    **asked: Any,
) -> None:
    """Log out of URL: delete the login here, end it at the server."""
    from .leaving import confirm_all, leave

    if every == bool(url):
        raise UsageError("logout needs a URL, or --all")
    if url:
        leave(session_for(url, account, store, **usual(url, asked)), local=local)
        return
    for key in confirm_all(yes=yes):
        leave(session_of(key, asked), local=local)


@cli.command()
@about_server(required=False)
@click.option("--issuer", default="", metavar="URL", help="Trust this authorization server only.")
@click.option("--register", is_flag=True, help="Register a client for trial, then delete it.")
@click.option("--strict", is_flag=True, help="End with 1 when there is a warning.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--timeout",
    default=10.0,
    metavar="SECONDS",
    callback=seconds,
    help="How long to wait for one answer (default: 10).",
)
@click.option("--allow-private-addresses", is_flag=True, help="Follow it into private networks.")
def doctor(url: str | None, account: str, store: str | None, **asked: Any) -> int:
    """Check all that a login to URL needs, without a login.

    Without URL only this machine is checked. The report holds no secret and is made to be
    pasted into an issue.
    """
    from ..credential import key_for
    from ..doctor import Asked
    from ..protocol.options import Options
    from ..storage import choose_storage
    from .doctor import run_doctor

    options = Options(
        issuer=asked["issuer"],
        http_timeout=asked["timeout"],
        allow_insecure_http=asked["allow_insecure_http"],
        allow_private_addresses=asked["allow_private_addresses"],
    )
    url = (url or "").strip().partition("#")[0]
    key = key_for(url, account) if url else None
    wanted = Asked(choose_storage(store, key), url, key, options, asked["register"])
    return run_doctor(wanted, strict=asked["strict"], as_json=asked["as_json"])


@cli.command(name="import")
@about_login
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option(
    "--from",
    "place",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The cache of mcp-remote (default: ~/.mcp-auth).",
)
@click.option("-y", "--yes", is_flag=True, help="Import without asking.")
@click.option("--force", is_flag=True, help="Replace a login that you have here.")
@click.option("--no-check", is_flag=True, help="Do not try each login at its server.")
@click.option("-v", "--verbose", is_flag=True, help="Show each request and its answer.")
def import_(
    urls: tuple[str, ...],
    account: str,
    store: str | None,
    place: Path | None,
    yes: bool,
    force: bool,
    no_check: bool,
    verbose: bool,
    **asked: Any,
) -> int:
    """Take over the logins of mcp-remote, for each URL or for all."""
    from .importing import run_import
    from .progress import Progress

    progress = Progress(verbose=True) if verbose else None
    return run_import(
        urls,
        lambda url: session_for(url, account, store, None, progress, **usual(url, asked)),
        place=place,
        yes=yes,
        force=force,
        check=not no_check,
    )


@cli.command()
@click.option("--no-browser", is_flag=True, help="Let a scripted browser sign in.")
def demo(no_browser: bool) -> None:
    """Log in to a demo server in fifteen steps, and call a tool."""
    from .demo import run_demo

    run_demo(browser=not no_browser)
