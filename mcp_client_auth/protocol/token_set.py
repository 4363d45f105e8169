"""The tokens of a login and what ends them. Every stored login has them, so this module imports
next to nothing."""

from __future__ import annotations

from typing import Final

from ..secret import Secret
from .frozen import dataclass

# Errors of the token endpoint that are final: the refresh token or the client is no longer usable
DEFINITE: Final = (
    "invalid_grant",
    "invalid_client",
    "unauthorized_client",
    "bad_refresh_token",  # GitHub's word for invalid_grant
    "invalid_refresh_token",  # Slack's
)
DEAD_CLIENT: Final = ("invalid_client", "unauthorized_client")


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What the token endpoint returned.

    `expires_at` is in seconds since the epoch, None if the server does not say;
    `issued_at` likewise, taken before the request was sent. `scope` is what was granted.
    `bound`: the type of the access token is DPoP, not Bearer: it is sent with a proof (RFC 9449).

    Example:
        ```python
        from mcp_client_auth import login

        tokens = login("https://mcp.example.com/mcp").credential.tokens
        print(tokens.scope, tokens.expires_at, tokens.access_token)  # the token's repr is ****
        ```
    """

    access_token: Secret
    issued_at: float
    expires_at: float | None = None
    refresh_token: Secret | None = None
    scope: tuple[str, ...] | None = None
    bound: bool = False

    @property
    def lifetime(self) -> float | None:
        """Seconds from issue to expiry."""
        return None if self.expires_at is None else self.expires_at - self.issued_at
