"""The forms of oidc-provider are what they are called: raw requests, without the library."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from mcp_client_auth.testing import ScriptedBrowser
from tests.slow.interop.forms import (
    CONFIDENTIAL,
    DEVICE,
    DPOP,
    IN_MEMORY_SHORT,
    PAR,
    PATH,
    PLAIN,
    Form,
    Place,
)
from tests.slow.interop.life import (
    Life,
    login,
    refreshed,
    sign_in,
    wait_until_expired,
    wait_until_refused,
)

CALLBACK: Final = "http://127.0.0.1:1/callback"
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
Metadata = dict[str, Any]


def at(*forms: Form) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("place", forms, indirect=True, ids=[form.name for form in forms])


@pytest.fixture
def http(place: Place) -> Iterator[httpx.Client]:
    with place.http() as client:
        yield client


@pytest.fixture
def issuer(http: httpx.Client, place: Place) -> str:
    url = httpx.URL(place.url)
    metadata = http.get(url.copy_with(path=f"/.well-known/oauth-protected-resource{url.path}"))
    # FastMCP names a pathless issuer with a slash, oidc-provider names itself without
    return str(metadata.json()["authorization_servers"][0]).removesuffix("/")


@pytest.fixture
def metadata(http: httpx.Client, issuer: str) -> Metadata:
    document: Metadata = http.get(f"{issuer}/.well-known/openid-configuration").json()
    return document


def registered(http: httpx.Client, metadata: Metadata, *grants: str) -> str:
    wanted = {
        "redirect_uris": [CALLBACK],
        "application_type": "native",
        "grant_types": ["authorization_code", "refresh_token", *grants],
        "token_endpoint_auth_method": "none",
    }
    return str(http.post(metadata["registration_endpoint"], json=wanted).json()["client_id"])


def question(client_id: str) -> dict[str, str]:
    return {
        "client_id": client_id,
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }


def tokens_by_device(http: httpx.Client, place: Place, metadata: Metadata) -> dict[str, Any]:
    client = {"client_id": registered(http, metadata, DEVICE_GRANT)}
    asked = {**client, "scope": "openid email offline_access", "resource": place.url}
    given = http.post(metadata["device_authorization_endpoint"], data=asked).json()
    form = {**client, "grant_type": DEVICE_GRANT, "device_code": given["device_code"]}
    early = http.post(metadata["token_endpoint"], data=form).json()
    assert early["error"] == "authorization_pending"
    ScriptedBrowser().visit(given["verification_uri_complete"])
    tokens: dict[str, Any]
    tokens = http.post(metadata["token_endpoint"], data={**form, "resource": place.url}).json()
    return tokens


@at(DEVICE)
@pytest.mark.parametrize("winner", ["device", "browser"])
def test_beside_a_device_code_both_ways_are_open(life: Life, winner: str) -> None:
    person, url = life.person, life.place.url
    told = person.log_in_by_code(url, *life.place.login, "-v", types_it=winner == "device").err
    by_code = "for the device code" in told
    assert by_code == (winner == "device")
    assert ("authorization-response" in told) != by_code
    assert person.visits(url) == life.form.seen


@at(PATH)
def test_the_metadata_of_an_issuer_with_a_path_is_appended_only(
    http: httpx.Client, issuer: str, metadata: Metadata
) -> None:
    url = httpx.URL(issuer)
    assert url.path == "/tenant"
    assert metadata["issuer"] == issuer
    for name in ("oauth-authorization-server", "openid-configuration"):
        inserted = url.copy_with(path=f"/.well-known/{name}{url.path}")
        assert http.get(inserted).status_code == 404


@at(PAR)
def test_an_authorization_request_that_was_not_pushed_is_refused(
    http: httpx.Client, metadata: Metadata
) -> None:
    assert metadata["require_pushed_authorization_requests"] is True
    asked = question(registered(http, metadata))
    plain = http.get(metadata["authorization_endpoint"], params=asked)
    assert "error=invalid_request" in plain.headers["location"]
    pushed = http.post(metadata["pushed_authorization_request_endpoint"], data=asked)
    assert pushed.status_code == 201
    short = {"client_id": asked["client_id"], "request_uri": pushed.json()["request_uri"]}
    taken = http.get(metadata["authorization_endpoint"], params=short)
    assert "/interaction/" in taken.headers["location"]


@at(DEVICE)
def test_a_device_code_is_good_when_a_person_has_typed_its_sister(
    http: httpx.Client, place: Place, metadata: Metadata
) -> None:
    tokens = tokens_by_device(http, place, metadata)
    assert tokens["refresh_token"]
    assert not place.refuses(tokens["access_token"])


@at(DPOP)
def test_where_a_proof_is_demanded_the_challenge_names_no_bearer(
    http: httpx.Client, place: Place
) -> None:
    challenge = http.post(place.url, json={})
    assert challenge.status_code == 401
    assert challenge.headers["www-authenticate"].startswith("DPoP algs=")
    assert "Bearer" not in challenge.headers["www-authenticate"]


@at(DPOP)
def test_a_proof_without_the_servers_nonce_is_sent_back(
    http: httpx.Client, metadata: Metadata
) -> None:
    from joserfc import jwk, jwt

    key = jwk.generate_key("EC", "P-256")
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
    claims = {"htm": "POST", "htu": metadata["token_endpoint"], "iat": int(time.time()), "jti": "1"}
    form = {
        "client_id": registered(http, metadata),
        "grant_type": "refresh_token",
        "refresh_token": "none",
    }
    proof = {"DPoP": jwt.encode(header, claims, key)}
    answer = http.post(metadata["token_endpoint"], data=form, headers=proof)
    assert answer.json()["error"] == "use_dpop_nonce"
    assert answer.headers["dpop-nonce"]


@at(DPOP)
def test_a_bearer_token_is_refused_where_a_proof_is_demanded(
    http: httpx.Client, place: Place, metadata: Metadata
) -> None:
    """One of this very issuer, for this very resource, but bound to no key."""
    tokens = tokens_by_device(http, place, metadata)
    assert tokens["token_type"] == "Bearer"
    assert place.refuses(tokens["access_token"])


@at(PLAIN, CONFIDENTIAL)
def test_a_refresh_by_hand_works_once(life: Life) -> None:
    """So that the refusal after a logout means the logout."""
    login(life)
    assert refreshed(life.place, life.credential).status_code == 200
    again = refreshed(life.place, life.credential)
    assert again.json()["error"] == "invalid_grant"


@at(IN_MEMORY_SHORT)
def test_a_dead_token_that_is_shown_to_the_server_in_memory_takes_its_refresh_token_along(
    life: Life,
) -> None:
    sign_in(life)
    wait_until_expired(life.credential)
    wait_until_refused(life.place, life.credential)
    assert refreshed(life.place, life.credential).json()["error"] == "invalid_grant"
