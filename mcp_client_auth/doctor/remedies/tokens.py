"""What to change if a token is refused, or if one is accepted that should not be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .row import Fix

ROWS: Final[Mapping[str, Fix]] = {
    "token-refused": Fix(
        "the server refuses a token that is valid",
        "Compare the token's audience and issuer with what the server checks, and see that it reads"
        " the keys at jwks_uri. If the audience is wrong, register {server} as a resource indicator"
        " in the authorization server's dashboard",
    ),
    "token-audience": Fix(
        "the token is for another audience",
        "Register {resource} as a resource indicator in the authorization server's dashboard (for"
        " AuthKit: Connect, Resource indicators), and let it honour the parameter resource",
    ),
    "token-unchecked": Fix(
        "the server accepts tokens that no authorization server issued",
        "Verify each token: its signature by the keys at jwks_uri (never alg=none), issuer,"
        " audience and expiry",
        "jwt.decode(token, key, algorithms=['RS256', 'ES256'], audience='{server}', issuer='…')",
    ),
    "refresh-fails": Fix(
        "the refresh token does not work",
        "Look at the authorization server's log for the refresh: it comes from the same client,"
        " with the same resource",
    ),
}
