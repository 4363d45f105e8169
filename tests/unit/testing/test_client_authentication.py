"""What the demo authorization server takes as a proof, and what it does not."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from mcp_client_auth import Secret
from mcp_client_auth.protocol.assertions import key_assertion, secret_assertion
from mcp_client_auth.protocol.jose import signing_key
from mcp_client_auth.testing import DemoServer, RegisteredClient, Settings
from tests.support.key_samples import pem, public_pem

CALLBACK = "http://127.0.0.1:4711/callback"
SECRET = "s3cret of the app, long enough"
KEYED = RegisteredClient(
    "keyed", None, "private_key_jwt", (CALLBACK,), public_key=public_pem("P-256")
)
SIGNED = RegisteredClient("signed", SECRET, "client_secret_jwt", (CALLBACK,))
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture
def server() -> Iterator[DemoServer]:
    settings = Settings(clients=(KEYED, SIGNED), require_pushed_requests=True)
    with DemoServer(settings) as server:
        yield server


def post(server: DemoServer, path: str, **form: str) -> httpx.Response:
    return httpx.post(f"{server.issuer}{path}", data=form, trust_env=False)


def assertion(server: DemoServer, **changed: Any) -> str:
    usual: dict[str, Any] = {"client_id": "keyed", "audience": server.issuer, "kind": "P-256"}
    asked = {**usual, "algorithm": "ES256", "now": time.time(), "jti": "j1", **changed}
    key = signing_key(Secret(pem(asked.pop("kind"))))
    name, audience, algorithm = (asked.pop(n) for n in ("client_id", "audience", "algorithm"))
    return key_assertion(name, audience, key, algorithm, **asked)


def revoked(server: DemoServer, text: str, **more: str) -> httpx.Response:
    """The plainest request that wants a client to prove itself."""
    proof = {"client_assertion_type": TYPE, "client_assertion": text}
    return post(server, "/oauth2/revoke", token="x", **{**proof, **more})


def test_an_assertion_is_taken_once(server: DemoServer) -> None:
    text = assertion(server)
    assert revoked(server, text).status_code == 200
    again = revoked(server, text)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    assert "jti" in again.json()["error_description"]
    assert revoked(server, assertion(server, jti="j2"), client_id="keyed").status_code == 200


WRONG: dict[str, dict[str, Any]] = {
    "the token endpoint as audience": {"audience": "http://127.0.0.1:1/oauth2/token"},
    "a list as audience": {"audience": ["the issuer"]},
    "an old one": {"now": time.time() - 3600},
    "one for the future": {"now": time.time() + 3600},
    "another key": {"kind": "P-384", "algorithm": "ES384"},
    "an unknown client": {"client_id": "nobody"},
    "a client with another method": {"client_id": "signed"},
}


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG)
def test_an_assertion_that_is_not_for_here_and_now_is_refused(
    server: DemoServer, changed: dict[str, Any]
) -> None:
    if isinstance(changed.get("audience"), list):
        changed = {"audience": [server.issuer]}
    answer = revoked(server, assertion(server, **changed))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def spoiled(text: str, **claims: Any) -> str:
    head, _, signature = text.split(".")
    body = urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


def test_a_signature_covers_every_claim(server: DemoServer) -> None:
    now = int(time.time())
    claims = {"iss": "keyed", "sub": "keyed", "aud": server.issuer, "iat": now, "exp": now + 60}
    assert revoked(server, spoiled(assertion(server), jti="x", **claims)).status_code == 401
    none = urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    unsigned = spoiled(assertion(server), jti="y", **claims).split(".")[1]
    assert revoked(server, f"{none}.{unsigned}.").status_code == 401


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "e30.e30.", "e30.e30", "ü.ü.ü", "W10.W10.x"])
def test_what_is_no_jwt_is_refused(server: DemoServer, text: str) -> None:
    assert revoked(server, text).status_code in (400, 401)


@pytest.mark.parametrize(
    "more",
    [
        {"client_secret": SECRET},
        {"client_id": "signed"},
        {"client_assertion_type": "urn:other"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_two_ways_at_once_are_refused(server: DemoServer, more: dict[str, str]) -> None:
    assert revoked(server, assertion(server), **more).status_code == 400


def test_a_secret_signs_and_does_not_go_along(server: DemoServer) -> None:
    def made(secret: str, jti: str) -> str:
        now = time.time()
        return secret_assertion("signed", server.issuer, Secret(secret), "HS256", now=now, jti=jti)

    assert revoked(server, made(SECRET, "1")).status_code == 200
    assert revoked(server, made("wrong" * 8, "2")).status_code == 401
    plain = post(server, "/oauth2/revoke", token="x", client_id="signed", client_secret=SECRET)
    assert plain.status_code == 401, "another method than the registered one"


def pushed(server: DemoServer, **changed: str) -> httpx.Response:
    asked = {
        "response_type": "code",
        "client_id": "keyed",
        "redirect_uri": CALLBACK,
        "state": "s",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
        "resource": server.url,
        "client_assertion_type": TYPE,
        **changed,
    }
    form = {name: value for name, value in asked.items() if value}
    return post(server, "/oauth2/par", client_assertion=assertion(server, jti=repr(form)), **form)


def test_a_pushed_request_is_opened_once_and_by_its_client(server: DemoServer) -> None:
    answer = pushed(server)
    assert (answer.status_code, answer.json()["expires_in"]) == (201, 90)
    reference = answer.json()["request_uri"]
    url = f"{server.issuer}/oauth2/authorize"
    asked = {"client_id": "keyed", "request_uri": reference}
    assert httpx.get(url, params={**asked, "state": "x"}, trust_env=False).status_code == 400
    page = httpx.get(url, params=asked, trust_env=False)
    assert 'name="transaction"' in page.text
    assert httpx.get(url, params=asked, trust_env=False).status_code == 400, "used"
    other = {"client_id": "signed", "request_uri": pushed(server, state="t").json()["request_uri"]}
    assert httpx.get(url, params=other, trust_env=False).status_code == 400


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "https://evil.example/cb"},
        {"code_challenge": ""},
        {"resource": ""},
        {"client_id": ""},
        {"request_uri": "urn:x"},
        {"scope": "unheard-of"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_pushed_request_is_checked_when_it_is_pushed(
    server: DemoServer, changed: dict[str, str]
) -> None:
    assert pushed(server, **changed).status_code == 400


def test_where_a_push_is_required_nothing_else_is_taken(server: DemoServer) -> None:
    asked = {"client_id": "keyed", "response_type": "code", "redirect_uri": CALLBACK}
    answer = httpx.get(f"{server.issuer}/oauth2/authorize", params=asked, trust_env=False)
    assert answer.status_code == 400
    assert "pushed" in answer.text
    assert "location" not in answer.headers


@pytest.mark.parametrize("place", ["authorization", "registration"])
def test_offline_access_is_listed_and_refused(place: Any) -> None:
    with DemoServer(Settings(refuse_offline_access=place)) as server:
        body = {"redirect_uris": [CALLBACK], "scope": "notes:read offline_access"}
        answer = httpx.post(f"{server.issuer}/oauth2/register", json=body, trust_env=False)
        if place == "registration":
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
            return
        asked = {
            "client_id": answer.json()["client_id"],
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "code_challenge": "c" * 43,
            "code_challenge_method": "S256",
            "resource": server.url,
            "scope": "offline_access",
        }
        back = httpx.get(f"{server.issuer}/oauth2/authorize", params=asked, trust_env=False)
        assert parse_qs(urlsplit(back.headers["location"]).query)["error"] == ["invalid_scope"]


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}])
def test_a_registration_may_need_a_token(header: dict[str, str]) -> None:
    with DemoServer(Settings(initial_access_token="the token")) as server:
        url, body = f"{server.issuer}/oauth2/register", {"redirect_uris": [CALLBACK]}
        assert httpx.post(url, json=body, headers=header, trust_env=False).status_code == 401
        right = {"Authorization": "Bearer the token"}
        assert httpx.post(url, json=body, headers=right, trust_env=False).status_code == 201


CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "a key's method without one": {"method": "private_key_jwt"},
    "a secret beside a key": {"client_secret": "s", "method": "private_key_jwt", "public_key": "k"},
    "a secret's method without one": {"method": "client_secret_jwt"},
    "a key that is of no use": {"public_key": "k"},
}


@pytest.mark.parametrize("fields", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_client_that_contradicts_itself_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="disagree"):
        RegisteredClient("x", **fields)


def test_no_key_is_registered_dynamically() -> None:
    with pytest.raises(ValueError, match="dynamically"):
        Settings(registration_method="private_key_jwt")
