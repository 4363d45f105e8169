"""A certified authorization server binds tokens to our key, and to no other."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from dataclasses import replace

import pytest

from mcp_client_auth import TokenRefused
from mcp_client_auth.protocol.dpop import make_key, read_key
from mcp_client_auth.protocol.tokens import refresh
from mcp_client_auth.session.open import open_session
from tests.slow.interop.person import Person


def test_a_certified_server_binds_login_and_refresh_to_the_key(
    binding_authkit: str, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = person.mcp_login(binding_authkit, "--store", "file", "--dpop")
    assert "without --dpop" in answer.err, "the resource takes Bearer only"
    monkeypatch.setenv("MCP_CLIENT_AUTH_HOME", str(person.home))
    session = open_session(binding_authkit, storage="file", prompt=None)
    stored = session.ports.storage.load(session.key)
    assert stored is not None
    assert stored.dpop_key is not None
    assert stored.tokens.bound
    body = stored.tokens.access_token.reveal().split(".")[1]
    assert json.loads(urlsafe_b64decode(body + "=="))["cnf"] == {
        "jkt": read_key(stored.dpop_key).jkt
    }

    other = replace(stored, dpop_key=make_key("ES256").kept)
    with pytest.raises(TokenRefused):
        session.ports.run(refresh(other, 0.0, session.ports.signer(None, other.dpop_key)))
    renewed = session.ports.run(refresh(stored, 0.0, session.ports.signer(None, stored.dpop_key)))
    assert renewed.bound
