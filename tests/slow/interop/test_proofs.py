"""Clients that sign, and requests that are pushed, at a certified authorization server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.slow.interop.conftest import SHORT, behind_authkit
from tests.slow.interop.life import PATIENCE
from tests.slow.interop.person import Person
from tests.support.key_samples import jwk, public_jwk

SECRET = "a secret of the operator, long enough to sign"
METHODS = {
    "private_key_jwt by EC": ("private_key_jwt", "P-256", "ES256"),
    "private_key_jwt by RSA": ("private_key_jwt", "RSA", "PS256"),
    "private_key_jwt by Ed25519": ("private_key_jwt", "Ed25519", "Ed25519"),
    "client_secret_jwt": ("client_secret_jwt", "", "HS256"),
    "client_secret_basic": ("client_secret_basic", "", ""),
}


def registered(name: str) -> dict[str, Any]:
    method, kind, algorithm = METHODS[name]
    client: dict[str, Any] = {
        "client_id": name,
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


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server with a client of each kind."""
    clients = [registered(name) for name in METHODS]
    with behind_authkit(SHORT, clients=clients, par="required") as url:
        yield url


@pytest.fixture(scope="module")
def lives(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[str]]]:
    """All at the same time, since they wait for the same expiry."""
    with ThreadPoolExecutor(len(METHODS)) as pool:
        yield {
            name: pool.submit(live, Person(tmp_path_factory.mktemp("person")), url, name)
            for name in METHODS
        }


@pytest.mark.parametrize("name", METHODS)
def test_a_client_of_the_operators_proves_itself_at_every_endpoint(
    lives: dict[str, Future[str]], name: str
) -> None:
    assert "did not confirm" not in lives[name].result()


def live(person: Person, url: str, name: str) -> str:
    """Login, use, renewal and logout, of which it gives what was told."""
    method, kind, algorithm = METHODS[name]
    file = person.home / "proof"
    file.write_text(jwk(kind, alg=algorithm) if kind else SECRET)
    option = "--client-key-file" if kind else "--client-secret-file"
    proof = ["--client-id", name, option, str(file), "--client-auth-method", method]
    # this provider drops offline_access without consent (OIDC Core §11), and then nothing is left
    person.log_in(url, *proof, "--param", "prompt=consent")
    first = person.token(url)
    deadline = time.monotonic() + PATIENCE
    while person.token(url) == first:  # until it has expired, and another is signed for
        assert time.monotonic() < deadline
    return person.mcp_login("logout", url).err
