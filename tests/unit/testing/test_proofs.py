"""The demo server refuses every proof that RFC 9449 §4.3 tells it to refuse."""

from __future__ import annotations

import json
import secrets
import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

import httpx
import pytest
from joserfc import jwk
from joserfc.jws import JWSRegistry
from starlette.requests import Request

from mcp_client_auth.testing import Settings
from mcp_client_auth.testing.proofs import IAT_WINDOW, ProofFault, Proofs

URL = "http://127.0.0.1:9000/mcp"
TOKEN = "a token"
KEY = jwk.generate_key("EC", "P-256")
PUBLIC = {name: KEY.as_dict(private=False)[name] for name in ("kty", "crv", "x", "y")}
PRIVATE = KEY.as_dict(private=True)


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


ATH = encoded(sha256(TOKEN.encode()).digest())


def proof(header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A good proof, changed: `...` takes a claim out."""
    usual = {
        "jti": secrets.token_urlsafe(16),
        "htm": "POST",
        "htu": URL,
        "iat": int(time.time()),
        "ath": ATH,
    }
    claims = {name: value for name, value in {**usual, **changes}.items() if value is not ...}
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": PUBLIC, **(header or {})}
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
    return f"{signed}.{encoded(JWSRegistry.algorithms['ES256'].sign(signed.encode(), KEY))}"


def asked(*proofs: str) -> Request:
    headers = [(b"dpop", value.encode("latin-1")) for value in proofs]
    return Request({"type": "http", "method": "POST", "headers": headers})


@pytest.fixture
def proofs() -> Proofs:
    return Proofs(Settings(), nonces=False)


def test_a_good_proof_names_its_key(proofs: Proofs) -> None:
    assert proofs.check(asked(proof()), URL, TOKEN) == KEY.thumbprint()
    assert proofs.check(asked(proof(ath=...)), URL) == KEY.thumbprint()


OTHER = jwk.generate_key("EC", "P-256").as_dict(private=False)
BAD = {
    "no header": [],
    "two headers": [proof(), proof()],
    "no JWT": ["x"],
    "no JSON": ["eA.eA.eA"],
    "no base64": ["§.§.§"],
    "another typ": [proof({"typ": "JWT"})],
    "no algorithm": [proof({"alg": "none"})],
    "a symmetric algorithm": [proof({"alg": "HS256"})],
    "an algorithm of another kind of key": [proof({"alg": "RS256"})],
    "no key": [proof({"jwk": None})],
    "a private key": [proof({"jwk": PRIVATE})],
    "another key": [proof({"jwk": OTHER})],
    "a broken key": [proof({"jwk": {**PUBLIC, "x": "eA"}})],
    "a symmetric key": [proof({"jwk": {"kty": "oct", "k": "eA"}})],
    "another signature": [proof()[:-4] + "AAAA"],
    "another method": [proof(htm="GET")],
    "another URL": [proof(htu="http://127.0.0.1:9000/other")],
    "a query": [proof(htu=URL + "?a=b")],
    "a slash more": [proof(htu=URL + "/")],
    "an old one": [proof(iat=int(time.time() - IAT_WINDOW - 5))],
    "one of tomorrow": [proof(iat=int(time.time() + 86_400))],
    "no moment": [proof(iat=...)],
    "a moment as text": [proof(iat=str(int(time.time())))],
    "no jti": [proof(jti=...)],
    "a jti that can be guessed": [proof(jti="1")],
    "no token's hash": [proof(ath=...)],
    "another token's hash": [proof(ath=encoded(sha256(b"x").digest()))],
}


@pytest.mark.parametrize("values", BAD.values(), ids=BAD)
def test_a_spoiled_proof_is_refused(proofs: Proofs, values: list[str]) -> None:
    with pytest.raises(ProofFault) as caught:
        proofs.check(asked(*values), URL, TOKEN)
    assert caught.value.code == "invalid_dpop_proof"


def test_a_proof_with_a_tokens_hash_is_none_for_a_request_without_it(proofs: Proofs) -> None:
    with pytest.raises(ProofFault):
        proofs.check(asked(proof()), URL)


def test_a_proof_is_good_once(proofs: Proofs) -> None:
    same = proof()
    proofs.check(asked(same), URL, TOKEN)
    with pytest.raises(ProofFault, match="before"):
        proofs.check(asked(same), URL, TOKEN)


def test_two_nonces_are_good_and_each_for_two_turns_at_most() -> None:
    proofs = Proofs(Settings(), nonces=True)
    first, second = (
        value for given in (proofs.challenge(), proofs.next_nonce()) for value in given.values()
    )

    def good(nonce: Any) -> bool:
        try:
            proofs.check(asked(proof(nonce=nonce)), URL, TOKEN)
        except ProofFault as fault:
            return fault.code != "use_dpop_nonce"
        return True

    assert [good(n) for n in (..., "x", first, second)] == [False, False, True, True]
    proofs.rotate()
    assert [good(first), good(second)] == [False, True]
    proofs.rotate()
    assert not good(second)


def test_a_server_without_nonces_gives_none(proofs: Proofs) -> None:
    assert proofs.challenge() == proofs.next_nonce() == {}
    proofs.rotate()
    assert proofs.check(asked(proof(nonce="whatever")), URL, TOKEN)


@pytest.mark.parametrize(
    ("dpop", "challenge", "required"),
    [
        ("off", 'Bearer resource_metadata="', None),
        ("supported", 'Bearer resource_metadata="', False),
        ("required", 'DPoP resource_metadata="', True),
    ],
)
def test_the_servers_say_what_they_want(dpop: Any, challenge: str, required: bool | None) -> None:
    from mcp_client_auth.testing import DemoServer

    with DemoServer(Settings(dpop=dpop)) as server, httpx.Client(trust_env=False) as http:
        said = http.post(server.url).headers["www-authenticate"]
        assert said.startswith(challenge)
        assert ("DPoP" in said, "Bearer" in said) == (dpop != "off", dpop != "required")
        place = server.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
        document = http.get(place).json()
        assert document.get("dpop_bound_access_tokens_required") is required
        place = server.issuer + "/.well-known/oauth-authorization-server"
        assert ("dpop_signing_alg_values_supported" in http.get(place).json()) is (dpop != "off")
