"""What is written into a client ID metadata document, and the rules for its parts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_client_auth.protocol import client_document as rules
from mcp_client_auth.protocol.client_document import CALLBACK, client_document
from mcp_client_auth.protocol.jose import signing_key
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.redirects import callback_for
from mcp_client_auth.protocol.registration import DEVICE_GRANT, ClientMetadataDocument
from mcp_client_auth.secret import Secret
from tests.support.key_samples import jwk, pem, planted, public_jwk

URL = "https://App.example.com/oauth/client.json"
KINDS = ("P-256", "P-384", "P-521", "RSA", "Ed25519")


def test_a_document_describes_a_public_native_client() -> None:
    assert client_document(URL, "My client") == {
        "client_id": URL,
        "client_name": "My client",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    }


def test_its_callback_is_that_of_a_login_with_a_document() -> None:
    login = callback_for(ClientMetadataDocument(URL), False, "", Options())
    assert login.template == CALLBACK


def test_callbacks_and_the_device_grant_stand_in_it() -> None:
    callbacks = ("http://127.0.0.1:8765/cb", "http://[::1]/cb")
    document = client_document(URL, redirect_uris=callbacks, device=True)
    assert document["redirect_uris"] == list(callbacks)
    assert document["grant_types"][-1] == DEVICE_GRANT


def test_a_key_means_private_key_jwt_with_its_public_part() -> None:
    key = signing_key(Secret(pem("P-256")))
    document = client_document(URL, key=key)
    assert document["token_endpoint_auth_method"] == "private_key_jwt"
    assert document["jwks"] == {"keys": [rules.public_jwk(key)]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [pem, jwk], ids=["pem", "jwk"])
def test_only_the_public_part_of_a_key_is_published(kind: str, form: Any) -> None:
    public = rules.public_jwk(signing_key(Secret(form(kind))))
    assert public.items() >= json.loads(public_jwk(kind)).items()
    assert not [secret for secret in planted(kind) if secret in json.dumps(public)]


def test_a_jwk_keeps_its_name_and_its_algorithm_and_nothing_that_signs() -> None:
    text = jwk("P-256", kid="k1", alg="ES256", key_ops=["sign"], secret="planted")
    public = rules.public_jwk(signing_key(Secret(text)))
    named = {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert set(public) == named
    assert (public["kid"], public["alg"], public["use"]) == ("k1", "ES256", "sig")
