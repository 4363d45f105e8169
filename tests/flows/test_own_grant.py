"""A new way to get tokens is one class: nothing else in the package has to know of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import httpx
import pytest

from mcp_client_auth import (
    Credential,
    Key,
    LoginRequired,
    MCPAuth,
    MemoryStorage,
    PreRegistered,
    TokenRefused,
    UsageError,
    login,
)
from mcp_client_auth.grants.base import Exchange, Grant, Login, LoginConfig, Ports
from mcp_client_auth.protocol.discovery import Discovery
from mcp_client_auth.protocol.metadata import ServerMetadata
from mcp_client_auth.protocol.registration import Client, Identity, Kind
from mcp_client_auth.protocol.scopes import Scopes
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.secret import Secret
from mcp_client_auth.testing import DemoServer, ScriptedBrowser

HEADERS = {"Accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@dataclass(frozen=True)
class IssuedByHand(Grant):
    """A token that an operator issued; `read` returns its current value. It is never refreshed."""

    read: Callable[[], str]
    name: ClassVar[str] = "issued_by_hand"
    interactive: ClassVar[bool] = False

    def require_client(self, identity: Identity) -> None:
        if identity is not None:
            raise UsageError("IssuedByHand uses no client")

    def check(self, config: LoginConfig, server: ServerMetadata) -> Kind:
        return "pre-registered"

    def scopes(
        self, config: LoginConfig, discovery: Discovery, stored: Credential | None
    ) -> Scopes | None:
        return None

    def authorize(self, login: Login) -> Exchange:
        server = login.attempt.discovery.server
        chosen = login.choose(Client("", server.issuer, "pre-registered", "none"), server)
        tokens = TokenSet(Secret(self.read()), issued_at=login.ports.clock())
        granted = login.granted(tokens, chosen)
        return lambda _: granted

    def can_renew(self, credential: Credential) -> bool:
        return False

    def renew(self, config: LoginConfig, ports: Ports, credential: Credential) -> TokenSet:
        raise AssertionError("renewed, although it cannot be")


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer() as server:
        yield server


def call(server: DemoServer, auth: MCPAuth) -> int:
    with httpx.Client(auth=auth, timeout=20, trust_env=False) as client:
        return client.post(server.url, headers=HEADERS, json=LIST).status_code


def test_it_serves_requests_and_is_stored_under_its_own_key(server: DemoServer) -> None:
    storage = MemoryStorage()
    grant = IssuedByHand(server.mint_token)
    assert call(server, MCPAuth(server.url, grant=grant, storage=storage, prompt=None)) == 200
    stored = storage.load(Key(server.url, grant="issued_by_hand"))
    assert stored is not None
    assert not stored.renewable
    assert server.count("/token") == server.count("/register") == 0


def test_its_token_is_read_again_when_the_server_no_longer_accepts_it(server: DemoServer) -> None:
    auth = MCPAuth(server.url, grant=IssuedByHand(server.mint_token), storage=MemoryStorage())
    assert call(server, auth) == 200
    server.expire_access_tokens()
    assert call(server, auth) == 200


class AskedFor(IssuedByHand):
    """A token that someone has to ask the operator for."""

    interactive: ClassVar[bool] = True


def test_a_token_of_it_that_the_server_refuses_does_not_take_the_place_of_a_good_one(
    server: DemoServer,
) -> None:
    storage, person = MemoryStorage(), ScriptedBrowser().prompt
    auth = MCPAuth(server.url, grant=AskedFor(server.mint_token), storage=storage, prompt=person)
    auth.login()
    good = storage.load(auth.session.key)
    assert good is not None
    worse = MCPAuth(server.url, grant=AskedFor(lambda: "bad"), storage=storage, prompt=person)
    with pytest.raises(TokenRefused):
        worse.login(force=True)
    assert storage.load(auth.session.key) == good


def test_the_verbs_know_that_it_cannot_be_refreshed(server: DemoServer) -> None:
    me = login(server.url, grant=IssuedByHand(server.mint_token), storage=MemoryStorage())
    assert me.token()
    with pytest.raises(LoginRequired):
        me.auth.session.refresh()


def test_a_client_that_it_cannot_use_is_refused_before_anything_is_sent(
    server: DemoServer,
) -> None:
    with pytest.raises(UsageError, match="uses no client"):
        MCPAuth(server.url, grant=IssuedByHand(str), client=PreRegistered("app"))
    assert server.requests == []
