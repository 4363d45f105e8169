"""The settings of a demo server, chosen before it starts; nothing here changes afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

AuthMethod: TypeAlias = Literal[
    "none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"
]
AUTH_METHODS: tuple[AuthMethod, ...] = get_args(AuthMethod)
OFFLINE_ACCESS = "offline_access"
SIGNING_ALGORITHMS = ("ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA", "Ed25519", "HS256")
Dpop: TypeAlias = Literal["off", "supported", "required"]
Nonces: TypeAlias = Literal["none", "as", "mcp", "both"]
OfflineRefusal: TypeAlias = Literal["", "authorization", "registration"]
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "dpop": get_args(Dpop),
    "dpop_nonces": get_args(Nonces),
    "registration_method": AUTH_METHODS,
    "refuse_offline_access": get_args(OfflineRefusal),
}
_NUMBERS = ("access_token_seconds", "device_interval", "device_code_seconds", "latency")


def require_one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is one of {', '.join(map(repr, choices))}, not {value!r}")


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client that the authorization server knows.

    `public_key`: what its assertions are checked with, as PEM or JWK text (private_key_jwt).

    Example:
        ```python
        from mcp_client_auth.testing import DemoServer, RegisteredClient, Settings

        client = RegisteredClient("app", "s3cret", "client_secret_post", ("http://127.0.0.1/callback",))
        with DemoServer(Settings(clients=(client,), registration=False)) as server:
            print(server.url)
        ```
    """

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    method: AuthMethod = "none"
    redirect_uris: tuple[str, ...] = ()
    name: str = ""
    public_key: str = ""

    def __post_init__(self) -> None:
        if self.method.startswith("client_secret") == (self.client_secret is None):
            raise ValueError(f"method {self.method!r} and the presence of a secret disagree")
        if (self.method == "private_key_jwt") != bool(self.public_key):
            raise ValueError(f"method {self.method!r} and the presence of a public key disagree")


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer whose assertions are accepted (RFC 7523 §3), and the public key that checks them.

    Example:
        ```python
        from mcp_client_auth.testing import DemoServer, IdentityProvider, Settings, TrustedIssuer

        with IdentityProvider() as idp:
            trusted: TrustedIssuer = idp.trusted
            with DemoServer(Settings(trusted_issuers=(trusted,))) as server:
                print(server.issuer, "trusts", trusted.issuer)
        ```
    """

    issuer: str
    jwk: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How both servers behave.

    `scopes`: what the resource lists, and what is granted when none is asked for.
    `write_scope`: what the tool `add_note` needs. `challenge_scope`: name `scopes` in the 401.
    `offline_access`: list it; `refresh_always`: issue refresh tokens without it;
    `rotate_refresh_tokens`: a refresh token works once.
    `registration_method`: the method that a dynamic registration gets, with a secret if needed;
    `registration_management`: add the URI and token to delete it (RFC 7592).
    `client_credentials`: an authenticated client may act for itself. `trusted_issuers`: those
    whose assertions are accepted as a grant. `device_authorization`: offer it, with a
    `device_interval` between two polls and `device_code_seconds` to answer, in seconds.
    `initial_access_token`: what a registration must send (RFC 7591 §3).
    `refuse_document_clients`: list client ID metadata documents, and refuse each.
    `refuse_offline_access`: list it, and refuse it at one of these places.
    `require_pushed_requests`: accept authorization requests only by reference (RFC 9126).
    `signing_algorithms`: what an assertion may be signed with.
    `dpop`: whether tokens may or must be bound to a key; `dpop_nonces`: which of the two servers
    requires a nonce in each proof; `dpop_algorithms`: what a proof may be signed with.
    `issuer_path`: such as `/tenant1`. `latency`: seconds before each answer.
    `cors`: let pages of any origin read the metadata documents.
    `sessions`: keep MCP sessions, and answer with event streams.

    Example:
        ```python
        from mcp_client_auth.testing import DemoServer, Settings

        with DemoServer(Settings(sessions=True, dpop="required", registration=False)) as server:
            print(server.url, server.issuer)
        ```
    """

    scopes: tuple[str, ...] = ("notes:read",)
    write_scope: str = "notes:write"
    challenge_scope: bool = False
    omit_resource_metadata_parameter: bool = False
    offline_access: bool = True
    refresh_always: bool = True
    rotate_refresh_tokens: bool = True
    access_token_seconds: int = 3600
    registration: bool = True
    registration_method: AuthMethod = "none"
    registration_management: bool = False
    client_id_metadata_documents: bool = False
    clients: tuple[RegisteredClient, ...] = ()
    client_credentials: bool = False
    trusted_issuers: tuple[TrustedIssuer, ...] = ()
    device_authorization: bool = False
    device_interval: int = 5
    device_code_seconds: int = 600
    initial_access_token: str = field(default="", repr=False)
    refuse_document_clients: bool = False
    refuse_offline_access: OfflineRefusal = ""
    require_pushed_requests: bool = False
    signing_algorithms: tuple[str, ...] = SIGNING_ALGORITHMS
    dpop: Dpop = "off"
    dpop_nonces: Nonces = "none"
    dpop_algorithms: tuple[str, ...] = ("ES256", "ES384", "PS256", "RS256", "Ed25519", "EdDSA")
    issuer_path: str = ""
    latency: float = 0.0
    cors: bool = True
    sessions: bool = False
    login_name: str = "Ada"

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            require_one_of(name, getattr(self, name), choices)
        for name in _NUMBERS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name} is a number of seconds, not {value!r}")
        if self.registration_method == "private_key_jwt":
            raise ValueError("no key is registered dynamically")
        path = self.issuer_path
        if path and (not path.startswith("/") or path.endswith("/")):
            raise ValueError("issuer_path begins with a slash and does not end with one")

    @property
    def known_scopes(self) -> tuple[str, ...]:
        """Every scope that the authorization server grants."""
        more = (self.write_scope, *((OFFLINE_ACCESS,) if self.offline_access else ()))
        return tuple(dict.fromkeys((*self.scopes, *more)))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the two servers are, known once their sockets are bound."""

    mcp_origin: str
    as_origin: str
    issuer_path: str = ""

    @property
    def resource(self) -> str:
        return f"{self.mcp_origin}/mcp"

    @property
    def resource_metadata(self) -> str:
        return f"{self.mcp_origin}/.well-known/oauth-protected-resource/mcp"

    @property
    def issuer(self) -> str:
        return f"{self.as_origin}{self.issuer_path}"
