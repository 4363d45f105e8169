"""Assertions signed and checked: what an identity provider issues and a server believes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from .faults import Fault
from .settings import TrustedIssuer

ID_JAG_TYPE = "oauth-id-jag+jwt"


def signed(key: Any, claims: Mapping[str, Any], kind: str = "JWT", seconds: float = 300.0) -> str:
    """A JWT issued now, with an id of its own; `seconds` may be negative."""
    from joserfc import jwt

    now = int(time.time())
    times = {"iat": now, "exp": int(now + seconds), "jti": secrets.token_hex(8)}
    return jwt.encode({"alg": "ES256", "typ": kind}, {**times, **claims}, key)


def checked(token: str, trusted: Mapping[str, TrustedIssuer], audience: str) -> tuple[str, Any]:
    """The `typ` and claims of an assertion for `audience`; `invalid_grant` otherwise (RFC 7523 §3).

    The key is looked up by the claimed issuer; everything else is checked with that key.
    """
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey
    from joserfc.jws import extract_compact

    try:
        claimed = _claimed(extract_compact(token.encode()).payload)
        issuer = trusted.get(str(claimed.get("iss")))
        if issuer is None:
            raise Fault("invalid_grant", "the issuer of the assertion is not trusted here")
        found = jwt.decode(token, ECKey.import_key(dict(issuer.jwk)), algorithms=["ES256"])
    except (JoseError, ValueError):
        raise Fault("invalid_grant", "the assertion's signature does not verify") from None
    claims = found.claims
    if claims.get("aud") not in (audience, [audience]):
        raise Fault("invalid_grant", "the assertion is for another audience")
    if not isinstance(claims.get("exp"), int) or claims["exp"] <= time.time():
        raise Fault("invalid_grant", "the assertion has expired")
    if not claims.get("sub"):
        raise Fault("invalid_grant", "the assertion names no subject")
    return str(found.header.get("typ", "")), claims


def _claimed(payload: bytes) -> dict[str, Any]:
    import json

    value = json.loads(payload)
    if not isinstance(value, dict):
        raise ValueError("claims are an object")
    return value
