"""What a caller may change about the protocol; what weakens a rule has a loud name.

These travel with the credential, so that a later refresh behaves as the login did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import UsageError
from ..secret import Secret

LATEST: Final = "2026-07-28"
CLIENT_NAME: Final = "mcp-client-auth"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints of an authorization server that publishes no metadata."""

    authorization: str = ""
    token: str = ""
    registration: str = ""
    revocation: str = ""
    pushed_authorization: str = ""
    device_authorization: str = ""

    def named(self) -> tuple[tuple[str, str], ...]:
        """Each by its name in metadata (RFC 8414 §2)."""
        return (
            ("authorization_endpoint", self.authorization),
            ("token_endpoint", self.token),
            ("registration_endpoint", self.registration),
            ("revocation_endpoint", self.revocation),
            ("pushed_authorization_request_endpoint", self.pushed_authorization),
            ("device_authorization_endpoint", self.device_authorization),
        )


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the protocol, all with safe defaults.

    `resource`: sent instead of the metadata's (RFC 8707 §2); empty sends none.
    `issuer`: the only authorization server to be trusted; discovery starts at its well-known.
    `redirect_uri`: the callback, with a port to pin it (default: 127.0.0.1, any free port).
    `endpoints`: those of an `issuer` without metadata; none of its metadata is then read.
    `audience`: for servers that want it beside or instead of `resource` (Auth0, Ory Hydra):
    sent with the authorization request, or that for a device code, which is where they read
    it, and not with the code.
    `prompt`, `login_hint`: sent with the authorization request (OIDC Core §3.1.2.1).
    `switch_account`: let the person sign in as somebody else than the authorization server
    remembers (OIDC Core §3.1.2.1); where `prompt` is given too, that one is sent.
    `new_client`: register anew, although a registration is kept.
    `authorize_params`: more parameters for the authorization request.
    `refresh_scope`: name the granted scopes again in each refresh, for servers that else give a
    token for something else (Entra ID).
    `push_authorization_request`: send the request itself to the server, which else is done
    only where it is required (RFC 9126); the browser gets a reference to it.
    `initial_access_token`: lets this client register (RFC 7591 §3); sent nowhere else.
    `client_name`: what the consent page calls this client (RFC 7591 §2).
    `dpop`: ask for tokens that are bound to a key (RFC 9449), also where nobody demands it.
    `login_timeout`: seconds that a person has. `http_timeout`: seconds for one request.
    `patience`: seconds that a request waits for a token endpoint with a passing fault.
    `assume_pkce_s256`: go on although the metadata does not list S256.
    `allow_insecure_http`: accept http beyond loopback.
    `allow_private_addresses`: let a public server name private addresses.
    """

    resource: str | None = None
    issuer: str = ""
    redirect_uri: str = ""
    endpoints: Endpoints | None = None
    audience: str = ""
    prompt: str = ""
    login_hint: str = ""
    switch_account: bool = False
    new_client: bool = False
    authorize_params: Mapping[str, str] = field(default_factory=dict)
    refresh_scope: bool = False
    push_authorization_request: bool = False
    initial_access_token: Secret | str | None = None
    client_name: str = CLIENT_NAME
    dpop: bool = False
    login_timeout: float = 600.0
    http_timeout: float = 15.0
    patience: float = 10.0
    assume_pkce_s256: bool = False
    allow_insecure_http: bool = False
    allow_private_addresses: bool = False

    def __post_init__(self) -> None:
        reserved = _RESERVED & set(self.authorize_params)
        if reserved:
            raise UsageError(
                f"authorize_params may not set {', '.join(sorted(reserved))}",
                hint="These belong to the flow; resource and scope have arguments of their own",
            )

        if isinstance(self.initial_access_token, str):
            token = Secret(self.initial_access_token) if self.initial_access_token else None
            object.__setattr__(self, "initial_access_token", token)
        if self.endpoints and not (self.issuer and self.endpoints.token):
            raise UsageError(
                "endpoints need a token endpoint, and an issuer that they belong to",
                hint="Options(issuer=…, endpoints=Endpoints(authorization=…, token=…))",
            )

    def asked(self) -> dict[str, str]:
        """The caller's parameters of the authorization request."""
        named = {"audience": self.audience, "prompt": self.prompt, "login_hint": self.login_hint}
        return {**self.authorize_params, **{name: value for name, value in named.items() if value}}

    def kept(self) -> dict[str, Any]:
        """What a credential remembers of these (issuer and resource it holds itself)."""
        return {name: getattr(self, name) for name in _KEPT if getattr(self, name)}


_KEPT: Final = (
    "assume_pkce_s256",
    "allow_insecure_http",
    "allow_private_addresses",
    "refresh_scope",
)
_RESERVED: Final = {
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "state",
}
