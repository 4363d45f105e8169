"""Logins of other accounts, tenants or paths are stored too: none is used in place of another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from mcp_client_auth import (
    BrowserPrompt,
    Credential,
    FileStorage,
    LoginRequired,
    MCPAuth,
    MemoryStorage,
    Secret,
    UsageError,
    login,
    logout,
)
from mcp_client_auth.credential import key_for
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.testing import DemoServer, ScriptedBrowser
from tests.support.terminal import Terminal

BODY = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
SITE = "https://mcp.example.com"


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer() as running:
        yield running


@pytest.fixture
def storage(server: DemoServer, tmp_path: Path) -> FileStorage:
    """A user is logged in as `work`."""
    storage, browser = FileStorage(tmp_path / "store"), ScriptedBrowser()
    prompt = BrowserPrompt(open_url=browser)
    login(server.url, account="work", storage=storage, prompt=prompt)
    assert browser.join(60)
    server.clear_requests()
    return storage


def others(url: str) -> list[tuple[str, str]]:
    """Logins that do not exist, each almost the same as `work` at this URL."""
    near = [(url, account) for account in ("default", "Work", "work ", "wor")]
    return near + [(url + more, "work") for more in ("?tenant=a", "/x", "/x?tenant=a", "2")]


def test_no_request_carries_another_logins_token(server: DemoServer, storage: FileStorage) -> None:
    for url, account in others(server.url):
        auth = MCPAuth(url, account=account, storage=storage, prompt=None)
        assert auth.session.usable() is None
        with httpx.Client(auth=auth, trust_env=False) as client, suppress(LoginRequired):
            client.post(server.url, json=BODY)
    assert [r.status for r in server.requests] == [401] * len(others(server.url))
    assert server.count("/token") == 0, "nobody's refresh token was used either"


def test_a_login_does_not_take_what_is_another_accounts(
    server: DemoServer, storage: FileStorage
) -> None:
    for url, account in others(server.url)[:4]:
        with pytest.raises(LoginRequired):
            login(url, account=account, storage=storage, prompt=None)


def test_no_account_at_all_is_not_one(server: DemoServer, storage: FileStorage) -> None:
    for use in (MCPAuth, login, logout):
        with pytest.raises(UsageError):
            use(server.url, account="", storage=storage)
    assert server.requests == []


def test_a_logout_ends_no_other_login(server: DemoServer, storage: FileStorage) -> None:
    for url, account in others(server.url):
        assert not logout(url, account=account, storage=storage)
    assert server.requests == []
    assert login(server.url, account="work", storage=storage, prompt=None).token()


@pytest.mark.slow
def test_the_command_does_not_either(server: DemoServer, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.log_in(server.url, "--account", "work")
    for url, account in ((server.url, "default"), (server.url + "?tenant=a", "work")):
        answer = terminal.run("token", url, "--account", account)
        assert (answer.code, answer.out) == (3, "")
    assert terminal.run("token", server.url, "--account", "work").code == 0


def test_spellings_of_one_server_share_its_login(server: DemoServer, storage: FileStorage) -> None:
    for spelled in (
        server.url + "/",
        server.url.replace("http", "HTTP"),
        server.url + "#part",
        f"  {server.url} ",
    ):
        assert login(spelled, account="work", storage=storage, prompt=None).token()


# Which of several logins a request belongs to


def held(storage: MemoryStorage, url: str, account: str = "default") -> None:
    client = Client("c", "https://as.example", "dynamic", "none")
    tokens = TokenSet(Secret(f"{account} {url}"), time.time(), time.time() + 600)
    endpoint = "https://as.example/token"
    key = key_for(url, account)
    storage.save(Credential(key, "https://as.example", endpoint, client, tokens))


@pytest.mark.parametrize(
    ("other", "account", "request_to", "ours"),
    [
        ("/mcp/deep", "default", "/mcp/deep", False),
        ("/mcp/deep", "default", "/mcp/deep/events?x=1", False),
        ("/mcp/deep", "default", "/mcp/deeper", True),
        ("/mcp?tenant=b", "default", "/mcp?tenant=b", False),
        ("/mcp?tenant=b", "default", "/mcp?tenant=c", True),
        # another account's login is neither borrowed nor in the way
        ("/mcp/deep", "work", "/mcp/deep", True),
        ("/mcp?tenant=b", "work", "/mcp?tenant=b", True),
    ],
)
def test_a_request_belongs_to_the_most_specific_login_of_its_own_account(
    other: str, account: str, request_to: str, ours: bool
) -> None:
    storage = MemoryStorage()
    held(storage, SITE + "/mcp")
    held(storage, SITE + other, account)
    sent: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("Authorization"))
        return httpx.Response(200)

    auth = MCPAuth(SITE + "/mcp", storage=storage, prompt=None)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(answer)) as client:
        client.get(SITE + request_to)
    assert sent == [f"Bearer default {SITE}/mcp" if ours else None]


def test_two_tenants_by_query_have_each_their_own_token() -> None:
    storage = MemoryStorage()
    sent: list[tuple[str, str | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append((request.url.query.decode(), request.headers.get("Authorization")))
        return httpx.Response(200)

    for tenant in ("a", "b"):
        held(storage, f"{SITE}/mcp?tenant={tenant}")
    for tenant in ("a", "b"):
        auth = MCPAuth(f"{SITE}/mcp?tenant={tenant}", storage=storage, prompt=None)
        with httpx.Client(auth=auth, transport=httpx.MockTransport(answer)) as client:
            client.get(f"{SITE}/mcp?tenant=a")
            client.get(f"{SITE}/mcp?tenant=b")
    tokens = {t: f"Bearer default {SITE}/mcp?tenant={t}" for t in ("a", "b")}
    assert sent == [
        ("tenant=a", tokens["a"]),
        ("tenant=b", None),
        ("tenant=a", None),
        ("tenant=b", tokens["b"]),
    ]
