"""The demo authorization server, spoken to by hand."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import httpx
import pytest

from mcp_client_auth.testing import DemoServer, RegisteredClient, Settings
from mcp_client_auth.testing.settings import AuthMethod

CALLBACK = "http://127.0.0.1:4711/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()[:-1]
SECRET = "p+l us:%&é"


class Hand:
    """An OAuth client whose every message can be spoiled."""

    def __init__(self, server: DemoServer, http: httpx.Client) -> None:
        self.server = server
        self.http = http
        self.client_id = ""

    def at(self, path: str) -> str:
        origin = urlsplit(self.server.issuer)
        return f"http://{origin.netloc}{path}"

    def register(self, **metadata: Any) -> httpx.Response:
        asked = {"redirect_uris": ["http://127.0.0.1/callback"], "client_name": "Hand", **metadata}
        answer = self.http.post(self.at("/oauth2/register"), content=json.dumps(asked))
        if answer.status_code == 201:
            self.client_id = answer.json()["client_id"]
        return answer

    def authorize(self, **changed: str) -> httpx.Response:
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "state": "the state",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "resource": self.server.url,
            "scope": "notes:read",
        }
        parameters = {name: value for name, value in (asked | changed).items() if value}
        return self.http.get(self.at("/oauth2/authorize"), params=parameters)

    def decide(self, page: httpx.Response, decision: str = "allow") -> httpx.Response:
        found = re.search(r'name="transaction" value="([^"]+)"', page.text)
        assert found, page.text
        answer = {"transaction": found[1], "decision": decision}
        return self.http.post(self.at("/oauth2/authorize"), data=answer)

    def code(self, **changed: str) -> str:
        return sent_back(self.decide(self.authorize(**changed)))["code"]

    def token(self, grant_type: str, auth: str = "", /, **changed: str) -> httpx.Response:
        asked = {"grant_type": grant_type, "resource": self.server.url, **changed}
        if not auth:
            asked.setdefault("client_id", self.client_id)
        data = {name: value for name, value in asked.items() if value}
        headers = {"Authorization": auth} if auth else {}
        return self.http.post(self.at("/oauth2/token"), data=data, headers=headers)

    def exchange(self, code: str, auth: str = "", /, **changed: str) -> httpx.Response:
        proof = {"code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return self.token("authorization_code", auth, **(proof | changed))

    def refresh(self, token: str, **changed: str) -> httpx.Response:
        return self.token("refresh_token", **({"refresh_token": token} | changed))

    def login(self) -> dict[str, Any]:
        document: dict[str, Any] = self.exchange(self.code()).raise_for_status().json()
        return document

    def status_with(self, token: str) -> int:
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        headers = {"Authorization": f"Bearer {token}"}
        return self.http.post(self.server.url, json=ping, headers=headers).status_code


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def hand(mcp_auth_server: DemoServer, http: httpx.Client) -> Hand:
    hand = Hand(mcp_auth_server, http)
    if mcp_auth_server.settings.registration:
        hand.register().raise_for_status()
    return hand


def sent_back(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code in (302, 303), answer.text
    assert answer.headers["location"].startswith(CALLBACK)
    query = parse_qs(urlsplit(answer.headers["location"]).query, strict_parsing=True)
    assert all(len(values) == 1 for values in query.values())
    return {name: values[0] for name, values in query.items()}


def with_settings(**options: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("mcp_auth_server", [Settings(**options)], indirect=True)


def basic(client_id: str, secret: str) -> str:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def test_the_whole_flow_by_hand_ends_with_a_token_that_the_server_takes(hand: Hand) -> None:
    answer = sent_back(hand.decide(hand.authorize(scope="notes:read offline_access")))
    assert answer.keys() == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == ("the state", hand.server.issuer)
    response = hand.exchange(answer["code"])
    tokens = response.json()
    assert response.headers["cache-control"] == "no-store"
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 3600)
    assert tokens["scope"] == "notes:read offline_access"
    assert hand.status_with(tokens["access_token"]) == 200
    assert hand.server.token_requests("authorization_code") == 1
    assert hand.server.count("/oauth2/register") == 1


def test_the_metadata_names_endpoints_of_its_own_origin(hand: Hand) -> None:
    response = hand.http.get(hand.at("/.well-known/oauth-authorization-server"))
    document = response.json()
    assert document["issuer"] == hand.server.issuer
    assert document["token_endpoint"] == hand.at("/oauth2/token")
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert response.headers["access-control-allow-origin"] == "*"
    assert urlsplit(hand.server.url).netloc != urlsplit(hand.server.issuer).netloc


@with_settings(issuer_path="/tenant1")
def test_an_issuer_with_a_path_has_its_metadata_at_the_inserted_place_only(hand: Hand) -> None:
    place = "/.well-known/oauth-authorization-server"
    assert hand.server.issuer.endswith("/tenant1")
    assert hand.http.get(hand.at(f"{place}/tenant1")).json()["issuer"] == hand.server.issuer
    assert hand.http.get(hand.at(place)).status_code == 404
    assert hand.http.get(hand.at(f"/tenant1{place}")).status_code == 404
    assert sent_back(hand.decide(hand.authorize()))["iss"] == hand.server.issuer


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "unknown"},
        {"client_id": "https://client.example/metadata.json"},
        {"redirect_uri": ""},
        {"redirect_uri": "http://127.0.0.1:4711/callback/"},
        {"redirect_uri": "http://127.0.0.1:4711/callback?a=b"},
        {"redirect_uri": "http://localhost:4711/callback"},
        {"redirect_uri": "http://127.0.0.1:80@evil.example/callback"},
        {"redirect_uri": "https://127.0.0.1/callback"},
    ],
)
def test_an_unknown_client_or_redirect_uri_is_shown_and_never_redirected(
    hand: Hand, changed: dict[str, str]
) -> None:
    response = hand.authorize(**changed)
    assert response.status_code == 400
    assert "location" not in response.headers
    assert response.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": ""}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"resource": ""}, "invalid_target"),
        ({"resource": "http://127.0.0.1:1/mcp"}, "invalid_target"),
        ({"scope": "notes:read everything"}, "invalid_scope"),
    ],
)
def test_a_wrong_request_of_a_known_client_comes_back_with_state_and_iss(
    hand: Hand, changed: dict[str, str], error: str
) -> None:
    answer = sent_back(hand.authorize(**changed))
    assert (answer["error"], answer["state"]) == (error, "the state")
    assert answer["iss"] == hand.server.issuer


def test_a_resource_must_be_equal_byte_for_byte(hand: Hand) -> None:
    answer = sent_back(hand.authorize(resource=hand.server.url + "/"))
    assert answer["error"] == "invalid_target"


def test_a_denial_is_sent_back_without_a_code(hand: Hand) -> None:
    answer = sent_back(hand.decide(hand.authorize(), "deny"))
    assert answer.keys() == {"error", "error_description", "state", "iss"}
    assert answer["error"] == "access_denied"


def test_a_consent_page_is_answered_once(hand: Hand) -> None:
    page = hand.authorize()
    hand.decide(page)
    again = hand.decide(page)
    assert again.status_code == 400
    assert "location" not in again.headers


def test_the_consent_page_escapes_what_the_client_says(hand: Hand) -> None:
    hand.register(client_name='<script>alert("1")</script>')
    page = hand.authorize()
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text
    assert "Ada" in page.text
    assert "notes:read" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' http://127.0.0.1:4711;" in policy


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": "http://127.0.0.1/"}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://example.com/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://127.0.0.1/#here"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://[::1"]}, "invalid_redirect_uri"),
        ({"application_type": "web"}, "invalid_redirect_uri"),
        ({"application_type": "desktop"}, "invalid_client_metadata"),
        ({"client_name": 7}, "invalid_client_metadata"),
        ({"client_name": "\ud800"}, "invalid_client_metadata"),
        ({"grant_types": ["password"]}, "invalid_client_metadata"),
        ({"response_types": ["token"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "magic"}, "invalid_client_metadata"),
    ],
)
def test_a_registration_that_makes_no_sense_is_refused(
    hand: Hand, metadata: dict[str, Any], error: str
) -> None:
    response = hand.register(**metadata)
    assert (response.status_code, response.json()["error"]) == (400, error)


@with_settings(registration=False)
def test_without_registration_there_is_no_endpoint(hand: Hand) -> None:
    document = hand.http.get(hand.at("/.well-known/oauth-authorization-server")).json()
    assert "registration_endpoint" not in document
    assert hand.register().status_code == 404


@with_settings(client_id_metadata_documents=True)
def test_a_client_metadata_document_url_is_a_public_client_on_loopback(hand: Hand) -> None:
    hand.client_id = "https://client.example/metadata.json"
    assert hand.status_with(hand.login()["access_token"]) == 200
    assert hand.authorize(redirect_uri="https://client.example/callback").status_code == 400


def test_a_code_works_once_and_its_reuse_revokes_what_it_gave(hand: Hand) -> None:
    code = hand.code()
    tokens = hand.exchange(code).json()
    assert hand.exchange(code).json()["error"] == "invalid_grant"
    assert hand.status_with(tokens["access_token"]) == 401
    assert hand.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert hand.server.families_revoked == 1


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"redirect_uri": "http://127.0.0.1:4712/callback"}, "invalid_grant"),
        ({"redirect_uri": ""}, "invalid_grant"),
        ({"code": "unknown"}, "invalid_grant"),
        ({"resource": ""}, "invalid_target"),
        ({"resource": "http://127.0.0.1:1/mcp"}, "invalid_target"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
    ],
)
def test_a_code_needs_everything_that_it_is_bound_to(
    hand: Hand, changed: dict[str, str], error: str
) -> None:
    response = hand.exchange(hand.code(), **changed)
    assert (response.status_code, response.json()["error"]) == (400, error)


def test_a_code_is_of_no_use_to_another_client(hand: Hand) -> None:
    code = hand.code()
    hand.register()
    assert hand.exchange(code).json()["error"] == "invalid_grant"


def test_a_repeated_parameter_is_refused(hand: Hand) -> None:
    body = "grant_type=refresh_token&grant_type=refresh_token"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    response = hand.http.post(hand.at("/oauth2/token"), content=body, headers=kind)
    assert response.json()["error"] == "invalid_request"


def test_a_refresh_token_is_rotated_and_the_old_access_token_stays(hand: Hand) -> None:
    first = hand.login()
    second = hand.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert hand.status_with(first["access_token"]) == 200
    assert hand.status_with(second["access_token"]) == 200
    assert hand.server.families_revoked == 0


@with_settings(rotate_refresh_tokens=False)
def test_where_refresh_tokens_are_not_rotated_one_is_good_again(hand: Hand) -> None:
    first = hand.login()
    for _ in range(2):
        again = hand.refresh(first["refresh_token"]).json()
        assert again["refresh_token"] == first["refresh_token"]
        assert again["access_token"] != first["access_token"]
    assert hand.server.families_revoked == 0


def test_a_rotated_refresh_token_that_comes_back_revokes_its_family(hand: Hand) -> None:
    first = hand.login()
    second = hand.refresh(first["refresh_token"]).json()
    for token in (first["refresh_token"], second["refresh_token"]):
        response = hand.refresh(token)
        assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
    assert hand.status_with(second["access_token"]) == 401
    assert hand.server.families_revoked == 1
    assert hand.status_with(hand.login()["access_token"]) == 200


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"resource": ""}, "invalid_target"),
        ({"scope": "notes:read notes:write"}, "invalid_scope"),
        ({"refresh_token": ""}, "invalid_request"),
        ({"client_id": "unknown"}, "invalid_client"),
    ],
)
def test_a_wrong_refresh_is_refused_and_the_token_stays_good(
    hand: Hand, changed: dict[str, str], error: str
) -> None:
    token = hand.login()["refresh_token"]
    assert hand.refresh(token, **changed).json()["error"] == error
    assert hand.refresh(token).status_code == 200


@with_settings(refresh_always=False)
def test_a_refresh_token_needs_offline_access_where_it_is_not_always_given(hand: Hand) -> None:
    assert "refresh_token" not in hand.login()
    tokens = hand.exchange(hand.code(scope="notes:read offline_access")).json()
    assert tokens["refresh_token"]


@with_settings(offline_access=False)
def test_offline_access_that_is_not_offered_is_an_unknown_scope(hand: Hand) -> None:
    assert sent_back(hand.authorize(scope="offline_access"))["error"] == "invalid_scope"


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_revoked_token_is_worth_nothing(hand: Hand, kind: str) -> None:
    tokens = hand.login()
    request = {"token": tokens[kind], "client_id": hand.client_id}
    assert hand.http.post(hand.at("/oauth2/revoke"), data=request).status_code == 200
    assert hand.status_with(tokens["access_token"]) == 401
    refreshed = hand.refresh(tokens["refresh_token"]).status_code
    assert refreshed == (200 if kind == "access_token" else 400)


@pytest.mark.parametrize(
    ("mcp_auth_server", "method"),
    [
        (Settings(registration_method="client_secret_basic"), "client_secret_basic"),
        (Settings(registration_method="client_secret_post"), "client_secret_post"),
    ],
    indirect=["mcp_auth_server"],
)
def test_a_registration_answers_the_method_that_the_server_wants(hand: Hand, method: str) -> None:
    answer = hand.register(token_endpoint_auth_method="none").json()
    assert answer["token_endpoint_auth_method"] == method
    assert answer["client_secret"]
    assert answer["client_secret_expires_at"] == 0
    assert hand.exchange(hand.code()).status_code == 401


def registered(method: AuthMethod) -> Settings:
    client = RegisteredClient("a client:id", SECRET, method, (CALLBACK,))
    return Settings(clients=(client,), registration=False)


@pytest.mark.parametrize("mcp_auth_server", [registered("client_secret_basic")], indirect=True)
def test_a_basic_client_encodes_its_secret_and_proves_itself_that_way_only(hand: Hand) -> None:
    hand.client_id = "a client:id"
    plain = base64.b64encode(f"{hand.client_id}:{SECRET}".encode()).decode()
    wrong = [f"Basic {plain}", basic(hand.client_id, "wrong"), "Basic !", "Bearer x"]
    for refused in wrong:
        response = hand.exchange(hand.code(), refused)
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
        assert "www-authenticate" in response.headers
    assert hand.exchange(hand.code(), client_secret=SECRET).status_code == 401
    assert hand.exchange(hand.code(), basic(hand.client_id, SECRET)).status_code == 200


@pytest.mark.parametrize("mcp_auth_server", [registered("client_secret_post")], indirect=True)
def test_a_post_client_proves_itself_by_post_only(hand: Hand) -> None:
    hand.client_id = "a client:id"
    assert hand.exchange(hand.code(), basic(hand.client_id, SECRET)).status_code == 401
    assert hand.exchange(hand.code(), client_secret="wrong").status_code == 401
    assert hand.exchange(hand.code()).status_code == 401
    assert hand.exchange(hand.code(), client_secret=SECRET).status_code == 200


def test_a_public_client_that_sends_a_secret_is_refused(hand: Hand) -> None:
    assert hand.exchange(hand.code(), client_secret="any").json()["error"] == "invalid_client"


def test_the_controls_take_effect_at_once(hand: Hand) -> None:
    tokens = hand.login()
    hand.server.expire_access_tokens()
    assert hand.status_with(tokens["access_token"]) == 401
    tokens = hand.refresh(tokens["refresh_token"]).json()
    hand.server.revoke_everything()
    assert hand.status_with(tokens["access_token"]) == 401
    assert hand.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    hand.server.forget_clients()
    assert hand.refresh(tokens["refresh_token"]).json()["error"] == "invalid_client"
    assert hand.authorize().status_code == 400


def test_a_planned_failure_is_answered_as_often_as_planned_and_spends_nothing(hand: Hand) -> None:
    token = hand.login()["refresh_token"]
    hand.server.fail_next("/token", 503, times=2, body=b"later", headers=[("Retry-After", "1")])
    for _ in range(2):
        failed = hand.refresh(token)
        assert (failed.status_code, failed.text) == (503, "later")
        assert failed.headers["retry-after"] == "1"
    assert hand.refresh(token).status_code == 200
    assert hand.server.token_requests("refresh_token") == 3


@pytest.mark.parametrize(("error", "status"), [("invalid_grant", 400), ("invalid_client", 401)])
def test_a_refusal_on_command_is_an_oauth_error_once(hand: Hand, error: str, status: int) -> None:
    token = hand.login()["refresh_token"]
    hand.server.refuse_next(error, description="not now")
    refused = hand.refresh(token)
    assert (refused.status_code, refused.headers["content-type"]) == (status, "application/json")
    assert refused.json() == {"error": error, "error_description": "not now"}
    assert hand.refresh(token).status_code == 200


def test_records_hold_no_secret(hand: Hand) -> None:
    tokens = hand.login()
    hand.status_with(tokens["access_token"])
    seen = repr(hand.server.requests)
    assert "grant_type='authorization_code'" in seen
    assert not any(secret in seen for secret in (*tokens.values(), VERIFIER) if secret != 3600)


def test_a_restarted_server_is_the_same_server(hand: Hand) -> None:
    tokens = hand.login()
    where = hand.server.url, hand.server.issuer
    hand.server.stop()
    with pytest.raises(httpx.ConnectError):
        hand.authorize()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", urlsplit(hand.server.url).port or 0))
    hand.server.start()
    assert (hand.server.url, hand.server.issuer) == where
    assert hand.status_with(tokens["access_token"]) == 200


@with_settings(latency=0.1)
def test_latency_is_added_to_each_answer(hand: Hand) -> None:
    began = time.monotonic()
    hand.authorize()
    assert time.monotonic() - began >= 0.1


def test_an_answer_with_wrong_fields_is_whole_all_the_same(hand: Hand) -> None:
    place = hand.server.issuer + "/.well-known/oauth-authorization-server"
    usual = hand.http.get(place).json()
    hand.server.change_answers("/oauth-authorization-server", issuer="https://evil", jwks_uri=None)
    wrong = hand.http.get(place)
    assert wrong.json() == {**usual, "issuer": "https://evil"}
    assert int(wrong.headers["content-length"]) == len(wrong.content)
    hand.server.change_answers("/oauth-authorization-server")
    assert hand.http.get(place).json() == usual


def test_a_redirect_with_wrong_parameters_leads_where_it_did(hand: Hand) -> None:
    hand.server.change_answers("/oauth2/authorize", iss="https://evil", state=None)
    answer = sent_back(hand.decide(hand.authorize()))
    assert (answer["iss"], set(answer)) == ("https://evil", {"iss", "code"})
