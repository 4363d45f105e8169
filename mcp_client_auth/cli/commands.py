"""The verbs, one function each. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

import click

from .. import __version__
from ..errors import UsageError, quoted

if TYPE_CHECKING:
    from ..credential import Key
    from ..prompt import Prompt
    from ..prompt.device import DevicePrompt
    from ..protocol.grants import Grant
    from ..protocol.options import Options
    from ..protocol.registration import Identity
    from ..session import Session
    from .progress import Progress

_A_DAY: Final = 86_400.0
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
    insecure = click.option(
        "--allow-insecure-http", is_flag=True, help="Send tokens in clear text."
    )
    store = click.option(
        "--store",
        type=click.Choice(["keyring", "file", "memory"]),
        envvar="MCP_CLIENT_AUTH_STORAGE",
        help="Where credentials are kept (default: the OS keyring).",
    )
    account = click.option(
        "--account",
        default="default",
        metavar="LABEL",
        callback=_label,
        envvar="MCP_CLIENT_AUTH_ACCOUNT",
        help="Which of several logins to this server.",
    )
    url = click.argument("url", required=required)
    return lambda function: url(account(store(insecure(function))))


def _client(function: F) -> F:
    """What a verb takes that can use a client of the caller's."""
    function = click.option(
        "--client-auth-method",
        type=click.Choice(["none", "client_secret_post", "client_secret_basic"]),
        metavar="METHOD",
        help="How that client proves itself: client_secret_post, client_secret_basic or none.",
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
    from .progress import Progress, report, say
    from .storing import settle

    opens = _opens(browser=not asked["no_browser"])
    progress = Progress(verbose=verbose, opens=opens)
    prompt = _device_prompt(progress) if asked["device"] else _prompt(progress, opens=opens)
    grant = _device_grant() if asked["device"] else None
    session = _session(url, account, store, prompt, progress, grant=grant, **_protocol(asked))
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
    session = _session(url, account, store, **_alone(asked))
    tokens = session.fresh().tokens
    click.echo(tokens.access_token.reveal())
    if tokens.bound:
        from .progress import say

        say(
            "This token is bound to a key (DPoP): it is of no use without a proof for each request."
        )


@cli.command(name="list")
def list_() -> None:
    """List the logins on this machine."""
    from ..credential import PERSONAL
    from ..storage.index import Index
    from .progress import expiry, plain, say, table

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
    allow_insecure_http: bool,
    every: bool,
    local: bool,
    yes: bool,
) -> None:
    """Log out of URL: delete the login here, end it at the server."""
    from .leaving import confirm_all, leave

    if every == bool(url):
        raise UsageError("logout needs a URL, or --all")
    options = _options(allow_insecure_http)
    if url:
        leave(_session(url, account, store, options=options), local=local)
        return
    for key in confirm_all(yes=yes):
        leave(_session_of(key, options), local=local)


@cli.command()
@click.option("--no-browser", is_flag=True, help="Let a scripted browser sign in.")
def demo(no_browser: bool) -> None:
    """Log in to a demo server in fifteen steps, and call a tool."""
    from .demo import run_demo

    run_demo(browser=not no_browser)


def _opens(*, browser: bool) -> bool:
    from ..prompt.browser import can_open

    return browser and can_open()


def _prompt(progress: Progress, *, opens: bool) -> Prompt:
    from ..prompt import BrowserPrompt
    from ..prompt.browser import open_url

    return BrowserPrompt(open_url if opens else lambda url: False, progress.show_url)


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
    progress: Progress | None = None,
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
        on_event=progress,
        personal=True,
        **protocol,
    )


def _session_of(key: Key, options: Options) -> Session:
    """The session of a login that is listed, whoever made it."""
    from ..session import Session
    from ..steps import Edges, Wanted
    from ..storage import choose_storage
    from ..transport import HttpTransport

    edges = Edges(choose_storage(None, key), HttpTransport(key.server, options))
    return Session(Wanted(key.server, key, options=options), edges, None)


def _options(allow_insecure_http: bool, issuer: str = "") -> Options:
    from ..protocol.options import Options

    return Options(allow_insecure_http=allow_insecure_http, issuer=issuer)


def _alone(asked: dict[str, Any]) -> dict[str, Any]:
    """The grant without a person that the options of `token` make, with client and scope."""
    from ..protocol.grants import ClientCredentials, WorkloadIdentity

    options = _options(asked["allow_insecure_http"], asked["issuer"])
    if asked["grant"] is None:
        for name, value in asked.items():
            if value and name != "allow_insecure_http":
                raise UsageError(f"--{name.replace('_', '-')} needs --grant")
        return {"options": options}
    workload = asked["grant"] == "workload_identity"
    if workload != bool(asked["assertion_file"]):
        raise UsageError("--assertion-file and --grant workload_identity need each other")
    grant = WorkloadIdentity(assertion_file=asked["assertion_file"]) if workload else None
    return {
        "grant": grant or ClientCredentials(),
        "client": _identity({**asked, "client_metadata_url": None}),
        "scope": asked["scope"],
        "options": options,
    }


def _protocol(asked: dict[str, Any]) -> dict[str, Any]:
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
    return {"client": identity, "scope": asked["scope"], "options": options}


def _identity(asked: dict[str, Any]) -> Identity:
    from ..protocol.registration import ClientMetadataDocument, PreRegistered

    secret_file, client_id = asked["client_secret_file"], asked["client_id"]
    if client_id and asked["client_metadata_url"]:
        raise UsageError("--client-id and --client-metadata-url exclude each other")
    for name in ("client_secret_file", "client_auth_method"):
        if asked[name] and not client_id:
            raise UsageError(f"--{name.replace('_', '-')} needs --client-id")
    if client_id:
        secret = _read_secret(secret_file) if secret_file else None
        if secret_file and not secret:
            raise UsageError(f"the secret file {quoted(secret_file.name, 80)} is empty")
        return PreRegistered(client_id, secret, asked["client_auth_method"] or "")
    if asked["client_metadata_url"]:
        return ClientMetadataDocument(asked["client_metadata_url"])
    return None


def _read_secret(file: TextIO) -> str:
    try:
        return file.read().strip()
    except (OSError, ValueError):
        raise UsageError(
            f"the secret file {quoted(file.name, 80)} cannot be read as text"
        ) from None
