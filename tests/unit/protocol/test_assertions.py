from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from mcp_client_auth.errors import UsageError
from mcp_client_auth.protocol.assertions import key_assertion, secret_assertion
from mcp_client_auth.protocol.jose import algorithm_for, secret_algorithm, signing_key
from mcp_client_auth.secret import Secret
from tests.support.key_samples import jwk, pem, planted, public_pem

ISSUER = "https://auth.example.com"
KINDS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "RSA": "RS256", "Ed25519": "EdDSA"}
PUBLIC: dict[str, Any] = {"RSA": RSAKey, "Ed25519": OKPKey}


def parts(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims, _ = (urlsafe_b64decode(part + "==") for part in assertion.split("."))
    return json.loads(header), json.loads(claims)


def verified(assertion: str, key: Any) -> bool:
    content, _, signature = assertion.rpartition(".")
    algorithm = JWSRegistry.algorithms[parts(assertion)[0]["alg"]]
    return algorithm.verify(content.encode(), urlsafe_b64decode(signature + "=="), key)


def made(text: str, wanted: str = "", listed: tuple[str, ...] | None = None) -> str:
    key = signing_key(Secret(text))
    algorithm = algorithm_for(key, wanted, listed)
    return key_assertion("me", ISSUER, key, algorithm, now=1_800_000_000.7, jti="j1")


@pytest.mark.parametrize("form", [pem, jwk], ids=["PEM", "JWK"])
@pytest.mark.parametrize(("kind", "algorithm"), KINDS.items())
def test_each_kind_of_key_signs_with_its_algorithm(kind: str, algorithm: str, form: Any) -> None:
    assertion = made(form(kind))
    assert parts(assertion)[0] == {"alg": algorithm, "typ": "JWT"}
    assert verified(assertion, PUBLIC.get(kind, ECKey).import_key(public_pem(kind)))
    assert not verified(
        assertion[:-40] + "x" * 40, PUBLIC.get(kind, ECKey).import_key(public_pem(kind))
    )


def test_the_claims_are_these_and_the_audience_is_one_string() -> None:
    assert parts(made(pem("P-256")))[1] == {
        "iss": "me",
        "sub": "me",
        "aud": ISSUER,
        "jti": "j1",
        "iat": 1_800_000_000,
        "exp": 1_800_000_060,
    }


def test_the_kid_is_the_jwks_own_and_none_is_invented() -> None:
    assert parts(made(jwk("P-256", kid="k 1")))[0]["kid"] == "k 1"
    assert "kid" not in parts(made(jwk("P-256")))[0]


@pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.OpenSSH])
def test_older_forms_of_pem_are_read(form: PrivateFormat) -> None:
    assert parts(made(pem("P-256", form=form)))[0]["alg"] == "ES256"


@pytest.mark.parametrize(
    ("kind", "wanted", "listed", "algorithm"),
    [
        ("RSA", "", None, "RS256"),
        ("RSA", "", ("PS256", "RS256"), "RS256"),
        ("RSA", "", ("ES256", "PS256"), "PS256"),
        ("RSA", "PS256", ("RS256",), "PS256"),
        ("RSA", "RS512", None, "RS512"),
        ("Ed25519", "", ("Ed25519",), "Ed25519"),
        ("Ed25519", "", ("Ed25519", "EdDSA"), "EdDSA"),
        ("Ed25519", "", (), "EdDSA"),
        ("P-256", "", ("HS256", "ES256"), "ES256"),
    ],
)
def test_the_algorithm_is_the_callers_or_one_that_is_listed(
    kind: str, wanted: str, listed: tuple[str, ...] | None, algorithm: str
) -> None:
    assertion = made(pem(kind), wanted, listed)
    assert parts(assertion)[0]["alg"] == algorithm
    assert verified(assertion, PUBLIC.get(kind, ECKey).import_key(public_pem(kind)))


def test_the_algorithm_that_a_jwk_names_is_used() -> None:
    assert parts(made(jwk("RSA", alg="PS384"), "", ("RS256",)))[0]["alg"] == "PS384"


@pytest.mark.parametrize(
    ("kind", "wanted", "listed", "said"),
    [
        ("P-256", "RS256", None, "EC P-256"),
        ("P-256", "ES384", None, "ES384"),
        ("RSA", "EdDSA", None, "RSA"),
        ("Ed25519", "", ("RS256", "ES256"), "accepts “RS256 ES256”"),
        ("Ed448", "", None, "OKP Ed448"),
        ("secp256k1", "", None, "secp256k1"),
    ],
)
def test_a_key_that_does_not_fit_its_algorithm_is_refused(
    kind: str, wanted: str, listed: tuple[str, ...] | None, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        made(pem(kind), wanted, listed)
    assert said in str(caught.value)
    assert not [line for line in planted(kind) if line in str(caught.value)]


@pytest.mark.parametrize(("listed", "algorithm"), [(None, "HS256"), (("HS512",), "HS512")])
def test_a_secret_signs_without_leaving(listed: tuple[str, ...] | None, algorithm: str) -> None:
    secret = Secret("s3cret-of-the-client-planted")
    chosen = secret_algorithm(listed)
    assert chosen == algorithm
    assertion = secret_assertion("me", ISSUER, secret, chosen, now=100.0, jti="j")
    assert verified(assertion, OctKey.import_key(secret.reveal()))
    assert parts(assertion)[0] == {"alg": algorithm, "typ": "JWT"}
    assert parts(assertion)[1]["aud"] == ISSUER
    assert secret.reveal() not in assertion
