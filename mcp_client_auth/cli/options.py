"""What a verb can be told about the server, the login and the client: options of several verbs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

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


def seconds(ctx: click.Context, parameter: click.Parameter, value: float) -> float:
    if not 0 < value <= _A_DAY:  # not a range of click's, which lets nan pass
        raise click.BadParameter("a number of seconds is expected, up to a day")
    return value


def pairs(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in value]
    if any(not name or not equals for name, equals, _ in pairs):
        raise click.BadParameter("NAME=VALUE is expected")
    return {name: text for name, _, text in pairs}


def label(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise click.BadParameter("a label of printable characters is expected")
    return value


def about_server(*, required: bool = True) -> Callable[[F], F]:
    """What every verb about one server takes."""
    url = click.argument("url", required=required)
    return lambda function: url(about_login(function))


def about_login(function: F) -> F:
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
        callback=label,
        envvar="MCP_CLIENT_AUTH_ACCOUNT",
        help="Which of several logins to this server.",
    )
    return account(certificate(key(store(insecure(function)))))


def about_client(function: F) -> F:
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
