"""Client assertions as the server reads them: signature, audience, age, and each `jti` once."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Collection
from typing import Any

from .faults import Fault
from .ledger import Ledger
from .settings import RegisteredClient

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LONGEST = 300.0
_SKEW = 5.0


class Assertions:
    """RFC 7523 §3 for one issuer."""

    def __init__(self, ledger: Ledger, issuer: str, algorithms: Collection[str]) -> None:
        self._ledger = ledger
        self._issuer = issuer
        self._algorithms = algorithms

    def subject(self, assertion: str) -> str:
        """The subject that it claims; nothing in it has been checked yet."""
        found = _part(assertion, 1).get("sub")
        return found if isinstance(found, str) else ""

    def check(self, client: RegisteredClient, assertion: str) -> None:
        """Raise `Fault` unless the client signed it for this issuer, now and for the first time."""
        algorithm = str(_part(assertion, 0).get("alg"))
        by_secret = algorithm.startswith("HS")
        if algorithm not in self._algorithms or by_secret != bool(client.client_secret):
            raise _fault("alg is not taken")
        if not _signed(assertion, algorithm, client):
            raise _fault("the signature does not match")
        claims = _part(assertion, 1)
        if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
            raise _fault("iss and sub must be the client_id")
        if claims.get("aud") != self._issuer:  # one string: a list may name other audiences too
            raise _fault("aud must be the issuer")
        self._check_age(claims)
        if not isinstance(claims.get("jti"), str) or not self._ledger.spend_jti(claims["jti"]):
            raise _fault("jti must be new")

    def _check_age(self, claims: dict[str, Any]) -> None:
        now, expires, issued = time.time(), claims.get("exp"), claims.get("iat")
        if not isinstance(expires, int) or not now - _SKEW < expires <= now + _LONGEST:
            raise _fault("exp must lie within the next five minutes")
        if not isinstance(issued, int) or issued > now + _SKEW:
            raise _fault("iat lies in the future")


def _signed(assertion: str, algorithm: str, client: RegisteredClient) -> bool:
    content, _, signature = assertion.rpartition(".")
    if client.client_secret is not None:
        made = hmac.digest(client.client_secret.encode(), content.encode(), "sha256")
        return algorithm == "HS256" and hmac.compare_digest(made, _decoded(signature))
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, OKPKey, RSAKey
    from joserfc.jws import JWSRegistry

    kinds: dict[str, Any] = {"Ed": OKPKey, "ES": ECKey, "RS": RSAKey, "PS": RSAKey}
    text = client.public_key
    try:
        # the algorithm itself: `jwt.decode` warns of EdDSA at each call
        key = kinds[algorithm[:2]].import_key(json.loads(text) if text.startswith("{") else text)
        return JWSRegistry.algorithms[algorithm].verify(content.encode(), _decoded(signature), key)
    except (JoseError, ValueError):
        return False


def _part(assertion: str, number: int) -> dict[str, Any]:
    parts = assertion.split(".")
    try:
        value = json.loads(_decoded(parts[number])) if len(parts) == 3 else None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _fault("it is not a signed JWT")
    return value


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _fault(why: str) -> Fault:
    return Fault("invalid_client", f"client_assertion: {why}", status=401)
