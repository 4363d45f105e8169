"""What is written into a client ID metadata document, and the rules for its parts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from key_samples import jwk, pem, planted, public_jwk

from mcp_client_auth.protocol import client_document as rules
from mcp_client_auth.protocol.assertions import signing_key
from mcp_client_auth.protocol.client_document import (
    CALLBACK,
    Described,
    client_document,
    key_fault,
    private_members,
    redirect_kind,
)
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.redirects import callback_for
from mcp_client_auth.protocol.registration import DEVICE_GRANT, ClientMetadataDocument
from mcp_client_auth.secret import Secret

URL = "https://App.example.com/oauth/client.json"
KINDS = ("P-256", "P-384", "P-521", "RSA", "Ed25519")


def test_a_document_describes_a_public_native_client() -> None:
    assert client_document(Described(URL, "My client")) == {
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


def test_what_is_told_stands_in_it() -> None:
    told = Described(
        URL,
        redirect_uris=("http://127.0.0.1:8765/cb", "http://[::1]/cb"),
        device=True,
        client_uri="https://app.example.com/",
        logo_uri="https://app.example.com/logo.png",
        scope="notes:read",
    )
    document = client_document(told)
    assert document["redirect_uris"] == list(told.redirect_uris)
    assert document["grant_types"][-1] == DEVICE_GRANT
    for name in ("client_uri", "logo_uri", "scope"):
        assert document[name] == getattr(told, name)


@pytest.mark.parametrize(
    ("told", "member"),
    [
        (Described(URL, key={"kty": "EC"}), {"jwks": {"keys": [{"kty": "EC"}]}}),
        (Described(URL, jwks_uri="https://x.example/k"), {"jwks_uri": "https://x.example/k"}),
    ],
    ids=["jwks", "jwks_uri"],
)
def test_a_key_means_private_key_jwt(told: Described, member: dict[str, Any]) -> None:
    document = client_document(told)
    assert document["token_endpoint_auth_method"] == "private_key_jwt"
    assert document.items() >= member.items()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [pem, jwk], ids=["pem", "jwk"])
def test_only_the_public_part_of_a_key_is_published(kind: str, form: Any) -> None:
    public = rules.public_jwk(signing_key(Secret(form(kind))))
    assert public.items() >= json.loads(public_jwk(kind)).items()
    assert list(private_members(public)) == []
    assert not [secret for secret in planted(kind) if secret in json.dumps(public)]
    assert key_fault(public) == ""


def test_a_jwk_keeps_its_name_and_its_algorithm_and_nothing_that_signs() -> None:
    text = jwk("P-256", kid="k1", alg="ES256", key_ops=["sign"], secret="planted")
    public = rules.public_jwk(signing_key(Secret(text)))
    named = {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert set(public) == named
    assert (public["kid"], public["alg"], public["use"]) == ("k1", "ES256", "sig")


@pytest.mark.parametrize("kind", KINDS)
def test_private_members_are_found_however_deep_they_lie(kind: str) -> None:
    private = json.loads(jwk(kind))
    found = dict(private_members({"a": [{"b": [private]}]}))
    assert found["d"] == private["d"]
    assert set(found) == set(private) - {"kty", "crv", "x", "y", "n", "e", "kid"}


def test_a_symmetric_key_is_private_and_a_letter_elsewhere_is_not() -> None:
    assert dict(private_members({"kty": "oct", "k": "c2VjcmV0"})) == {"k": "c2VjcmV0"}
    assert list(private_members({"d": "1", "k": [{"p": 2}]})) == []


def test_depth_is_no_matter() -> None:
    deep: Any = {"kty": "EC", "d": "x"}
    for _ in range(100_000):
        deep = [deep]
    assert list(private_members(deep)) == [("d", "x")]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("text", "no JWK"),
        ({"x": "y"}, "no JWK"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "symmetric"),
        ({"kty": "EC", "crv": "P-256"}, "cannot be read"),
        ({"kty": "EC", "crv": "P-256", "x": "!", "y": 1}, "cannot be read"),
        ({"kty": "telepathy"}, "cannot be read"),
    ],
)
def test_what_is_no_public_key_is_named(key: Any, said: str) -> None:
    assert said in key_fault(key)


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("http://127.0.0.1/callback", "loopback"),
        ("http://127.0.0.1:8765/callback", "loopback"),
        ("http://[::1]:1/", "loopback"),
        ("http://localhost:3000/callback", "localhost"),
        ("https://app.example.com/callback?a=b", "https"),
        ("com.example.app:/callback", "private-use"),
    ],
)
def test_a_redirect_uri_is_of_a_kind(uri: str, kind: str) -> None:
    assert redirect_kind(uri) == kind


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (7, "absolute"),
        (None, "absolute"),
        ("", "absolute"),
        ("/callback", "absolute"),
        ("https://app.example.com/callback#x", "fragment"),
        ("http://127.0.0.1/callback#", "fragment"),
        ("http://app.example.com/callback", "beyond loopback"),
        ("http://127.0.0.1.evil.example/callback", "beyond loopback"),
        ("http://localhost.evil.example/", "beyond loopback"),
        ("https://ada@app.example.com/", "user info"),
        ("https:///callback", "URL"),
        ("https://*.example.com/callback", "host"),
        ("javascript:alert(1)", "reversed"),
        ("cursor://callback", "reversed"),
    ],
)
def test_a_redirect_uri_that_nobody_may_register_says_why(uri: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        redirect_kind(uri)
