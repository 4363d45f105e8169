"""Two MCP servers trust one authorization server, and one of them is hostile: it wants the token
of the other, through the client that has both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mcp_client_auth import AuthError, BrowserPrompt, FileStorage, MCPAuth, Options, login
from mcp_client_auth.credential import key_for
from mcp_client_auth.testing import ScriptedBrowser
from tests.support.hostile import CODE, Exchange, World, challenge, document

WELL_KNOWN = "/.well-known/oauth-protected-resource/evil/mcp"
BODY = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


class Shared(World):
    """`url` is the honest server, `evil` the other one; tokens name their resource."""

    def __init__(self) -> None:
        super().__init__()
        self.evil = self.elsewhere + "/evil/mcp"
        self.claimed = self.evil
        self.seen: list[tuple[str, str]] = []  # by which server, and the header
        self.asked: list[dict[str, str]] = []  # at the authorization server
        self.put(self.evil, self._mcp)
        self.put(self.url, self._mcp)
        self.put(self.elsewhere + WELL_KNOWN, self._metadata)
        self.at("token", self._token)
        self.at("refresh", self._token)
        usual = self.usual("authorize")

        def authorize(exchange: Exchange) -> None:
            self.asked.append(exchange.query)
            usual(exchange)

        self.at("authorize", authorize)

    def _mcp(self, exchange: Exchange) -> None:
        here = self.evil if exchange.path.startswith("/evil") else self.url
        given = exchange.headers.get("Authorization", "")
        self.seen.append((here, given))
        if given:
            exchange.reply(200, json.dumps({"jsonrpc": "2.0", "id": 1, "result": {}}).encode())
            return
        evil = self.elsewhere + WELL_KNOWN
        honest = self.origin + "/.well-known/oauth-protected-resource/tenant/mcp"
        challenge(evil if here == self.evil else honest)(exchange)

    def _metadata(self, exchange: Exchange) -> None:
        listed = {"resource": self.claimed, "authorization_servers": [self.issuer]}
        document(listed)(exchange)

    def _token(self, exchange: Exchange) -> None:
        self.asked.append(exchange.form)
        name = "evil" if "/evil/" in exchange.form.get("resource", "") else "honest"
        token = {"access_token": f"planted-token-of-{name}", "token_type": "Bearer"}
        more = {"refresh_token": f"planted-refresh-of-{name}", "expires_in": 3600}
        exchange.reply(200, json.dumps(token | more).encode())

    def at_evil(self) -> list[str]:
        return [given for where, given in self.seen if where == self.evil and given]


@pytest.fixture
def world() -> Iterator[Shared]:
    with Shared() as world:
        yield world


@pytest.fixture
def storage(tmp_path: Path, world: Shared) -> FileStorage:
    """Storage that already has a login to the honest server."""
    storage = FileStorage(tmp_path / "logins")
    log_in(world.url, storage)
    world.seen.clear()
    world.asked.clear()
    return storage


def log_in(url: str, storage: FileStorage, **options: str) -> None:
    browser = ScriptedBrowser()
    prompt = BrowserPrompt(open_url=browser)
    try:
        login(url, storage=storage, prompt=prompt, options=Options(http_timeout=60, **options))  # type: ignore[arg-type]
    finally:
        browser.join(60)


def test_each_gets_a_token_that_names_it(world: Shared, storage: FileStorage) -> None:
    log_in(world.evil, storage)
    assert {each["resource"] for each in world.asked} == {world.evil}
    assert [each.get("code") for each in world.asked] == [None, CODE]
    assert set(world.at_evil()) == {"Bearer planted-token-of-evil"}
    for url in (world.url, world.evil):
        auth = MCPAuth(url, storage=storage, prompt=None)
        with httpx.Client(auth=auth, trust_env=False, timeout=60) as client:
            assert client.post(url, json=BODY).status_code == 200
            other = world.evil if url == world.url else world.url
            client.post(other, json=BODY)
    assert set(world.at_evil()) == {"Bearer planted-token-of-evil"}
    of_honest = {given for where, given in world.seen if where == world.url and given}
    assert of_honest == {"Bearer planted-token-of-honest"}


def test_it_cannot_have_one_that_names_the_other(world: Shared, storage: FileStorage) -> None:
    before = storage.load(key_for(world.url))
    for claimed in (world.url, world.origin, world.url.replace("http", "HTTP", 1)):
        world.claimed = claimed
        with pytest.raises(AuthError) as raised:
            log_in(world.evil, storage)
        assert raised.value.code == "resource_mismatch"
    assert world.asked == []
    assert world.at_evil() == []
    assert storage.load(key_for(world.url)) == before


def test_a_renewal_names_the_server_of_its_own_login(world: Shared, storage: FileStorage) -> None:
    log_in(world.evil, storage)
    world.asked.clear()
    for url in (world.url, world.evil):
        MCPAuth(url, storage=storage, prompt=None).session.refresh()
    assert [(each["resource"], each["refresh_token"]) for each in world.asked] == [
        (world.url, "planted-refresh-of-honest"),
        (world.evil, "planted-refresh-of-evil"),
    ]
