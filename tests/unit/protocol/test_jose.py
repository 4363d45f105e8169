from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from mcp_client_auth.errors import UsageError
from mcp_client_auth.protocol.jose import claims_of, signed_with_secret, signing_key
from mcp_client_auth.secret import Secret
from tests.support.key_samples import jwk, pem, planted, public_pem

BROKEN = {
    "empty": "",
    "words": "not a key at all",
    "PEM cut short": pem("P-256")[:120],
    "PEM of junk": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    "JSON cut short": jwk("P-256")[:60],
    "JWK without a type": json.dumps({"d": json.loads(jwk("P-256"))["d"]}),
    "JWK with a wrong number": jwk("P-256", x="AAAA"),
    "JWK with a number as kid": jwk("P-256", kid=7),
    "JWK set": json.dumps({"keys": [json.loads(jwk("P-256"))]}),
    "symmetric JWK": json.dumps({"kty": "oct", "k": json.loads(jwk("P-256"))["d"]}),
    "JWK for encryption": jwk("P-256", use="enc"),
    "JWK that may only verify": jwk("P-256", key_ops=["verify"]),
    "public PEM": public_pem("P-256"),
    "public JWK": json.dumps({k: v for k, v in json.loads(jwk("P-256")).items() if k != "d"}),
    "encrypted": pem("P-256", password=b"planted-password"),
    "encrypted, old form": pem(
        "P-256", password=b"planted-password", form=PrivateFormat.TraditionalOpenSSL
    ),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_what_is_no_usable_key_is_one_error_that_shows_nothing_of_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        signing_key(Secret(text), "the key file “k.pem”")
    told = f"{caught.value} {caught.value.__cause__} {caught.value.hint}"
    assert "the key file “k.pem”" in told
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert not [line for line in planted("P-256") if line in told]
    body = [line for line in text.splitlines() if len(line) > 30 and "PRIVATE" not in line]
    assert not [line for line in body if line in told]


@pytest.mark.parametrize("name", ["encrypted", "encrypted, old form"])
def test_an_encrypted_key_is_named_as_such(name: str) -> None:
    with pytest.raises(UsageError, match="encrypted") as caught:
        signing_key(Secret(BROKEN[name]))
    assert "without one" in caught.value.hint


@given(st.dictionaries(st.text(), st.text()))
def test_the_claims_of_a_jwt_are_read_without_its_key(claims: dict[str, Any]) -> None:
    token = signed_with_secret({"alg": "HS256"}, claims, Secret("planted-secret"))
    assert claims_of(Secret(token)) == claims


@pytest.mark.parametrize("token", ["", "opaque", "a.b", "a.b.c", "a.W10.c", "a.b.c.d", "a.ÿ.c"])
def test_any_other_token_has_no_claims(token: str) -> None:
    assert claims_of(Secret(token)) is None
