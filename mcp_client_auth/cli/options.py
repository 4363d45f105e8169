"""What a verb can be told about the server, the login, the client and the network."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from .commands import PREFIX, Option
from .servers import Server, require_name

if TYPE_CHECKING:
    _Seconds = click.ParamType[float]
else:  # older versions of click do not know what it gives
    _Seconds = click.ParamType

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
ENDPOINTS: Final = (
    "authorization",
    "token",
    "registration",
    "revocation",
    "pushed_authorization",
    "device_authorization",
)
F = TypeVar("F", bound=Callable[..., Any])
Wrap = Callable[[F], F]


class Seconds(_Seconds):
    """Up to a day; none but `or_none`. Not a range of click's, which lets nan pass."""

    name = "seconds"

    def __init__(self, *, or_none: bool = False) -> None:
        self._or_none = or_none

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        with suppress(ValueError):
            number = float(value)
            if 0 < number <= _A_DAY or (self._or_none and number == 0):
                return number
        self.fail("a number of seconds is expected, up to a day", param, ctx)


def port(ctx: click.Context, parameter: click.Parameter, value: int | None) -> int | None:
    if value is not None and not 0 < value < 65_536:
        raise click.BadParameter("a number from 1 to 65535 is expected")
    return value


def pairs(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in value]
    if any(not name or not equals for name, equals, _ in pairs):
        raise click.BadParameter("NAME=VALUE is expected")
    return {name: text for name, _, text in pairs}


def endpoints(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> dict[str, str]:
    found = pairs(ctx, parameter, value)
    if not set(found) <= set(ENDPOINTS):
        raise click.BadParameter(f"NAME is one of {', '.join(ENDPOINTS)}")
    return found


def label(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise click.BadParameter("a label of printable characters is expected")
    return value


def name(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    return None if value is None else require_name(value)


def option(*names: str, env: str = "", **more: Any) -> Callable[[F], F]:
    """An option, which the environment may give as `MCP_CLIENT_AUTH_…` where it has a word."""
    variable = PREFIX + env if env else None
    return click.option(*names, cls=Option, envvar=variable, **more)


def section(title: str, *wraps: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one, in the order in which they are written, under a title."""

    def wrapped(function: F) -> F:
        for wrap in reversed(wraps):
            function = wrap(function)
            function.__click_params__[-1].section = title  # type: ignore[attr-defined]
        return function

    return wrapped


def _quiet(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    from .screen import screen

    screen.quiet = value


def the_server(*, required: bool = True) -> Callable[[F], F]:
    return click.argument(
        "url", metavar="SERVER" if required else "[SERVER]", type=Server(), required=required
    )


as_json: Final = option(
    "--json", is_flag=True, expose_value=False, help="Answer in JSON, errors too."
)  # `answers` has looked for it before click does, for click may fail
account: Final = option(
    "--account",
    default="default",
    metavar="LABEL",
    callback=label,
    env="ACCOUNT",
    help="Which of several logins to this server.",
)
store: Final = option(
    "--store",
    type=click.Choice(["keyring", "file", "memory"]),
    env="STORAGE",
    help="Where credentials are kept (default: the OS keyring).",
)
insecure: Final = option(
    "--allow-insecure-http", is_flag=True, help="Send tokens in clear text beyond this machine."
)
private: Final = option(
    "--allow-private-addresses", is_flag=True, help="Follow it into private networks."
)
ca: Final = option("--ca", metavar="FILE", env="CA", help="Certificate authorities to trust (PEM).")
proxy: Final = option("--proxy", metavar="URL", env="PROXY", help="An HTTP or SOCKS proxy.")
network: Final = section(
    "Network",
    ca,
    proxy,
    option(
        "--cert",
        "client_cert",
        metavar="FILE",
        env="CERT",
        help="A TLS client certificate (PEM).",
    ),
    option(
        "--cert-key",
        "client_cert_key",
        metavar="FILE",
        env="CERT_KEY",
        help="That certificate's key, where it is a file of its own.",
    ),
    insecure,
)
speech: Final = section(
    "Output",
    option("-v", "--verbose", is_flag=True, help="Show each step with the rule that applied."),
    option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_quiet,
        help="Say nothing but errors, questions and addresses to open.",
    ),
    option("--trace", metavar="FILE", help="Write each step as a line of JSON, without secrets."),
)
json_too: Final = section("Output", as_json)


def about_login(function: F) -> F:
    """Whose login it is, where it is kept, how it is reached and what is said."""
    return account(store(network(speech(function))))


scope: Final = option(
    "--scope", metavar="SCOPES", env="SCOPE", help="Scopes to ask for, separated by blanks."
)
issuer: Final = option(
    "--issuer",
    default="",
    metavar="URL",
    env="ISSUER",
    help="Trust this authorization server only.",
)
resource: Final = option(
    "--resource", metavar="URI", env="RESOURCE", help="Send this resource; empty sends none."
)
endpoint: Final = option(
    "--endpoint",
    "endpoints",
    multiple=True,
    metavar="NAME=URL",
    callback=endpoints,
    help="An endpoint of an --issuer without metadata (repeatable): " + ", ".join(ENDPOINTS) + ".",
)
about_client: Final = section(
    "Client",
    option(
        "--client-id",
        metavar="ID",
        env="CLIENT_ID",
        help="A client that the operator registered for you.",
    ),
    option(
        "--client-secret-file",
        type=click.File(encoding="utf-8"),
        metavar="FILE",
        env="CLIENT_SECRET_FILE",
        help="A file with that client's secret (- for standard input).",
    ),
    option(
        "--client-key-file",
        default="",
        metavar="FILE",
        env="CLIENT_KEY_FILE",
        help="That client's private key (PEM or JWK); read at each use.",
    ),
    option(
        "--client-auth-method",
        type=click.Choice(METHODS),
        metavar="METHOD",
        env="CLIENT_AUTH_METHOD",
        help=f"How that client proves itself: {', '.join(METHODS[:-1])} or {METHODS[-1]}.",
    ),
)


def min_valid(default: float) -> Callable[[F], F]:
    return option(
        "--min-valid",
        type=Seconds(or_none=True),
        default=default,
        metavar="SECONDS",
        help=f"How long it shall live at least (default: {default:.0f}).",
    )


def timeout(default: float, what: str) -> Callable[[F], F]:
    return option(
        "--timeout",
        type=Seconds(),
        default=default,
        metavar="SECONDS",
        env="TIMEOUT" if default > 60 else "",
        help=f"{what} (default: {default:.0f}).",
    )
