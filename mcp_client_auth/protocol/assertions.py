"""Client authentication by an assertion that is signed (RFC 7523 §2.2, §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..secret import Secret
from .jose import signed, signed_with_secret

if TYPE_CHECKING:
    from .jose import Key

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME: Final = 60.0


def key_assertion(
    client_id: str, audience: str, key: Key, algorithm: str, *, now: float, jti: str
) -> str:
    """private_key_jwt (OIDC Core §9), with the JWK's `kid` where it has one."""
    header = {"alg": algorithm, "typ": "JWT", **({"kid": key.kid} if key.kid else {})}
    return signed(header, _claims(client_id, audience, now, jti), key)


def secret_assertion(
    client_id: str, audience: str, secret: Secret, algorithm: str, *, now: float, jti: str
) -> str:
    """client_secret_jwt (OIDC Core §9): the secret signs, and is not sent."""
    header = {"alg": algorithm, "typ": "JWT"}
    return signed_with_secret(header, _claims(client_id, audience, now, jti), secret)


def _claims(client_id: str, audience: str, now: float, jti: str) -> dict[str, Any]:
    """RFC 7523 §3. `aud` is one string, the issuer, so that no other server can use it.

    No `nbf`: it says nothing that `iat` does not, and fails where clocks differ.
    """
    return {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": jti,
        "iat": int(now),
        "exp": int(now + LIFETIME),
    }
