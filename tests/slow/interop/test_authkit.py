"""AuthKit's peculiarities, which the library is tested against, are really there."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

CALLBACK = "http://127.0.0.1:1/callback"


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def resource(http: httpx.Client, authkit: str) -> dict[str, object]:
    url = httpx.URL(authkit)
    place = url.copy_with(path=f"/.well-known/oauth-protected-resource{url.path}")
    metadata: dict[str, object] = http.get(place).json()
    return metadata


@pytest.fixture
def issuer(resource: dict[str, object]) -> str:
    servers = resource["authorization_servers"]
    assert isinstance(servers, list)
    return str(servers[0])


def test_the_challenge_has_the_metadata_and_nothing_else(http: httpx.Client, authkit: str) -> None:
    answer = http.post(authkit, json={})
    assert answer.status_code == 401
    assert answer.content == b""
    scheme, _, parameters = answer.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    assert [each.partition("=")[0] for each in parameters.split(", ")] == ["resource_metadata"]


def test_the_metadata_is_at_the_path_only_and_says_no_scopes(
    http: httpx.Client, authkit: str, resource: dict[str, object]
) -> None:
    assert resource["resource"] == authkit
    assert resource["scopes_supported"] == []
    root = httpx.URL(authkit).copy_with(path="/.well-known/oauth-protected-resource")
    assert http.get(root).status_code == 404


def test_both_kinds_of_metadata_are_at_the_root_and_the_same(
    http: httpx.Client, issuer: str
) -> None:
    oauth = http.get(f"{issuer}/.well-known/oauth-authorization-server").json()
    openid = http.get(f"{issuer}/.well-known/openid-configuration").json()
    assert oauth == openid
    assert oauth["issuer"] == issuer
    assert oauth["authorization_endpoint"] == f"{issuer}/oauth2/authorize"
    assert oauth["scopes_supported"] == ["openid", "profile", "email", "offline_access"]


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_resource_with_a_slash_more_is_no_target(
    http: httpx.Client, authkit: str, issuer: str, slash: str
) -> None:
    client = {
        "redirect_uris": [CALLBACK],
        "application_type": "native",
        "token_endpoint_auth_method": "none",
    }
    registered = http.post(f"{issuer}/oauth2/register", json=client).json()
    query = {
        "client_id": registered["client_id"],
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
        "resource": authkit + slash,
    }
    answer = http.get(f"{issuer}/oauth2/authorize", params=query)
    assert ("error=invalid_target" in answer.headers["location"]) == bool(slash)
