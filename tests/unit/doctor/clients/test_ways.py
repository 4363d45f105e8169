"""What a client would register."""

from __future__ import annotations

from mcp_client_auth.doctor.clients.facts import catalogue
from mcp_client_auth.doctor.clients.ways import registration_body

CLIENTS = catalogue().clients


def test_bodies_of_registration() -> None:
    assert registration_body(CLIENTS["cursor"], ("a", "b")) == {
        "client_name": "Cursor",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "scope": "a b",
        "redirect_uris": [
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "http://localhost:8787/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
        ],
    }
    assert "scope" not in (registration_body(CLIENTS["cursor"]) or {})
    assert (registration_body(CLIENTS["inspector"]) or {})["scope"] == ""
    assert registration_body(CLIENTS["inspector-1"]) is None
    for client in CLIENTS.values():
        body = registration_body(client) or {"redirect_uris": []}
        assert not any("{" in uri for uri in body["redirect_uris"])
