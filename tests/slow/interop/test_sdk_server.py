"""The SDK server's peculiarities, which the library is tested against, are really there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.slow.interop.forms import NO_METADATA, NO_RESOURCE_METADATA, Place

CALLBACK = "http://127.0.0.1:1/callback"


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def metadata(http: httpx.Client, sdk: str) -> dict[str, Any]:
    place = httpx.URL(sdk).copy_with(path="/.well-known/oauth-authorization-server")
    document: dict[str, Any] = http.get(place).json()
    return document


@pytest.fixture
def client_id(http: httpx.Client, metadata: dict[str, Any]) -> str:
    client = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
    return str(http.post(metadata["registration_endpoint"], json=client).json()["client_id"])


def test_the_issuer_has_a_slash_and_no_iss_is_promised(metadata: dict[str, Any], sdk: str) -> None:
    assert metadata["issuer"] == str(httpx.URL(sdk).copy_with(path="/"))
    assert "authorization_response_iss_parameter_supported" not in metadata


def test_a_public_client_is_registered_although_none_is_not_listed(
    http: httpx.Client, metadata: dict[str, Any], client_id: str
) -> None:
    assert "none" not in metadata["token_endpoint_auth_methods_supported"]
    assert client_id


def test_the_callback_port_is_compared(
    http: httpx.Client, metadata: dict[str, Any], client_id: str
) -> None:
    query = {
        "client_id": client_id,
        "response_type": "code",
        "redirect_uri": CALLBACK.replace(":1/", ":2/"),
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }
    assert http.get(metadata["authorization_endpoint"], params=query).status_code == 400


@pytest.mark.parametrize(("secret", "status"), [({}, 400), ({"client_secret": ""}, 200)])
def test_a_revocation_wants_a_secret_even_of_a_public_client(
    http: httpx.Client,
    metadata: dict[str, Any],
    client_id: str,
    secret: dict[str, str],
    status: int,
) -> None:
    form = {"client_id": client_id, "token": "unknown", **secret}
    assert http.post(metadata["revocation_endpoint"], data=form).status_code == status


@pytest.mark.parametrize(
    ("place", "status"),
    [(NO_RESOURCE_METADATA, 200), (NO_METADATA, 404)],
    indirect=["place"],
    ids=[NO_RESOURCE_METADATA.name, NO_METADATA.name],
)
def test_an_older_server_has_no_resource_metadata(
    http: httpx.Client, place: Place, status: int
) -> None:
    challenge = http.post(place.url, json={})
    assert challenge.status_code == 401
    assert "resource_metadata" not in challenge.headers["www-authenticate"]
    for path in ("", httpx.URL(place.url).path):
        assert _well_known(http, place, f"oauth-protected-resource{path}") == 404
    assert _well_known(http, place, "oauth-authorization-server") == status
    assert _well_known(http, place, "openid-configuration") == 404


def _well_known(http: httpx.Client, place: Place, name: str) -> int:
    return http.get(httpx.URL(place.url).copy_with(path=f"/.well-known/{name}")).status_code
