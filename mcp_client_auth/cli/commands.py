"""The verbs, one function each. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

import click

from .. import __version__
from ..errors import UsageError, quoted

if TYPE_CHECKING:
    from ..credential import Key
    from ..events import Listener
    from ..prompt import Prompt
    from ..prompt.device import DevicePrompt
    from ..protocol.flow import Transport
    from ..protocol.grants import Grant
    from ..protocol.options import Options
    from ..protocol.registration import Identity
    from ..session import Session
    from .progress import Progress

_A_DAY: Final = 86_400.0
# as in `protocol.registration`, which is not loaded to show the help
METHODS: Final = (
    "none",
    "client_secret_post",
    "client_secret_basic",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
)
F = TypeVar("F", bound=Callable[..., Any])


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


def _seconds(ctx: click.Context, parameter: click.Parameter, value: float) -> float:
    if not 0 < value <= _A_DAY:  # not a range of click's, which lets nan pass
        raise click.BadParameter("a number of seconds is expected, up to a day")
    return value


def _pairs(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in value]
    if any(not name or not equals for name, equals, _ in pairs):
        raise click.BadParameter("NAME=VALUE is expected")
    return {name: text for name, _, text in pairs}


def _label(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise click.BadParameter("a label of printable characters is expected")
    return value


@click.group(
    cls=LoginByDefault,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`mcp-login URL` is short for `mcp-login login URL`.",
)
@click.version_option(__version__, message="mcp-login %(version)s")
def cli() -> None:
    """Log in to MCP servers, keep the logins, and use them."""


def _server(*, required: bool = True) -> Callable[[F], F]:
    """What every verb about one server takes."""
    url = click.argument("url", required=required)
    return lambda function: url(_kept(function))


def _kept(function: F) -> F:
    """Whose login it is, how it is spoken for, and where it is kept."""
    insecure = click.option(
        "--allow-insecure-http", is_flag=True, help="Send tokens in clear text."
    )
    store = click.option(
        "--store",
        type=click.Choice(["keyring", "file", "memory"]),
        envvar="MCP_CLIENT_AUTH_STORAGE",
        help="Where credentials are kept (default: the OS keyring).",
    )
    key = click.option(
        "--client-cert-key",
        metavar="FILE",
        envvar="MCP_CLIENT_AUTH_CLIENT_CERT_KEY",
        help="That certificate's key, where it is a file of its own.",
    )
    certificate = click.option(
        "--client-cert",
        metavar="FILE",
        envvar="MCP_CLIENT_AUTH_CLIENT_CERT",
        help="A TLS client certificate (PEM), for clients that prove themselves by one.",
    )
    account = click.option(
        "--account",
        default="default",
        metavar="LABEL",
        callback=_label,
        envvar="MCP_CLIENT_AUTH_ACCOUNT",
        help="Which of several logins to this server.",
    )
    return account(certificate(key(store(insecure(function)))))


def _client(function: F) -> F:
    """What a verb takes that can use a client of the caller's."""
    function = click.option(
        "--client-auth-method",
        type=click.Choice(METHODS),
        metavar="METHOD",
        help=f"How that client proves itself: {', '.join(METHODS[:-1])} or {METHODS[-1]}.",
    )(function)
    function = click.option(
        "--client-key-file",
        default="",
        metavar="FILE",
        help="That client's private key (PEM or JWK); read at each use.",
    )(function)
    function = click.option(
        "--client-secret-file",
        type=click.File(encoding="utf-8"),
        help="A file with that client's secret (- for standard input).",
    )(function)
    return click.option(
        "--client-id", metavar="ID", help="A client that the operator registered for you."
    )(function)


@cli.command()
@_server()
@click.option("--scope", metavar="SCOPES", help="Scopes to ask for, separated by spaces.")
@_client
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
    callback=_pairs,
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
    callback=_seconds,
    help="How long to wait for you (default: 600).",
)
@click.option("--no-browser", is_flag=True, help="Only show the address to open.")
@click.option("--device", is_flag=True, help="Sign in on another device, with a code.")
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
    prompt = (
        _device_prompt(progress) if asked["device"] else _prompt(browser=not asked["no_browser"])
    )
    grant = _device_grant() if asked["device"] else None
    protocol = _protocol(url, asked)
    session = _session(url, account, store, prompt, progress, grant=grant, **protocol)
    before = None if asked["force"] else session.usable()
    if before is None:
        settle(session.edges.storage, asked=store is not None)
    credential = before or session.log_in(force=asked["force"])
    heading = "You are already logged in to" if before else "Logged in to"
    if progress.spoke:
        say("")
    report(credential, session.edges.storage.where, heading=heading)


@cli.command()
@_server()
@click.option(
    "--grant",
    type=click.Choice(["client_credentials", "workload_identity"]),
    help="Get one without a person, for a program of its own.",
)
@_client
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

    protocol = _alone(url, asked)
    patience = Patience(protocol["options"].patience) if at_terminal() else None
    session = _session(url, account, store, on_event=patience, **protocol)
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
@_server(required=False)
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
        leave(_session(url, account, store, **_usual(url, asked)), local=local)
        return
    for key in confirm_all(yes=yes):
        leave(_session_of(key, asked), local=local)


@cli.command()
@_server(required=False)
@click.option("--issuer", default="", metavar="URL", help="Trust this authorization server only.")
@click.option("--register", is_flag=True, help="Register a client for trial, then delete it.")
@click.option("--strict", is_flag=True, help="End with 1 when there is a warning.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--timeout",
    default=10.0,
    metavar="SECONDS",
    callback=_seconds,
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
@_kept
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
        lambda url: _session(url, account, store, None, progress, **_usual(url, asked)),
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


def _prompt(*, browser: bool) -> Prompt:
    from ..prompt.browser import can_open
    from .waiting import talking_prompt

    return talking_prompt(opens=browser and can_open())


def _device_prompt(progress: Progress) -> DevicePrompt:
    from ..prompt.device import DevicePrompt

    return DevicePrompt(progress.show_code)


def _device_grant() -> Grant:
    from ..protocol.grants import DeviceCode

    return DeviceCode()


def _session(
    url: str,
    account: str,
    store: str | None,
    prompt: Prompt | DevicePrompt | None = None,
    on_event: Listener | None = None,
    **protocol: Any,
) -> Session:
    from ..auth import open_session
    from ..credential import key_for
    from ..prompt.device import DevicePrompt
    from ..storage import choose_storage
    from .storing import tell_of_waiting

    tell_of_waiting()
    person = protocol.get("grant") is None or isinstance(prompt, DevicePrompt)
    return open_session(
        url,
        account=account,
        # what a grant without a person gives can be had again, so memory does where no keyring is
        storage=choose_storage(store, key_for(url, account)) if person else store,
        prompt=prompt,
        on_event=on_event,
        personal=True,
        **protocol,
    )


def _session_of(key: Key, asked: dict[str, Any]) -> Session:
    """The session of a login that is listed, whoever made it."""
    from ..session import Session
    from ..steps import Edges, Wanted
    from ..storage import choose_storage
    from ..transport import HttpTransport

    usual = _usual(key.server, asked)
    transport = usual["transport"] or HttpTransport(key.server, usual["options"])
    edges = Edges(choose_storage(None, key), transport)
    return Session(Wanted(key.server, key, options=usual["options"]), edges, None)


def _alone(url: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The grant without a person that the options of `token` make, with client and scope."""
    from ..protocol.grants import ClientCredentials, WorkloadIdentity

    usual = _usual(url, asked)
    if asked["grant"] is None:
        for name in (
            "assertion_file",
            "client_id",
            "client_secret_file",
            "client_key_file",
            "client_auth_method",
            "scope",
            "issuer",
        ):
            if asked[name]:
                raise UsageError(f"--{name.replace('_', '-')} needs --grant")
        return usual
    workload = asked["grant"] == "workload_identity"
    if workload != bool(asked["assertion_file"]):
        raise UsageError("--assertion-file and --grant workload_identity need each other")
    grant = WorkloadIdentity(assertion_file=asked["assertion_file"]) if workload else None
    return {
        **usual,
        "grant": grant or ClientCredentials(),
        "client": _identity({**asked, "client_metadata_url": None}),
        "scope": asked["scope"],
    }


def _usual(url: str, asked: dict[str, Any]) -> dict[str, Any]:
    """What every verb about one server says about the protocol."""
    from ..protocol.options import Options

    options = Options(
        allow_insecure_http=asked["allow_insecure_http"], issuer=asked.get("issuer", "")
    )
    return {"options": options, "transport": _transport(url, options, asked)}


def _transport(url: str, options: Options, asked: dict[str, Any]) -> Transport | None:
    """One with the person's certificate; None for the usual one."""
    from ..transport import HttpTransport

    cert, key = asked["client_cert"], asked["client_cert_key"]
    if key and not cert:
        raise UsageError("--client-cert-key needs --client-cert")
    return HttpTransport(url, options, cert=(cert, key) if key else cert) if cert else None


def _protocol(url: str, asked: dict[str, Any]) -> dict[str, Any]:
    from ..protocol.options import Options
    from ..protocol.redirects import callback_for

    redirect_uri = asked["redirect_uri"]
    if asked["callback_port"]:
        if redirect_uri:
            raise UsageError("--callback-port and --redirect-uri exclude each other")
        redirect_uri = f"http://127.0.0.1:{asked['callback_port']}/callback"
    options = Options(
        resource=asked["resource"],
        issuer=asked["issuer"],
        audience=asked["audience"],
        login_hint=asked["login_hint"],
        authorize_params=asked["params"],
        push_authorization_request=asked["par"],
        initial_access_token=_secret_of(asked["initial_access_token_file"]),
        redirect_uri=redirect_uri,
        dpop=asked["dpop"],
        login_timeout=asked["timeout"],
        assume_pkce_s256=asked["assume_pkce_s256"],
        allow_insecure_http=asked["allow_insecure_http"],
        allow_private_addresses=asked["allow_private_addresses"],
    )
    identity = _identity(asked)
    if redirect_uri:
        callback_for(identity, False, "", options)  # refused here, before anything is sent
    transport = _transport(url, options, asked)
    return {
        "client": identity,
        "scope": asked["scope"],
        "options": options,
        "transport": transport,
    }


def _identity(asked: dict[str, Any]) -> Identity:
    from ..protocol.registration import ClientMetadataDocument, PreRegistered

    client_id, key_file = asked["client_id"], asked["client_key_file"]
    if client_id and asked["client_metadata_url"]:
        raise UsageError("--client-id and --client-metadata-url exclude each other")
    for name in ("client_secret_file", "client_auth_method"):
        if asked[name] and not client_id:
            raise UsageError(f"--{name.replace('_', '-')} needs --client-id")
    if client_id:
        secret, method = _secret_of(asked["client_secret_file"]), asked["client_auth_method"]
        return PreRegistered(client_id, secret, method or "", key_file=key_file)
    if asked["client_metadata_url"]:
        return ClientMetadataDocument(asked["client_metadata_url"], key_file=key_file)
    if key_file:
        raise UsageError("--client-key-file needs --client-id or --client-metadata-url")
    return None


def _secret_of(file: TextIO | None) -> str | None:
    secret = _read_secret(file) if file else None
    if file and not secret:
        raise UsageError(f"the secret file {quoted(file.name, 80)} is empty")
    return secret


def _read_secret(file: TextIO) -> str:
    try:
        return file.read().strip()
    except (OSError, ValueError):
        raise UsageError(
            f"the secret file {quoted(file.name, 80)} cannot be read as text"
        ) from None
