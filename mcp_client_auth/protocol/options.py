"""What a caller may change about the protocol; options that weaken a rule have loud names.

These travel with the credential, so that a later refresh behaves as the login did.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final

from ..errors import Remedy, UsageError
from ..origin import is_loopback, origin_url, shown, split
from ..secret import Secret, quoted
from .frozen import dataclass

if TYPE_CHECKING:
    from .endpoints import Endpoints
    from .gateway import Headers

LATEST: Final = "2026-07-28"
CLIENT_NAME: Final = "mcp-client-auth"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the protocol, all with safe defaults.

    `resource`: sent instead of the metadata's (RFC 8707 §2); empty sends none.
    `issuer`: the only authorization server to be trusted; discovery starts at its well-known.
    `redirect_uri`: the callback, with a port to pin it (default: 127.0.0.1, any free port).
    `endpoints`: those of an `issuer` without metadata; none of its metadata is then read.
    `metadata_url`: where the metadata of `issuer` is, if not at a well-known place; the document
    has to name that issuer.
    `audience`: for servers that require it beside or instead of `resource` (Auth0, Ory Hydra).
    It is sent with the request for an authorization code or a device code, where they read it,
    and not with the code.
    `prompt`, `login_hint`: sent with the authorization request (OIDC Core §3.1.2.1).
    `switch_account`: let the user sign in with another account than the one that the authorization
    server remembers (OIDC Core §3.1.2.1); if `prompt` is given too, that is sent.
    `authorize_params`: more parameters for the authorization request.
    `refresh_scope`: name the granted scopes again in each refresh, for servers that otherwise
    return a token for something else (Entra ID).
    `push_authorization_request`: send the request itself to the server, which is otherwise done
    only if it is required (RFC 9126); the browser gets a reference to it.
    `initial_access_token`: lets this client register (RFC 7591 §3); sent nowhere else.
    `client_name`: what the consent page calls this client (RFC 7591 §2).
    `dpop`: ask for tokens that are bound to a key (RFC 9449), also where they are not required.
    `login_timeout`: seconds that the user has to sign in. `http_timeout`: seconds for one request.
    `patience`: seconds that a request waits for a token endpoint with a temporary fault.
    `require_iss`: refuse a server that does not promise `iss` in its authorization responses
    (RFC 9207), the only full protection against another server's codes. Without metadata, the
    response has to contain it.
    `allow_mix_up`: use a client that other authorization servers know although neither `iss` nor
    the origin of the sign-in page tells whose code comes back (RFC 9700 §4.4).
    `assume_pkce_s256`: go on although the metadata does not list S256.
    `allow_insecure_http`: accept http beyond loopback.
    `allow_private_addresses`: let a public server name private addresses.
    `headers`: for a gateway in front of the MCP server, sent only to its origin.
    `headers_for`: the same for other origins (`{origin: {name: value}}`). Both are secrets, are
    kept with the login, and no redirect carries them.

    Example:
        ```python
        from mcp_client_auth import MCPAuth, Options

        options = Options(audience="https://api.example.com", prompt="consent")
        auth = MCPAuth("https://mcp.example.com/mcp", options=options)
        ```
    """

    resource: str | None = None
    issuer: str = ""
    redirect_uri: str = ""
    endpoints: Endpoints | None = None
    metadata_url: str = ""
    audience: str = ""
    prompt: str = ""
    login_hint: str = ""
    switch_account: bool = False
    authorize_params: Mapping[str, str] = field(default_factory=dict)
    refresh_scope: bool = False
    push_authorization_request: bool = False
    initial_access_token: Secret | str | None = None
    client_name: str = CLIENT_NAME
    dpop: bool = False
    login_timeout: float = 600.0
    http_timeout: float = 15.0
    patience: float = 10.0
    require_iss: bool = False
    allow_mix_up: bool = False
    assume_pkce_s256: bool = False
    allow_insecure_http: bool = False
    allow_private_addresses: bool = False
    headers: Mapping[str, Secret | str] = field(default_factory=dict)
    headers_for: Mapping[str, Mapping[str, Secret | str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _TEXTS:
            _require_text(name, getattr(self, name))
        reserved = _RESERVED & set(self.authorize_params)
        if reserved:
            raise UsageError(
                f"an extra parameter may not be {' or '.join(sorted(reserved))}",
                hint=Remedy(
                    "Leave it out of {Options.authorize_params}: it belongs to the flow; resource"
                    " and scope have options of their own"
                ),
            )
        if self.headers or self.headers_for:
            from .gateway import checked, checked_for

            object.__setattr__(self, "headers", checked(self.headers))
            object.__setattr__(self, "headers_for", checked_for(self.headers_for))
        for name in ("login_timeout", "http_timeout", "patience"):
            if not _is_time(getattr(self, name)):
                raise UsageError(
                    f"{name} must be a number of seconds, at least 0 and at most a year"
                )
        if isinstance(self.initial_access_token, str):
            token = Secret(self.initial_access_token) if self.initial_access_token else None
            object.__setattr__(self, "initial_access_token", token)
        ends = self.endpoints.named() if self.endpoints else ()
        for name, url in (("issuer", self.issuer), ("metadata_url", self.metadata_url), *ends):
            require_url(name, url)
        if self.redirect_uri and not can_arrive(self.redirect_uri):
            raise UsageError(
                "the redirect URI must be http on 127.0.0.1, [::1] or localhost, without query,"
                " fragment or user info",
                url=self.redirect_uri,
                hint="Expected something like http://127.0.0.1:8765/callback",
            )
        if self.resource and not _RESOURCE.fullmatch(self.resource):
            raise UsageError(
                f"the resource that was passed, {quoted(self.resource)}, is not an absolute URI"
                " without a fragment (RFC 8707 §2)",
                hint="Expected the server's URL, or the identifier that its operator names",
            )
        if self.endpoints and not (self.issuer and self.endpoints.token):
            raise UsageError(
                "endpoints need a token endpoint, and an issuer that they belong to",
                hint="Options(issuer=…, endpoints=Endpoints(authorization=…, token=…))",
            )

        if self.metadata_url and (self.endpoints or not self.issuer):
            raise UsageError(
                "a metadata URL stands for the document of one issuer, instead of endpoints",
                hint=Remedy("Pass the issuer that the document names: {Options.issuer}"),
            )

    def authorization_parameters(self) -> dict[str, str]:
        """The caller's parameters of the authorization request."""
        named = {"audience": self.audience, "prompt": self.prompt, "login_hint": self.login_hint}
        return {**self.authorize_params, **{name: value for name, value in named.items() if value}}

    def gateway_headers(self, server_url: str) -> Headers:
        """The gateway headers by origin, including the MCP server's."""
        if not (self.headers or self.headers_for):
            return {}
        from .gateway import checked, checked_for

        named = checked_for({url: each for url, each in self.headers_for.items() if each})
        if not self.headers:
            return named
        here = origin_url(server_url)
        return {**named, here: {**named.get(here, {}), **checked(self.headers)}}

    def kept(self) -> dict[str, Any]:
        """The options that a credential keeps (it has issuer and resource of its own)."""
        return {name: getattr(self, name) for name in _KEPT if getattr(self, name)}


def can_arrive(redirect_uri: str) -> bool:
    """Whether a callback can arrive there: RFC 8252 §7.3, without what RFC 6749 §3.1.2 forbids."""
    try:
        parts = split(redirect_uri)
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    return parts.scheme == "http" and is_loopback(redirect_uri) and plain


def _require_text(name: str, value: object) -> None:
    if not (value is None or isinstance(value, str)):
        raise UsageError(f"{name} is of the type {type(value).__name__}", hint="Expected a text")


def _is_time(value: Any) -> bool:
    try:
        return bool(0 <= value <= _LONGEST)
    except TypeError:
        return False


def require_url(name: str, url: str | None) -> None:
    """Raise `UsageError` for a URL that the caller misspelled, before anything is sent."""
    _require_text(name, url)
    try:
        if url:
            split(url)
    except ValueError as error:
        named = name.replace("_", " ").replace("url", "URL")
        raise UsageError(
            f"the {named} that was passed, {shown(url or '')}, is not a usable URL: {error}",
            hint="Expected something like https://auth.example.com",
        ) from None


_RESOURCE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-\"$-~]+")  # RFC 3986 §4.3
_LONGEST: Final = 365 * 86_400.0
_TEXTS: Final = ("resource", "redirect_uri", "audience", "prompt", "login_hint", "client_name")
_KEPT: Final = (
    "assume_pkce_s256",
    "allow_insecure_http",
    "allow_private_addresses",
    "refresh_scope",
    "require_iss",
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
