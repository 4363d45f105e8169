"""The gate in front of the DPoP form lets nothing through that RFC 9449 §4.3 forbids."""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any, Final

import httpx
import pytest
from joserfc import jwk, jwt

from tests.slow.interop.dpop_gate import DpopGate

URL: Final = "http://127.0.0.1:1/api/mcp"
KEY: Final = jwk.generate_key("EC", "P-256")
OTHER: Final = jwk.generate_key("EC", "P-256")
CHANGED: Final[dict[str, dict[str, Any]]] = {
    "another method": {"htm": "GET"},
    "another address": {"htu": "http://127.0.0.1:1/"},
    "another token": {"ath": "x"},
    "an old proof": {"iat": 1},
    "no name of its own": {"jti": ""},
}


def bound_token(key: Any = KEY) -> str:
    signer = jwk.generate_key("RSA", 2048)
    return jwt.encode({"alg": "RS256"}, {"cnf": {"jkt": key.thumbprint()}}, signer)


def digest(token: str) -> str:
    return urlsafe_b64encode(sha256(token.encode()).digest()).rstrip(b"=").decode()


def proof(token: str, *, signed_by: Any = KEY, **changes: Any) -> str:
    right = {"htm": "POST", "htu": URL, "iat": int(time.time()), "jti": "1", "ath": digest(token)}
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": KEY.as_dict(private=False)}
    return jwt.encode(header, {**right, **changes}, signed_by)


async def bearers_only(scope: Any, receive: Any, send: Any) -> None:
    """A server inside: it takes whoever comes as a bearer."""
    taken = dict(scope["headers"]).get(b"authorization", b"").startswith(b"Bearer ")
    headers = [] if taken else [(b"www-authenticate", b'Bearer scope="x"')]
    status = 200 if taken else 401
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def gate() -> DpopGate:
    return DpopGate(bearers_only, URL)


async def ask(gate: DpopGate, token: str, proved: str, scheme: str = "DPoP") -> httpx.Response:
    headers = {"Authorization": f"{scheme} {token}", "DPoP": proved}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=gate)) as http:
        return await http.post(URL, headers=headers)


@pytest.mark.anyio
async def test_a_proved_token_passes_once(gate: DpopGate) -> None:
    token = bound_token()
    proved = proof(token)
    assert (await ask(gate, token, proved)).status_code == 200
    assert (await ask(gate, token, proved)).status_code == 401


@pytest.mark.anyio
@pytest.mark.parametrize("changes", CHANGED.values(), ids=list(CHANGED))
async def test_a_wrong_proof_is_refused(gate: DpopGate, changes: dict[str, Any]) -> None:
    token = bound_token()
    answer = await ask(gate, token, proof(token, **changes))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'DPoP algs="ES256 RS256", scope="x"'


@pytest.mark.anyio
async def test_another_key_proves_nothing(gate: DpopGate) -> None:
    token = bound_token()
    assert (await ask(gate, token, proof(token, signed_by=OTHER))).status_code == 401
    foreign = bound_token(OTHER)
    assert (await ask(gate, foreign, proof(foreign))).status_code == 401


@pytest.mark.anyio
async def test_a_bound_token_is_no_bearers(gate: DpopGate) -> None:
    token = bound_token()
    assert (await ask(gate, token, proof(token), scheme="Bearer")).status_code == 401
