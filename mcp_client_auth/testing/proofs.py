"""Checks the proof of a key as RFC 9449 §4.3 says, in that order, but more strictly than required.

Written independently of the client's own code for the standard, so that the two can disagree.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from starlette.requests import Request

from .settings import Settings

IAT_WINDOW = 60.0
NONCE_HEADER = "DPoP-Nonce"
_PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


class ProofFault(Exception):
    """Why a proof is refused; `code` is `invalid_dpop_proof` or `use_dpop_nonce` (§12.2)."""

    def __init__(self, description: str, code: str = "invalid_dpop_proof") -> None:
        super().__init__(description)
        self.description = description
        self.code = code


class Proofs:
    """The proofs that one server has seen, and its nonces.

    Two nonces are valid at a time: a challenge carries the first, any other answer the second,
    which is valid for longer.
    """

    def __init__(
        self, settings: Settings, *, nonces: bool, clock: Callable[[], float] = time.time
    ) -> None:
        self._algorithms = settings.dpop_algorithms
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._nonces = (_nonce(), _nonce()) if nonces else None

    def rotate(self) -> None:
        """Drop the first nonce: the second becomes the first, and a new one the second."""
        with self._lock:
            if self._nonces:
                self._nonces = (self._nonces[1], _nonce())

    def challenge(self) -> dict[str, str]:
        """The nonce header of a refusal that asks for a nonce (§8)."""
        return {NONCE_HEADER: self._nonces[0]} if self._nonces else {}

    def next_nonce(self) -> dict[str, str]:
        """The nonce header of any other answer (§8.2)."""
        return {NONCE_HEADER: self._nonces[1]} if self._nonces else {}

    def check(self, request: Request, url: str, token: str = "") -> str:
        """The thumbprint of the key that signed for this very request; otherwise `ProofFault`."""
        values = request.headers.getlist("dpop")
        if len(values) != 1:
            raise ProofFault("exactly one DPoP header is needed")
        key, jkt, signed, signature = self._opened(values[0])
        if not key.verify(signed, signature):
            raise ProofFault("the signature is wrong")
        claims = _object(values[0].split(".")[1])
        self._compare(claims, request.method, url, token)
        self._once(claims)
        return jkt

    def _opened(self, proof: str) -> tuple[_Key, str, bytes, bytes]:
        parts = proof.split(".")
        if len(parts) != 3:
            raise ProofFault("it is not a JWT")
        header = _object(parts[0])
        if header.get("typ") != "dpop+jwt":
            raise ProofFault("typ must be dpop+jwt")
        algorithm, jwk = header.get("alg"), header.get("jwk")
        if algorithm not in self._algorithms:
            raise ProofFault("the algorithm is not taken here")
        if not isinstance(jwk, dict) or _PRIVATE & set(jwk):
            raise ProofFault("jwk must be a public key")
        key = _Key(str(algorithm), jwk)
        return key, key.thumbprint, f"{parts[0]}.{parts[1]}".encode(), _bytes(parts[2])

    def _compare(self, claims: dict[str, Any], method: str, url: str, token: str) -> None:
        if claims.get("htm") != method or claims.get("htu") != url:
            raise ProofFault("it is for another request")
        issued = claims.get("iat")
        if not isinstance(issued, int) or abs(self._clock() - issued) > IAT_WINDOW:
            raise ProofFault("it is not of this moment")
        if claims.get("ath") != (_hash(token) if token else None):
            raise ProofFault("it is for another access token")
        if self._nonces and claims.get("nonce") not in self._nonces:
            raise ProofFault("a nonce of this server is needed", "use_dpop_nonce")

    def _once(self, claims: dict[str, Any]) -> None:
        jti = claims.get("jti")
        if not isinstance(jti, str) or len(jti) < 16:  # §4.2: 96 random bits, in base64url
            raise ProofFault("jti must be a text that nobody can guess")
        with self._lock:
            if jti in self._seen:
                raise ProofFault("it was used before")
            self._seen.add(jti)


class _Key:
    """A public key with the algorithm that its proof names."""

    def __init__(self, algorithm: str, jwk: dict[str, Any]) -> None:
        from joserfc.errors import JoseError
        from joserfc.jwk import import_key
        from joserfc.jws import JWSRegistry

        self._algorithm = JWSRegistry.algorithms[algorithm]
        try:
            self._key = import_key(jwk, jwk["kty"])
            self._algorithm.check_key(self._key)
        except (JoseError, ValueError, KeyError, TypeError):
            raise ProofFault("jwk is not a key for the algorithm") from None
        self.thumbprint = self._key.thumbprint()

    def verify(self, signed: bytes, signature: bytes) -> bool:
        return bool(self._algorithm.verify(signed, signature, self._key))


def _object(segment: str) -> dict[str, Any]:
    try:
        value = json.loads(_bytes(segment))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ProofFault("it is not a JWT")
    return value


def _bytes(segment: str) -> bytes:
    try:
        return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except (NotBase64, ValueError):
        raise ProofFault("it is not a JWT") from None


def _hash(token: str) -> str:
    return urlsafe_b64encode(sha256(token.encode()).digest()).rstrip(b"=").decode()


def _nonce() -> str:
    return secrets.token_urlsafe(16)
