"""If a login is likely, its connection is opened while the caller's first request is under way."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from mcp_client_auth import (
    BrowserPrompt,
    ClientCredentials,
    HttpTransport,
    LoginRequired,
    MCPAuth,
    MemoryStorage,
    PreRegistered,
)
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings
from mcp_client_auth.testing.settings import RegisteredClient
from mcp_client_auth.transport.ahead import Ahead
from mcp_client_auth.transport.flow import Flow

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HEADERS = {"Accept": "application/json, text/event-stream"}


class Noting(HttpTransport):
    """`begun`: the connections made ahead; `closed`: how many of them were not needed."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.begun: list[Ahead] = []
        self.taken: list[Flow] = []
        self.closed = threading.Semaphore(0)

    def ahead(self) -> Ahead:
        noted = self

        class Noted(Ahead):
            def begin(self) -> None:
                super().begin()
                noted.begun.append(self)

            def take(self) -> Flow | None:
                flow = super().take()
                noted.taken += [flow] if flow else []
                return flow

            def close(self) -> None:
                super().close()
                noted.closed.release()

        return Noted(self)


def post(auth: MCPAuth, url: str, **client: Any) -> int:
    with httpx.Client(auth=auth, trust_env=False, timeout=30, **client) as http:
        return http.post(url, json=LIST, headers=HEADERS).status_code


def test_the_login_takes_it_over_and_ends_it() -> None:
    with DemoServer() as server:
        transport = Noting(server.url)
        browser, storage = ScriptedBrowser(), MemoryStorage()
        auth = MCPAuth(
            server.url, storage=storage, prompt=BrowserPrompt(browser), transport=transport
        )
        assert [post(auth, server.url) for _ in range(2)] == [200, 200]
        assert len(transport.begun) == 1, "for the first request and not for the second"
        (flow,) = transport.taken
        assert (flow._over, flow._pools) == (True, {})
        assert flow.addresses._reached, "it was the login's"

        again = MCPAuth(server.url, storage=storage, transport=transport)
        assert post(again, server.url) == 200
        assert len(transport.begun) == 1, "a login is stored"


def test_many_first_requests_begin_one() -> None:
    with DemoServer() as server, ThreadPoolExecutor(8) as pool:
        transport = Noting(server.url)
        auth = MCPAuth(
            server.url,
            storage=MemoryStorage(),
            prompt=BrowserPrompt(ScriptedBrowser()),
            transport=transport,
        )
        posts = [pool.submit(post, auth, server.url) for _ in range(8)]
        assert [each.result(60) for each in posts] == [200] * 8
        assert len(transport.begun) == 1


def test_it_is_not_begun_where_no_one_can_sign_in() -> None:
    with DemoServer() as server:
        transport = Noting(server.url)
        auth = MCPAuth(server.url, storage=MemoryStorage(), prompt=None, transport=transport)
        with pytest.raises(LoginRequired):
            post(auth, server.url)
        assert transport.begun == []


def test_it_is_begun_for_a_grant_that_needs_no_one() -> None:
    client = RegisteredClient("c", "secret", "client_secret_post")
    with DemoServer(Settings(client_credentials=True, clients=(client,))) as server:
        transport = Noting(server.url)
        auth = MCPAuth(
            server.url,
            client=PreRegistered("c", secret="secret"),
            grant=ClientCredentials(),
            storage=MemoryStorage(),
            prompt=None,
            transport=transport,
        )
        assert post(auth, server.url) == 200
        assert len(transport.taken) == 1


@pytest.mark.parametrize("status", [200, 403, 404, 500])
def test_it_ends_where_the_server_requires_no_login(status: int) -> None:
    url = "https://no-such-host.invalid/mcp"
    transport = Noting(url)
    prompt = BrowserPrompt(ScriptedBrowser("ignore"))
    auth = MCPAuth(url, storage=MemoryStorage(), prompt=prompt, transport=transport)
    answers = httpx.MockTransport(lambda request: httpx.Response(status))
    assert post(auth, url, transport=answers) == status
    assert len(transport.begun) == 1
    assert transport.closed.acquire(timeout=60)
    assert transport.taken == []


def test_a_transport_of_the_caller_needs_none() -> None:
    def answer(request: HttpRequest) -> HttpResponse:
        raise AssertionError("nothing is sent")

    url = "https://mcp.example.com/mcp"
    prompt = BrowserPrompt(ScriptedBrowser("ignore"))
    auth = MCPAuth(url, storage=MemoryStorage(), prompt=prompt, transport=answer)
    answers = httpx.MockTransport(lambda request: httpx.Response(200))
    assert post(auth, url, transport=answers) == 200
