"""What docs/comparison.md says of its peers in Python, shown with them, and that we differ.

A peer that has become better fails here: then the page and the README have to follow.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp.client.auth import OAuthClientProvider as SdkProvider

from mcp_client_auth import FileStorage, MCPAuth
from mcp_client_auth.prompt.browser_prompt import BrowserPrompt
from mcp_client_auth.testing import DemoServer, ScriptedBrowser
from tests.unit.adapters.test_mcp_sdk import Program

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using in-memory token storage"),
    pytest.mark.usefixtures("short_waits"),
]
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


class SdkStorage:
    """The SDK's storage protocol, as a program that keeps logins implements it."""

    def __init__(self) -> None:
        self.tokens: Any = None
        self.client: Any = None

    async def get_tokens(self) -> Any:
        return self.tokens

    async def set_tokens(self, tokens: Any) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> Any:
        return self.client

    async def set_client_info(self, client_info: Any) -> None:
        self.client = client_info


class Sdk:
    """Programs on one store; each `program()` is one that has just started."""

    store: Any

    def __init__(self, url: str) -> None:
        self.person, self.store, self.url = Program(), SdkStorage(), url

    def program(self) -> Any:
        person = self.person
        return SdkProvider(self.url, person.metadata, self.store, person.show, person.receive)

    def visits(self) -> int:
        return self.person.browser.visits

    def has_expired(self, auth: Any) -> None:
        auth.context.token_expiry_time = 1.0


class OpenedAgainError(Exception):
    """One object opened a browser a second time."""


class FastMcp(Sdk):
    def __init__(self, url: str) -> None:
        from key_value.aio.stores.memory import MemoryStore

        self.browser, self.store, self.url = ScriptedBrowser(), MemoryStore(), url
        self.ports: list[int | None] = []
        webbrowser.open = self._open  # type: ignore[assignment]

    def _open(self, url: str, *more: object) -> bool:
        """FastMCP starts its listener after the browser, which usually takes longer."""
        callback = urlsplit(parse_qs(urlsplit(url).query)["redirect_uri"][0])
        self.ports.append(callback.port)
        if self.ports.count(callback.port) > 1:
            raise OpenedAgainError  # its first listener may still be there

        def visit() -> None:
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", callback.port or 0)):
                    break
                time.sleep(0.01)
            self.browser(url)

        threading.Thread(target=visit, daemon=True).start()
        return True

    def program(self) -> Any:
        from fastmcp.client.auth import OAuth

        return OAuth(self.url, token_storage=self.store)

    def visits(self) -> int:
        return len(self.ports)


class Ours(Sdk):
    def __init__(self, url: str) -> None:
        self.browser, self.store, self.url = ScriptedBrowser(), FileStorage(), url

    def program(self) -> Any:
        return MCPAuth(self.url, storage=FileStorage(), prompt=BrowserPrompt(self.browser))

    def visits(self) -> int:
        return self.browser.visits

    def has_expired(self, auth: Any) -> None: ...  # the server has said so


@pytest.fixture(
    params=[
        pytest.param(Sdk, id="sdk"),
        pytest.param(FastMcp, id="fastmcp", marks=pytest.mark.slow),
        pytest.param(Ours, id="ours"),
    ]
)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sdk]:
    monkeypatch.setattr(webbrowser, "open", webbrowser.open)  # undoes what FastMcp puts there
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    made: Callable[..., Sdk] = request.param
    return made


async def status(url: str, auth: Any) -> int:
    async with httpx2.AsyncClient(auth=auth, trust_env=False, timeout=60) as http:
        return (await http.post(url, json=LIST)).status_code


def test_a_token_that_ended_before_a_restart(library: Callable[..., Sdk]) -> None:
    async def main(server: DemoServer) -> int:
        peer = library(server.url)
        assert await status(server.url, peer.program()) == 200
        server.expire_access_tokens()
        assert await status(server.url, peer.program()) == 200
        return peer.visits()

    with DemoServer() as server:
        visits = asyncio.run(main(server))
    assert visits == (1 if library is Ours else 2)


def test_an_outage_of_the_token_endpoint(library: Callable[..., Sdk]) -> None:
    async def main(server: DemoServer) -> int:
        peer = library(server.url)
        auth = peer.program()
        assert await status(server.url, auth) == 200
        peer.has_expired(auth)
        server.expire_access_tokens()
        server.fail_next("/token", 503)
        with suppress(OpenedAgainError):
            assert await status(server.url, auth) == 200
        return peer.visits()

    with DemoServer() as server:
        visits = asyncio.run(main(server))
    assert visits == (1 if library is Ours else 2)


def test_two_programs_that_refresh_the_same_login(library: Callable[..., Sdk]) -> None:
    async def main(server: DemoServer) -> int:
        peer = library(server.url)
        first, second = peer.program(), peer.program()
        for auth in (first, second):
            assert await status(server.url, auth) == 200
        server.expire_access_tokens()
        for auth in (first, second):
            peer.has_expired(auth)
            assert await status(server.url, auth) == 200
        return peer.visits()

    with DemoServer() as server:
        visits = asyncio.run(main(server))
        refreshes = server.token_requests("refresh_token")
    assert visits == (1 if library is Ours else 2)
    assert refreshes == 1 or library is not Ours
