"""Each fault of a client ID metadata document is a finding: one row each, in a good document."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from mcp_client_auth.doctor import Finding
from mcp_client_auth.doctor.client_metadata import (
    content,
    key_set_fault,
    private_members,
    redirect_fault,
)
from mcp_client_auth.protocol.client_document import client_document
from mcp_client_auth.protocol.client_document import public_jwk as public_part
from mcp_client_auth.protocol.jose import signing_key
from mcp_client_auth.secret import Secret
from tests.support.key_samples import jwk, pem, planted, public_jwk

URL: Final = "https://app.example.com/client.json"
PUBLIC: Final = {"keys": [json.loads(public_jwk("P-256"))]}
PRIVATE: Final = {"keys": [json.loads(jwk("P-256"))]}
KEYED: Final = {"token_endpoint_auth_method": "private_key_jwt", "jwks": PUBLIC}
LOCAL: Final = "http://127.0.0.1/callback"
KINDS: Final = ("P-256", "P-384", "P-521", "RSA", "Ed25519")


def judged(**changes: Any) -> list[Finding]:
    """`...` takes a field away."""
    document = {**client_document(URL), **changes}
    kept = {name: value for name, value in document.items() if value is not ...}
    return list(content(URL, kept))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        KEYED,
        {"response_types": ...},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://x.example/keys"},
        {"redirect_uris": ["https://app.example.com/cb"], "application_type": "web"},
        {"redirect_uris": [LOCAL, "http://localhost:3000/callback"]},
        {"redirect_uris": ["com.example.app:/cb"], "d": "no key", "unknown": {"a": 1}},
    ],
)
def test_a_good_document_is_well(changes: dict[str, Any]) -> None:
    assert [f for f in judged(**changes) if f.level != "ok"] == []


FAULTS: Final[dict[str, tuple[dict[str, Any], str, str, str]]] = {
    "no client_id": ({"client_id": ...}, "client_id", "error", "client_id: left out"),
    "another client_id": ({"client_id": URL + "/"}, "client_id", "error", "client.json/"),
    "a client_id in other letters": (
        {"client_id": URL.replace("app", "App")},
        "client_id",
        "error",
        "App",
    ),
    "another response": ({"response_types": ["token"]}, "response_types", "error", "token"),
    "a response_types of text": ({"response_types": "code"}, "response_types", "error", "code"),
    "no name": ({"client_name": ...}, "client_name", "error", "left out"),
    "an empty name": ({"client_name": ""}, "client_name", "error", "no text"),
    "a name that is not text": ({"client_name": 7}, "client_name", "error", "no text"),
    "no redirect_uris": ({"redirect_uris": ...}, "redirect_uris", "error", "absolute"),
    "an empty redirect_uris": ({"redirect_uris": []}, "redirect_uris", "error", "absolute"),
    "a redirect_uris of text": ({"redirect_uris": LOCAL}, "redirect_uris", "error", "absolute"),
    "plain http": ({"redirect_uris": [LOCAL, "http://x.example/"]}, "redirect_uris", "error", "x"),
    "a number": ({"redirect_uris": [LOCAL, 7]}, "redirect_uris", "error", "no text"),
    "a client secret": ({"client_secret": "planted"}, "secrets", "error", "client_secret"),
    "an expiry of a secret": ({"client_secret_expires_at": 0}, "secrets", "error", "expires_at"),
    "a registration that is hosted": (
        {"registration_access_token": "planted"},
        "secrets",
        "error",
        "registration_access_token",
    ),
    "a private key elsewhere": ({"jwk": PRIVATE["keys"][0]}, "secrets", "error", "a private key"),
    "a PEM": ({"key": pem("P-256")}, "secrets", "error", "PEM"),
    "no method": (
        {"token_endpoint_auth_method": ...},
        "token_endpoint_auth_method",
        "warning",
        "client_secret_basic",
    ),
    **{
        method: (
            {"token_endpoint_auth_method": method},
            "token_endpoint_auth_method",
            "error",
            "shared secret",
        )
        for method in ("client_secret_basic", "client_secret_post", "client_secret_jwt")
    },
    "a method that is not text": (
        {"token_endpoint_auth_method": ["none"]},
        "token_endpoint_auth_method",
        "error",
        "not text",
    ),
    "a method without its keys": (
        {"token_endpoint_auth_method": "private_key_jwt"},
        "token_endpoint_auth_method",
        "error",
        "without jwks",
    ),
    "a private key": ({**KEYED, "jwks": PRIVATE}, "jwks", "error", "private members: d"),
    "a shared key": (
        {**KEYED, "jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}},
        "jwks",
        "error",
        "private members: k",
    ),
    "no keys": ({**KEYED, "jwks": {"keys": []}}, "jwks", "error", "no keys"),
    "keys that are no set": ({**KEYED, "jwks": PUBLIC["keys"]}, "jwks", "error", "no keys"),
    "a broken key": (
        {**KEYED, "jwks": {"keys": [*PUBLIC["keys"], {"kty": "EC"}]}},
        "jwks",
        "error",
        "key 2",
    ),
    "no grants": ({"grant_types": ...}, "grant_types", "warning", "left out"),
    "no refresh": ({"grant_types": ["authorization_code"]}, "grant_types", "warning", "authoriz"),
    "no code": ({"grant_types": ["refresh_token"]}, "grant_types", "error", "without authoriz"),
    "grants that are text": (
        {"grant_types": "authorization_code"},
        "grant_types",
        "error",
        "authorization_code, without",
    ),
    "no application_type": (
        {"application_type": ...},
        "application_type",
        "warning",
        "default: web",
    ),
    "a web application": ({"application_type": "web"}, "application_type", "warning", "web"),
}


@pytest.mark.parametrize(("changes", "field", "level", "says"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_one_finding_with_its_remedy(
    changes: dict[str, Any], field: str, level: str, says: str
) -> None:
    (found,) = [f for f in judged(**changes) if f.level != "ok" and f.check == f"document.{field}"]
    assert (found.level, found.error) == (level, "BadResponse" if level == "error" else "")
    assert says in found.came
    assert found.standard
    assert found.remedy or level == "note"


@pytest.mark.parametrize("name", [name for name, row in FAULTS.items() if row[1] in
                                  ("secrets", "jwks")])  # fmt: skip
def test_what_is_secret_is_never_repeated(name: str) -> None:
    said = str(judged(**FAULTS[name][0]))
    hidden = [*planted("P-256"), "planted", "c2VjcmV0"]
    assert not [secret for secret in hidden if secret in said]


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
    "key",
    [
        "text",
        {"x": "y"},
        {"kty": "oct"},
        {"kty": "EC", "crv": "P-256"},
        {"kty": "EC", "crv": "P-256", "x": "!", "y": 1},
        {"kty": "telepathy"},
    ],
)
def test_what_is_no_public_key_is_named(key: Any) -> None:
    assert key_set_fault({"keys": [*PUBLIC["keys"], key]}) == "key 2 is not a public JWK"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [pem, jwk], ids=["pem", "jwk"])
def test_what_we_publish_of_a_key_is_a_sound_set(kind: str, form: Any) -> None:
    published = public_part(signing_key(Secret(form(kind))))
    assert key_set_fault({"keys": [published]}) == ""


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1/callback",
        "http://127.0.0.1:8765/callback",
        "http://[::1]:1/",
        "http://localhost:3000/callback",
        "https://app.example.com/callback?a=b",
        "com.example.app:/callback",
    ],
)
def test_a_sound_redirect_uri_has_no_fault(uri: str) -> None:
    assert redirect_fault(uri) == ""


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (7, "absolute"),
        (None, "left out"),
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
    assert said in redirect_fault(uri)
