"""What a caller may change about the protocol; what weakens a rule has a loud name.

These travel with the credential, so that a later refresh behaves as the login did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import UsageError

LATEST: Final = "2026-07-28"
CLIENT_NAME: Final = "mcp-client-auth"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the protocol, all with safe defaults.

    `resource`: sent instead of the metadata's (RFC 8707 §2); empty sends none.
    `issuer`: the only authorization server to be trusted; discovery starts at its well-known.
    `redirect_uri`: the callback, with a port to pin it (default: 127.0.0.1, any free port).
    `authorize_params`: more parameters for the authorization request.
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
    authorize_params: Mapping[str, str] = field(default_factory=dict)
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

    def kept(self) -> dict[str, Any]:
        """What a credential remembers of these (issuer and resource it holds itself)."""
        return {
            name: getattr(self, name)
            for name in ("assume_pkce_s256", "allow_insecure_http", "allow_private_addresses")
            if getattr(self, name)
        }


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
