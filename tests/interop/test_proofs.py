"""Clients that sign, and requests that are pushed, at a certified authorization server."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from conftest import SHORT, behind_authkit
from key_samples import jwk, public_jwk
from life import PATIENCE
from person import Person

SECRET = "a secret of the operator, long enough to sign"
METHODS = {
    "private_key_jwt by EC": ("private_key_jwt", "P-256", "ES256"),
    "private_key_jwt by RSA": ("private_key_jwt", "RSA", "PS256"),
    "private_key_jwt by Ed25519": ("private_key_jwt", "Ed25519", "Ed25519"),
    "client_secret_jwt": ("client_secret_jwt", "", "HS256"),
    "client_secret_basic": ("client_secret_basic", "", ""),
}


def registered(method: str, kind: str, algorithm: str) -> dict[str, Any]:
    client: dict[str, Any] = {
        "client_id": "ours",
        "application_type": "native",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": method,
    }
    if algorithm:
        client["token_endpoint_auth_signing_alg"] = algorithm
    if kind:
        return {**client, "jwks": {"keys": [json.loads(public_jwk(kind))]}}
    return {**client, "client_secret": SECRET}


@pytest.mark.parametrize("method", METHODS)
def test_a_client_of_the_operators_proves_itself_at_every_endpoint(
    person: Person, method: str
) -> None:
    named, kind, algorithm = METHODS[method]
    file = person.home / "proof"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(jwk(kind, alg=algorithm) if kind else SECRET)
    option = "--client-key-file" if kind else "--client-secret-file"
    clients = [registered(named, kind, algorithm)]
    with behind_authkit(SHORT, clients=clients, par="required") as url:
        person.log_in(url, "--client-id", "ours", option, str(file), "--client-auth-method", named)
        first = person.token(url)
        deadline = time.monotonic() + PATIENCE
        while person.token(url) == first:  # until it has expired, and another is signed for
            assert time.monotonic() < deadline
        assert "has not confirmed" not in person.mcp_login("logout", url).err
