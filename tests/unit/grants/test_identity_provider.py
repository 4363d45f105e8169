"""The sign-in at a company's identity provider, as one grant among the others."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any, Final

import pytest

from mcp_client_auth import Event, MemoryStorage, Options, Secret, Untrusted, UsageError
from mcp_client_auth.credential import PROVIDER, Credential, Key
from mcp_client_auth.events import OF_PROVIDER
from mcp_client_auth.grants.base import LoginConfig, Ports
from mcp_client_auth.grants.identity_provider import SIGN_IN
from mcp_client_auth.protocol.discovery import Discovery
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.protocol.metadata import ServerMetadata, read_server_metadata
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.protocol.urls import Issuer, ServerUrl
from tests.unit.protocol.test_id_token import part

ISSUER: Final = "https://login.example.com"
KEY: Final = Key(ISSUER, grant=PROVIDER, client="desk")


def id_token(**claims: Any) -> str:
    now = time.time()
    said = {"iss": ISSUER, "sub": "ada", "aud": "desk", "iat": now, "exp": now + 300, **claims}
    return f"{part({'alg': 'ES256'})}.{part(said)}.x"


def stored() -> Credential:
    client = Client("desk", ISSUER, "pre-registered", "none")
    tokens = TokenSet(Secret(id_token()), 1000.0, 2000.0, Secret("refresh-1"), ("openid",))
    return Credential(KEY, ISSUER, ISSUER + "/token", client, tokens)


def config(**more: Any) -> LoginConfig:
    options = Options(issuer=ISSUER, assume_pkce_s256=True)
    return LoginConfig(ServerUrl(ISSUER), KEY, options=options, grant=SIGN_IN, **more)


class Answering:
    """A transport with one answer, and what was sent to it."""

    def __init__(self, **body: Any) -> None:
        self.body, self.sent = body, list[HttpRequest]()
        self.storage, self.events = MemoryStorage(), list[Event]()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.sent.append(request)
        return HttpResponse(200, request.url, body=json.dumps(self.body).encode())

    @property
    def ports(self) -> Ports:
        return Ports(self.storage, self, self.events.append)


def metadata(**more: Any) -> ServerMetadata:
    document = {
        "issuer": ISSUER,
        "authorization_endpoint": ISSUER + "/authorize",
        "token_endpoint": ISSUER + "/token",
        **more,
    }
    response = HttpResponse(200, ISSUER, body=json.dumps(document).encode())
    return read_server_metadata(Issuer(ISSUER), response)


@pytest.mark.parametrize(
    ("listed", "named", "requested"),
    [
        (None, None, ("openid", "offline_access")),
        (["openid", "offline_access", "email"], None, ("openid", "offline_access")),
        (["openid", "email"], None, ("openid",)),
        ([], None, ("openid",)),
        (None, ("email",), ("openid", "email")),
        (["openid"], ("offline_access", "openid"), ("openid", "offline_access")),
    ],
)
def test_it_asks_for_an_id_token_and_a_refresh_token(
    listed: list[str] | None, named: tuple[str, ...] | None, requested: tuple[str, ...]
) -> None:
    server = metadata() if listed is None else metadata(scopes_supported=listed)
    discovery = Discovery(ServerUrl(ISSUER), None, None, server, None)
    assert SIGN_IN.scopes(config(scope=named), discovery, None) == requested


def test_the_provider_is_found_by_its_issuer_and_no_mcp_request_is_sent() -> None:
    there = Answering(**metadata().raw)
    found = SIGN_IN.discover(config(), there.ports)
    assert found
    assert (found.resource, found.final_url) == (None, "")
    assert [(r.method, r.private) for r in there.sent] == [("GET", True)]


def test_its_metadata_are_marked_as_those_of_the_provider() -> None:
    there = Answering(**metadata().raw)
    SIGN_IN.discover(config(), there.ports)
    (read,) = [event for event in there.events if event.name == "server-metadata"]
    assert read.rule == OF_PROVIDER


def test_a_place_that_has_none_is_not_marked_so() -> None:
    there = Answering(**metadata().raw)

    def second(request: HttpRequest) -> HttpResponse:
        return there(request) if there.sent else replace(there(request), status=404)

    SIGN_IN.discover(config(), replace(there.ports, transport=second))
    read = [event for event in there.events if event.name == "server-metadata"]
    assert [event.rule == OF_PROVIDER for event in read] == [False, True]


def test_a_refresh_keeps_the_id_token_and_drops_the_providers_own_access_token() -> None:
    fresh = id_token()
    there = Answering(access_token="of the provider", refresh_token="refresh-2", id_token=fresh)
    tokens = SIGN_IN.renew(config(), there.ports, stored())
    assert tokens.access_token == Secret(fresh)
    assert tokens.refresh_token == Secret("refresh-2")
    assert b"resource" not in there.sent[0].body
    assert there.events == [], "nothing comes between the answer and its storing"


def test_what_was_rotated_is_kept_before_a_wrong_id_token_is_refused() -> None:
    wrong = id_token(sub="mallory")
    there, old = Answering(access_token="a", refresh_token="refresh-2", id_token=wrong), stored()
    with pytest.raises(Untrusted):
        SIGN_IN.renew(config(), there.ports, old)
    kept = there.storage.load(KEY)
    assert kept
    assert kept.tokens == replace(old.tokens, refresh_token=Secret("refresh-2"))
    assert kept.generation == old.generation + 1


def test_a_refresh_that_gives_no_id_token_ends_the_refresh_token() -> None:
    there, old = Answering(access_token="a", refresh_token="refresh-2"), stored()
    tokens = SIGN_IN.renew(config(), there.ports, old)
    assert tokens == replace(old.tokens, refresh_token=None)
    assert not SIGN_IN.can_renew(replace(old, tokens=tokens))
    assert "gives no ID token for a refresh" in there.events[0].detail


def test_it_never_signs_a_request_to_an_mcp_server() -> None:
    with pytest.raises(UsageError, match="is for no MCP server"):
        Answering().ports.token_signer(stored())
