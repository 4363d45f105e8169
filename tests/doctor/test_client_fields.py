"""Each fault of a client ID metadata document is a finding: one row each, in a good document."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from key_samples import jwk, pem, planted, public_jwk

from mcp_client_auth.doctor import Finding
from mcp_client_auth.doctor.client_fields import content
from mcp_client_auth.protocol.client_document import Described, client_document

URL: Final = "https://app.example.com/client.json"
PUBLIC: Final = {"keys": [json.loads(public_jwk("P-256"))]}
PRIVATE: Final = {"keys": [json.loads(jwk("P-256"))]}
KEYED: Final = {"token_endpoint_auth_method": "private_key_jwt", "jwks": PUBLIC}
LOCAL: Final = "http://127.0.0.1/callback"


def judged(**changes: Any) -> list[Finding]:
    """`...` takes a field away."""
    document = {**client_document(Described(URL)), **changes}
    kept = {name: value for name, value in document.items() if value is not ...}
    return list(content(URL, kept))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        KEYED,
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://x.example/keys"},
        {"redirect_uris": ["https://app.example.com/cb"], "application_type": "web"},
        {"redirect_uris": [LOCAL, "http://localhost:3000/callback"]},
        {"response_types": ...},
        {"logo_uri": "https://app.example.com/logo.png", "d": "no key", "unknown": {"a": 1}},
    ],
)
def test_a_good_document_is_well(changes: dict[str, Any]) -> None:
    assert [f for f in judged(**changes) if f.level != "ok"] == []


FAULTS: Final[dict[str, tuple[dict[str, Any], str, str, str]]] = {
    "no client_id": ({"client_id": ...}, "client_id", "error", "no client_id"),
    "another client_id": ({"client_id": URL + "/"}, "client_id", "error", "client.json/"),
    "a client_id in other letters": (
        {"client_id": URL.replace("app", "App")},
        "client_id",
        "error",
        "App",
    ),
    "no name": ({"client_name": ...}, "client_name", "error", "left out"),
    "an empty name": ({"client_name": " "}, "client_name", "error", "no text"),
    "a name that is no text": ({"client_name": 7}, "client_name", "error", "no text"),
    "no redirect_uris": ({"redirect_uris": ...}, "redirect_uris", "error", "no array"),
    "an empty redirect_uris": ({"redirect_uris": []}, "redirect_uris", "error", "no array"),
    "a redirect_uris of text": ({"redirect_uris": LOCAL}, "redirect_uris", "error", "no array"),
    "plain http": ({"redirect_uris": [LOCAL, "http://x.example/"]}, "redirect_uris", "error", "x"),
    "a number": ({"redirect_uris": [LOCAL, 7]}, "redirect_uris", "error", "no text"),
    "localhost only": (
        {"redirect_uris": ["http://localhost/callback"]},
        "redirect_uris",
        "note",
        "localhost only",
    ),
    "a scheme of its own": (
        {"redirect_uris": [LOCAL, "com.example.app:/cb"]},
        "redirect_uris",
        "warning",
        "scheme",
    ),
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
    "a method that is no text": (
        {"token_endpoint_auth_method": ["none"]},
        "token_endpoint_auth_method",
        "error",
        "no text",
    ),
    "an unknown method": (
        {"token_endpoint_auth_method": "telepathy"},
        "token_endpoint_auth_method",
        "warning",
        "telepathy",
    ),
    "a method without its keys": (
        {"token_endpoint_auth_method": "private_key_jwt"},
        "token_endpoint_auth_method",
        "error",
        "without jwks",
    ),
    "keys without their method": (
        {"jwks": PUBLIC},
        "token_endpoint_auth_method",
        "note",
        "not used",
    ),
    "both ways to the keys": (
        {**KEYED, "jwks_uri": "https://app.example.com/keys"},
        "jwks",
        "error",
        "as well",
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
    "no grants": ({"grant_types": ...}, "grant_types", "warning", "alone"),
    "no refresh": ({"grant_types": ["authorization_code"]}, "grant_types", "warning", "authoriz"),
    "no code": ({"grant_types": ["refresh_token"]}, "grant_types", "error", "without authoriz"),
    "grants that are text": (
        {"grant_types": "authorization_code"},
        "grant_types",
        "error",
        "no array",
    ),
    "another response": ({"response_types": ["token"]}, "response_types", "error", "token"),
    "no application_type": (
        {"application_type": ...},
        "application_type",
        "warning",
        "stands for web",
    ),
    "a web application": ({"application_type": "web"}, "application_type", "warning", "web"),
    "a logo in clear text": ({"logo_uri": "http://x.example/l"}, "logo_uri", "warning", "http:"),
    "a home page that is no text": ({"client_uri": 7}, "client_uri", "warning", "no text"),
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
