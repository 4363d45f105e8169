"""Takes tokens with a proof of possession only (RFC 9449 §7), for a server of bearer tokens.

A request with a valid proof goes in as if its token were a bearer's; any other goes in without a
token. What the server inside challenges comes out as a DPoP challenge.
"""

from __future__ import annotations

import hashlib
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import MutableMapping
from typing import Any, Final

ALGORITHMS: Final = ("ES256", "RS256")
_FRESH: Final = 60.0
_ASIDE: Final = (b"authorization", b"dpop")

Message = MutableMapping[str, Any]


class DpopGate:
    """`url` is the resource as its clients address it: the `htu` of their proofs."""

    def __init__(self, app: Any, url: str) -> None:
        self._app, self._url = app, url
        self._used: set[str] = set()

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def challenging(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [_challenged(*pair) for pair in message["headers"]]
            await send(message)

        headers = dict(scope["headers"])
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in _ASIDE]
        token = self._proved(scope["method"], headers)
        if token:
            scope["headers"].append((b"authorization", b"Bearer " + token))
        await self._app(scope, receive, challenging)

    def _proved(self, method: str, headers: dict[bytes, bytes]) -> bytes:
        """The access token whose possession is proved (§4.3); empty for none."""
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"dpop":
            return b""
        try:
            header, claims, thumbprint = _opened(headers.get(b"dpop", b"").decode())
            bound = _payload(token.decode())["cnf"]["jkt"]
        except (ValueError, KeyError):
            return b""
        right = (
            header.get("typ") == "dpop+jwt",
            claims.get("htm") == method,
            claims.get("htu") == self._url,
            claims.get("ath") == _digest(token),
            abs(time.time() - claims.get("iat", 0)) < _FRESH,
            bound == thumbprint,
            claims.get("jti") and claims["jti"] not in self._used,
        )
        if not all(right):
            return b""
        self._used.add(claims["jti"])
        return token


def _opened(proof: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Header, claims and key thumbprint of a proof; `ValueError` unless its own key signed it."""
    from joserfc import jwk, jwt
    from joserfc.errors import JoseError

    try:
        header = json.loads(_decoded(proof.partition(".")[0]))
        if "d" in header["jwk"]:
            raise ValueError("a private key in a proof")
        key = jwk.import_key(header["jwk"])
        claims = jwt.decode(proof, key, algorithms=list(ALGORITHMS)).claims
    except (JoseError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from None
    return header, claims, key.thumbprint()


def _payload(token: str) -> dict[str, Any]:
    """What a token says; whether it is genuine is checked inside."""
    payload: dict[str, Any] = json.loads(_decoded(token.split(".")[1]))
    return payload


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _digest(token: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(token).digest()).rstrip(b"=").decode()


def _challenged(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    if name.lower() != b"www-authenticate":
        return name, value
    _, _, parameters = value.partition(b" ")
    algorithms = f'DPoP algs="{" ".join(ALGORITHMS)}"'.encode()
    return name, algorithms + (b", " + parameters if parameters else b"")
