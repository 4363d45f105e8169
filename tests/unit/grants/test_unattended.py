"""The requests and answers of the grants without a person, and what never leaves."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import parse_qsl

import pytest

from mcp_client_auth.errors import BadResponse, IssuerMismatch, TokenRefused, UsageError
from mcp_client_auth.events import Event
from mcp_client_auth.grants.client_credentials import ClientCredentials, client_credentials
from mcp_client_auth.grants.enterprise_managed import (
    ID_JAG,
    IdentityProvider,
    identity_assertion,
    read_id_jag,
)
from mcp_client_auth.grants.unattended import Target
from mcp_client_auth.grants.workload_identity import (
    WorkloadIdentity,
    jwt_bearer,
    require_audience,
)
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse, run
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.secret import Secret

ISSUER = "https://auth.example.com"
TOKEN = ISSUER + "/token"
IDP = "https://idp.example.com/token"
SECRET = Secret("hush")


def client(method: str = "client_secret_post", client_id: str = "me") -> Client:
    return Client(client_id, ISSUER, "pre-registered", method, SECRET if method != "none" else None)


def target(**changes: Any) -> Target:
    fields = {"issuer": ISSUER, "token_endpoint": TOKEN, "client": client(), "scope": ("a", "b")}
    return Target(**{"resource": "https://mcp.example.com/mcp", **fields, **changes})


def jwt(**claims: Any) -> Secret:
    parts = ({"alg": "none"}, claims)
    text = ".".join(urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts)
    return Secret(text + ".c2ln")


class Endpoint:
    """Answers in order; `forms` are what it was sent."""

    def __init__(self, *answers: Any, status: int = 200) -> None:
        self.answers, self.status = list(answers), status
        self.requests: list[HttpRequest] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return HttpResponse(self.status, request.url, (), json.dumps(self.answers.pop(0)).encode())

    @property
    def forms(self) -> list[dict[str, str]]:
        return [dict(parse_qsl(request.body.decode())) for request in self.requests]


GOOD = {"access_token": "at", "token_type": "Bearer", "expires_in": 60, "refresh_token": "rt"}


def test_client_credentials_say_what_for_and_prove_the_client() -> None:
    server = Endpoint(GOOD)
    tokens = run(client_credentials(target(), 1000.0), server)
    assert server.forms == [
        {
            "grant_type": "client_credentials",
            "scope": "a b",
            "resource": "https://mcp.example.com/mcp",
            "client_id": "me",
            "client_secret": "hush",
        }
    ]
    assert tokens == TokenSet(Secret("at"), 1000.0, 1060.0, None, ("a", "b"))


def test_a_public_client_has_no_client_credentials() -> None:
    with pytest.raises(UsageError, match=r"§4\.4"):
        run(client_credentials(target(client=client("none")), 0.0), Endpoint())


def test_an_assertion_says_what_for_and_proves_the_client() -> None:
    server, assertion = Endpoint(GOOD), jwt(aud=ISSUER)
    run(jwt_bearer(target(), assertion, 0.0), server)
    assert server.forms == [
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": assertion.reveal(),
            "scope": "a b",
            "resource": "https://mcp.example.com/mcp",
            "client_id": "me",
            "client_secret": "hush",
        }
    ]


def test_an_assertion_without_a_client_names_none() -> None:
    server, assertion = Endpoint(GOOD), jwt(aud=ISSUER)
    anonymous = target(client=client("none", ""), scope=None, resource=None)
    run(jwt_bearer(anonymous, assertion, 0.0), server)
    assert server.forms == [
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": assertion.reveal(),
        }
    ]


@pytest.mark.parametrize("aud", [ISSUER, ISSUER + "/", [ISSUER], ["x", ISSUER]])
def test_an_assertion_for_the_issuer_may_leave(aud: Any) -> None:
    require_audience(jwt(aud=aud), ISSUER)


@pytest.mark.parametrize(
    "assertion",
    [
        jwt(),
        jwt(aud=""),
        jwt(aud=None),
        jwt(aud=[]),
        jwt(aud=[None, 5]),
        jwt(aud=ISSUER + "/tenant"),
        jwt(aud=ISSUER + ".evil.example"),
        jwt(aud=TOKEN),
        jwt(aud={"a": ISSUER}),
        Secret("opaque"),
        Secret("a.b.c"),
        Secret("a." + "ä" * 8 + ".c"),
        Secret("a.W10.c"),
        Secret("a." + "W" * 40_000 + ".c"),
        Secret("a.b.c.d.e"),
    ],
    ids=range(15),
)
def test_an_assertion_for_anything_else_stays(assertion: Secret) -> None:
    server = Endpoint()
    with pytest.raises(IssuerMismatch) as caught:
        run(jwt_bearer(target(), assertion, 0.0), server)
    assert server.requests == []
    assert assertion.reveal() not in repr(caught.value.__dict__)


def test_with_a_pinned_issuer_an_opaque_assertion_leaves() -> None:
    server = Endpoint(GOOD)
    run(jwt_bearer(target(), Secret("opaque"), 0.0, pinned=True), server)
    assert server.forms[0]["assertion"] == "opaque"


def test_a_refusal_repeats_no_secret_and_sends_nobody_to_a_login() -> None:
    text = jwt(aud=ISSUER)
    answer = {"error": "invalid_grant", "error_description": f"bad {text.reveal()} and hush"}
    with pytest.raises(TokenRefused) as caught:
        run(jwt_bearer(target(), text, 0.0), Endpoint(answer, status=400))
    assert text.reveal() not in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "Log in" not in caught.value.hint


def exchange(
    *answers: Any, status: int = 200, events: list[Event] | None = None, kind: str = "id_token"
) -> Any:
    server = Endpoint(*answers, status=status)
    provider = IdentityProvider(IDP, client("client_secret_post", "sso"))
    seen = events if events is not None else []
    flow = identity_assertion(provider, target(), Secret("id-token"), kind, 5.0)
    return server, run(flow, server, seen.append)


@pytest.mark.parametrize("kind", ["id_token", "saml2"])
def test_the_two_legs_of_an_identity_assertion(kind: str) -> None:
    jag = jwt(aud=ISSUER)
    given = {"access_token": jag.reveal(), "issued_token_type": ID_JAG, "token_type": "N_A"}
    server, tokens = exchange(given, GOOD, kind=kind)
    first, second = server.forms
    assert [request.url for request in server.requests] == [IDP, TOKEN]
    assert first == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": ID_JAG,
        "audience": ISSUER,
        "resource": "https://mcp.example.com/mcp",
        "scope": "a b",
        "subject_token": "id-token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:" + kind,
        "client_id": "sso",
        "client_secret": "hush",
    }
    assert second["assertion"] == jag.reveal()
    assert "scope" not in second  # the grant says it
    assert second["client_id"] == "me"
    assert tokens.access_token == Secret("at")
    assert tokens.scope == ("a", "b")


@pytest.mark.parametrize(
    "issued",
    [None, "", "urn:ietf:params:oauth:token-type:access_token", ID_JAG + "/", 5],
)
def test_an_exchange_that_gave_anything_but_a_grant_is_not_used(issued: Any) -> None:
    answer = {"access_token": "a-token", "issued_token_type": issued, "token_type": "Bearer"}
    with pytest.raises(BadResponse, match="issued_token_type") as caught:
        exchange(answer)
    assert "a-token" not in str(caught.value)


def test_a_grant_for_another_server_stays_here() -> None:
    jag = jwt(aud="https://evil.example")
    given = {"access_token": jag.reveal(), "issued_token_type": ID_JAG, "token_type": "N_A"}
    with pytest.raises(IssuerMismatch):
        exchange(given)


def test_no_event_of_the_exchange_has_a_secret() -> None:
    jag, seen = jwt(aud=ISSUER), list[Event]()
    exchange({"access_token": jag.reveal(), "issued_token_type": ID_JAG}, GOOD, events=seen)
    assert [event.name for event in seen] == ["token-request", "token"] * 2
    assert not any(word in str(seen) for word in ("id-token", jag.reveal(), "hush"))


def test_a_refused_exchange_is_the_end() -> None:
    with pytest.raises(TokenRefused):
        exchange({"error": "invalid_grant"}, status=400)


def test_a_grant_is_read_as_a_secret() -> None:
    body = json.dumps({"access_token": "jag", "issued_token_type": ID_JAG}).encode()
    assert read_id_jag(HttpResponse(200, IDP, (), body)) == Secret("jag")


def test_an_owner_is_known_by_issuer_and_subject_or_not_at_all() -> None:
    def owner(text: Secret) -> str:
        return WorkloadIdentity(assertion=text).owner

    assert owner(jwt(iss="i", sub="s", exp=1)) == owner(jwt(iss="i", sub="s", exp=2))
    assert owner(jwt(iss="i", sub="s")) != owner(jwt(iss="j", sub="s"))
    assert owner(jwt(iss="i", sub="s")) != owner(jwt(iss="i", sub="t"))
    assert owner(Secret("opaque")) != owner(Secret("other"))
    assert WorkloadIdentity(assertion_env="X").owner == ClientCredentials().owner == ""


def test_a_text_is_a_secret_from_the_start() -> None:
    grant = WorkloadIdentity(assertion=" text\n")
    assert grant.assertion == Secret("text")
    assert "text" not in repr(grant)
