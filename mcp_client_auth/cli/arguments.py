"""The arguments of each verb: a dataclass, whose fields are its arguments and options.

A field made by `group` is a dataclass of its own that several verbs share. This module is loaded
to show a help page, so what costs time to import is imported inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar, dataclass_transform

import click
from click.core import ParameterSource

from .servers import Server
from .values import (
    ENDPOINTS,
    Seconds,
    StoragePlace,
    checked,
    endpoint_pairs,
    existing,
    header_sources,
    hush,
    label,
    pairs,
    port,
    proxy_url,
    storage_place,
)

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PREFIX: Final = "MCP_CLIENT_AUTH_"
# As in `protocol.registration`, which is not loaded to show a help page.
METHODS: Final = (
    "none",
    "client_secret_post",
    "client_secret_basic",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
)
T = TypeVar("T")


class Option(click.Option):
    """An option in a section of its verb's help."""

    section: str = "Options"

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Blame a value of the environment on its variable, not on the option."""
        try:
            return super().process_value(ctx, value)
        except click.BadParameter as error:
            source = ctx.get_parameter_source(self.name or "")
            if source is ParameterSource.ENVIRONMENT and isinstance(self.envvar, str):
                error.param_hint = self.envvar
            raise

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Leave the names of files to the shell."""
        if self.metavar != "FILE":
            return super().shell_complete(ctx, incomplete)
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


def argument(metavar: str, **more: Any) -> Any:
    """Return a field for a positional argument."""
    return field(metadata={"as": partial(click.Argument, metavar=metavar, **more)})


def option(*names: str, env: str = "", section: str = "", **more: Any) -> Any:
    """Return a field for an option, also read from the variable `MCP_CLIENT_AUTH_` + `env`."""
    made = partial(Option, envvar=PREFIX + env if env else None, **more)
    return field(metadata={"as": made, "names": names, "section": section})


def group(kind: type[T], section: str = "") -> T:
    """A field that holds several options, in a section of the help."""
    made: T = field(metadata={"group": kind, "section": section})
    return made


@dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(argument, option, group)
)
def command_line(kind: type[T]) -> type[T]:
    """Make a dataclass of such fields. It has no repr: a proxy's URL may hold a password."""
    # without a docstring one is made of the signature, which takes longer than the rest of it
    kind.__doc__ = kind.__doc__ or kind.__name__
    # the type checker keeps it frozen: at run time that takes longer, too
    return dataclass(repr=False, eq=False, kw_only=True)(kind)


def server(*, required: bool = True, **more: Any) -> Any:
    word = "SERVER" if required else "[SERVER]"
    return argument(word, type=Server(), required=required, **more)


def parameters(kind: Any, section: str = "") -> Iterator[click.Parameter]:
    """Yield the click parameters for a dataclass, in the order of the help."""
    for each in fields(kind):
        title = each.metadata.get("section") or section
        if "group" in each.metadata:
            yield from parameters(each.metadata["group"], title)
            continue
        made = each.metadata["as"]([*each.metadata.get("names", ()), each.name])
        made.section = title or Option.section
        yield made


def read(kind: type[T], values: Mapping[str, Any]) -> T:
    """The dataclass with the values that click has read."""
    return kind(
        **{
            each.name: read(each.metadata["group"], values)
            if "group" in each.metadata
            else values[each.name]
            for each in fields(kind)  # type: ignore[arg-type]
        }
    )


def json_answer() -> Any:
    """Return the option, which `answers` looks for before click does, because click may fail."""
    return option(
        "--json", is_flag=True, section="Output", help="Print the answer as JSON, errors too."
    )


def allow_private_addresses(section: str = "") -> Any:
    return option(
        "--allow-private-addresses",
        section=section,
        is_flag=True,
        help="Allow the server to name addresses in private networks.",
    )


def scope(section: str = "") -> Any:
    return option(
        "--scope",
        metavar="SCOPES",
        env="SCOPE",
        section=section,
        help="Scopes to request, separated by spaces.",
    )


def issuer() -> Any:
    return option(
        "--issuer",
        default="",
        metavar="URL",
        env="ISSUER",
        help="Trust only this authorization server.",
    )


def metadata_url(section: str = "") -> Any:
    return option(
        "--metadata-url",
        section=section,
        default="",
        metavar="URL",
        help="Where the metadata of --issuer lies, if not at a well-known place.",
    )


def endpoints(section: str = "") -> Any:
    names = ", ".join(ENDPOINTS)
    return option(
        "--endpoint",
        section=section,
        multiple=True,
        metavar="NAME=URL",
        callback=checked(endpoint_pairs),
        help=f"Endpoint of an --issuer without metadata (repeatable): {names}.",
    )


def no_browser(what: str) -> Any:
    return option("--no-browser", is_flag=True, env="NO_BROWSER", help=what)


def gateway_headers(section: str = "") -> Any:
    return option(
        "--gateway-header",
        section=section,
        multiple=True,
        metavar="HEADER",
        callback=checked(header_sources),
        help="Header for a gateway in front of the server, whose value is a secret: 'NAME:"
        " ${VARIABLE}' or 'NAME: @FILE' (repeatable).",
    )


def min_valid(default: float) -> Any:
    return option(
        "--min-valid",
        type=Seconds(or_none=True),
        default=default,
        metavar="SECONDS",
        help=f"How long the token must remain valid (default: {default:.0f}).",
    )


def timeout(default: float, what: str, env: str = "", section: str = "") -> Any:
    return option(
        "--timeout",
        type=Seconds(),
        default=default,
        metavar="SECONDS",
        env=env,
        section=section,
        help=f"{what} (default: {default:.0f}).",
    )


@command_line
class Route:
    """How to reach anything on the network."""

    ca: str | None = option(
        "--ca",
        metavar="FILE",
        env="CA",
        callback=existing,
        help="Certificate authorities to trust (PEM).",
    )
    proxy: str | None = option(
        "--proxy",
        metavar="URL",
        env="PROXY",
        callback=checked(proxy_url),
        help="HTTP or SOCKS proxy.",
    )


@command_line
class Network(Route):
    """How a server is reached."""

    client_cert: str | None = option(
        "--cert",
        metavar="FILE",
        env="CERT",
        callback=existing,
        help="TLS client certificate (PEM).",
    )
    client_cert_key: str | None = option(
        "--cert-key",
        metavar="FILE",
        env="CERT_KEY",
        callback=existing,
        help="Its private key, if that is in a file of its own.",
    )
    allow_insecure_http: bool = option(
        "--allow-insecure-http",
        is_flag=True,
        help="Allow sending tokens unencrypted to other machines.",
    )


@command_line
class Output:
    """What people are shown on the way."""

    verbose: bool = option(
        "-v", "--verbose", is_flag=True, help="Show each step and the rule that applies."
    )
    quiet: bool = option(
        "-q",
        "--quiet",
        is_flag=True,
        is_eager=True,  # reading the other options may print a remark
        callback=checked(hush),
        help="Show only errors, questions and addresses to open.",
    )
    trace: str | None = option(
        "--trace", metavar="FILE", help="Write each step as a line of JSON, without secrets."
    )


@command_line
class Place:
    """Which login, and where it is kept."""

    account: str = option(
        "--account",
        default="default",
        metavar="LABEL",
        callback=checked(label),
        env="ACCOUNT",
        help="Which of several logins to this server.",
    )
    store: str | None = option(
        "--store",
        type=StoragePlace(),
        callback=checked(storage_place),
        env="STORAGE",
        metavar="PLACE",
        help="Keep logins in the keyring (default), file or memory, or at a URL.",
    )


@command_line
class AboutLogin(Place):
    """Whose login it is, where it is kept, how it is reached and what is shown."""

    network: Network = group(Network, "Network")
    output: Output = group(Output, "Output")


@command_line
class Client:
    """A client that an operator has registered."""

    client_id: str | None = option(
        "--client-id",
        callback=checked(str.strip),  # spaces from a shell or a file
        metavar="ID",
        env="CLIENT_ID",
        help="ID of a client that the operator registered for you.",
    )
    client_secret_file: TextIO | None = option(
        "--client-secret-file",
        type=click.File(encoding="utf-8-sig"),
        metavar="FILE",
        env="CLIENT_SECRET_FILE",
        help="File with the client's secret (- for standard input).",
    )
    client_key_file: str = option(
        "--client-key-file",
        default="",
        metavar="FILE",
        env="CLIENT_KEY_FILE",
        help="File with the client's private key (PEM or JWK); read at each use.",
    )
    client_auth_method: str | None = option(
        "--client-auth-method",
        type=click.Choice(METHODS),
        metavar="METHOD",
        env="CLIENT_AUTH_METHOD",
        help=f"How the client authenticates: {', '.join(METHODS[:-1])} or {METHODS[-1]}.",
    )


@command_line
class AtProvider:
    """The company's identity provider, and our client there."""

    grant: str | None = option(
        "--grant",
        type=click.Choice(["enterprise_managed"]),
        metavar="GRANT",
        help="Use enterprise_managed to sign in at your company's identity provider, once for all"
        " of its servers; with --idp-issuer, --idp-client-id and --client-id.",
    )
    idp_issuer: str = option(
        "--idp-issuer",
        default="",
        metavar="URL",
        env="IDP_ISSUER",
        help="Issuer of the identity provider.",
    )
    idp_client_id: str = option(
        "--idp-client-id",
        default="",
        callback=checked(str.strip),
        metavar="ID",
        env="IDP_CLIENT_ID",
        help="ID of the client that is registered there.",
    )
    idp_client_secret_file: TextIO | None = option(
        "--idp-client-secret-file",
        type=click.File(encoding="utf-8-sig"),
        metavar="FILE",
        env="IDP_CLIENT_SECRET_FILE",
        help="File with that client's secret (- for standard input).",
    )
    idp_client_auth_method: str | None = option(
        "--idp-client-auth-method",
        type=click.Choice(METHODS[:4]),
        metavar="METHOD",
        env="IDP_CLIENT_AUTH_METHOD",
        help=f"How that client authenticates: {', '.join(METHODS[:3])} or {METHODS[3]}.",
    )
    idp_scope: str = option(
        "--idp-scope",
        default="",
        metavar="SCOPES",
        env="IDP_SCOPE",
        help="Scopes to request there (default: openid offline_access).",
    )


@command_line
class ClientToRegister:
    """A client that registers itself, or is known by its document, and its callback."""

    client_metadata_url: str | None = option(
        "--client-metadata-url",
        metavar="URL",
        env="CLIENT_METADATA_URL",
        help="Use this client ID metadata document.",
    )
    client_name: str = option(
        "--client-name",
        default="",
        metavar="NAME",
        env="CLIENT_NAME",
        help="Name to register this client under.",
    )
    initial_access_token_file: TextIO | None = option(
        "--initial-access-token-file",
        type=click.File(encoding="utf-8-sig"),
        metavar="FILE",
        env="INITIAL_ACCESS_TOKEN_FILE",
        help="File with an initial access token, if registration needs one (- for standard input).",
    )
    callback_port: int | None = option(
        "--callback-port",
        type=int,
        metavar="PORT",
        callback=checked(port),
        env="CALLBACK_PORT",
        help="Port of the callback.",
    )
    redirect_uri: str = option(
        "--redirect-uri",
        default="",
        metavar="URI",
        env="REDIRECT_URI",
        help="Redirect URI of the callback, on loopback.",
    )


@command_line
class Authorization:
    """What to request, and what is known about the authorization server."""

    issuer: str = issuer()
    metadata_url: str = metadata_url()
    endpoints: dict[str, str] = endpoints()
    resource: str | None = option(
        "--resource", metavar="URI", env="RESOURCE", help="Resource to send; empty sends none."
    )
    audience: str = option(
        "--audience",
        default="",
        metavar="URI",
        env="AUDIENCE",
        help="Audience to request a token for.",
    )
    login_hint: str = option(
        "--login-hint", default="", metavar="NAME", help="User name to suggest to the sign-in page."
    )
    params: dict[str, str] = option(
        "--param",
        multiple=True,
        metavar="NAME=VALUE",
        callback=checked(pairs),
        help="Extra parameter of the authorization request (repeatable).",
    )
    par: bool = option(
        "--par", is_flag=True, help="Push the authorization request to the server (PAR)."
    )
    refresh_scope: bool = option(
        "--refresh-scope", is_flag=True, help="Send the scopes with each refresh, too."
    )
    dpop: bool = option(
        "--dpop",
        is_flag=True,
        help="Request tokens that only a key on this machine can use (DPoP).",
    )
    require_iss: bool = option(
        "--require-iss",
        is_flag=True,
        help="Refuse an authorization server that does not promise iss.",
    )
    allow_mix_up: bool = option(
        "--allow-mix-up",
        is_flag=True,
        help="Use a client metadata document even if codes of another server could come.",
    )
    assume_pkce_s256: bool = option(
        "--assume-pkce-s256",
        is_flag=True,
        help="Use PKCE even if the server does not advertise it.",
    )
    allow_private_addresses: bool = allow_private_addresses()
    gateway_headers: dict[str, Any] = gateway_headers()


@command_line
class NewLogin:
    """What only a verb that logs in asks for."""

    to_register: ClientToRegister = group(ClientToRegister, "Client")
    client: Client = group(Client, "Client")
    authorization: Authorization = group(Authorization, "Authorization")
    provider: AtProvider = group(AtProvider, "Identity provider of a company")
