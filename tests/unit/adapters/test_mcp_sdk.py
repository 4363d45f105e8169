"""`OAuthClientProvider`: code for the SDK's provider logs in, by its own handlers, on its loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata
from pydantic import AnyUrl

from mcp_client_auth import (
    AuthError,
    LoginFailed,
    LoginRequired,
    MCPAuth,
    MemoryStorage,
    UsageError,
)
from mcp_client_auth.adapters.mcp_sdk import OAuthClientProvider
from mcp_client_auth.protocol.redirects import Callback
from mcp_client_auth.testing import DemoServer, ScriptedBrowser
from tests.support.ports import free_port
from tests.unit.prompt.test_race import asked

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


class SdkStorage:
    """The SDK's own `TokenStorage`, which nothing is asked of."""

    async def get_tokens(self) -> None:
        pytest.fail("asked")

    set_tokens = get_client_info = set_client_info = get_tokens


class Program:
    """As the SDK's examples have it: a listener of its own at a port that it has chosen."""

    def __init__(self) -> None:
        self.browser, self.port = ScriptedBrowser(), free_port()
        self.listening: socket.socket | None = None
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.changes: dict[str, Any] = {}
        self.metadata = OAuthClientMetadata(
            client_name="a program",
            redirect_uris=[AnyUrl(f"http://127.0.0.1:{self.port}/callback")],
            scope="notes:read",
        )

    async def show(self, url: str) -> None:
        """The listener is there before the browser is."""
        self.arrived: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.loops.append(asyncio.get_running_loop())
        self.listening = socket.create_server(("127.0.0.1", self.port))
        self.server = await asyncio.start_server(self._answer, sock=self.listening)
        self.browser(url)

    async def receive(self) -> Any:
        async with self.server:
            query = parse_qs(urlsplit(await self.arrived).query)
        fields = {name: query[name][0] for name in ("code", "state", "iss")}
        return AuthorizationCodeResult(**{**fields, **self.changes})

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).decode().split()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()
        if not self.arrived.done():
            self.arrived.set_result(line[1])

    def provider(self, url: str, **more: Any) -> OAuthClientProvider:
        return OAuthClientProvider(
            url, self.metadata, SdkStorage(), self.show, self.receive, **more
        )


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", "memory")
    program = Program()
    yield program
    if program.listening:
        program.listening.close()  # asyncio leaves it open where a start is cancelled


async def tools(url: str, auth: MCPAuth) -> int:
    async with (
        httpx2.AsyncClient(auth=auth, trust_env=False) as http,
        streamable_http_client(url, http_client=http) as (read, write),
        mcp.ClientSession(read, write) as session,
    ):
        await session.initialize()
        return len((await session.list_tools()).tools)


@pytest.mark.parametrize("first", [False, True], ids=["by a request", "by alogin"])
def test_a_program_for_the_sdk_logs_in_by_its_handlers(
    program: Program, shared: DemoServer, first: bool
) -> None:
    async def main() -> None:
        auth = program.provider(shared.url)
        if first:
            await auth.alogin()
        assert await tools(shared.url, auth) == await tools(shared.url, auth) == 4
        assert program.loops == [asyncio.get_running_loop()]

    asyncio.run(main())
    assert program.browser.visits == 1


def test_without_a_loop_that_runs_the_handlers_have_one_of_their_own(
    program: Program, shared: DemoServer
) -> None:
    auth = program.provider(shared.url)
    assert auth.login().token()
    with httpx2.Client(auth=auth, trust_env=False) as http:
        assert http.post(shared.url, json=LIST).status_code == 200
    assert program.browser.visits == 1


@pytest.mark.parametrize(
    ("changes", "code"), [({"state": "other"}, "handler"), ({"iss": None}, "issuer_mismatch")]
)
def test_what_a_handler_gives_is_checked_as_any_callback(
    program: Program, shared: DemoServer, changes: dict[str, Any], code: str
) -> None:
    program.changes = changes
    with pytest.raises(AuthError) as caught:
        program.provider(shared.url).login()
    assert caught.value.code == code


def test_a_handler_for_an_earlier_sdk_is_told_what_to_return(
    program: Program, shared: DemoServer
) -> None:
    async def receive() -> tuple[str, str | None]:
        given = await program.receive()
        return given.code, given.state

    handlers = program.show, receive
    auth = OAuthClientProvider(shared.url, program.metadata, SdkStorage(), *handlers)
    with pytest.raises(LoginFailed, match="gave a tuple") as caught:
        auth.login()
    assert "AuthorizationCodeResult(code=…, state=…, iss=…)" in str(caught.value)


async def fails(*_: object) -> None:
    raise ValueError("with code=secret-code-of-the-answer")


async def opens_nothing(url: str) -> None: ...


@pytest.mark.parametrize("which", ["redirect_handler", "callback_handler"])
def test_a_handler_that_raises_ends_the_login_without_its_words(
    program: Program, shared: DemoServer, which: str
) -> None:
    handlers: dict[str, Any] = {
        "redirect_handler": opens_nothing,
        "callback_handler": program.receive,
        which: fails,
    }
    program.browser.decision = "ignore"
    auth = OAuthClientProvider(shared.url, program.metadata, MemoryStorage(), **handlers)
    with pytest.raises(LoginFailed, match="ValueError") as caught:
        auth.login()
    assert "secret-code" not in str(caught.value)


def test_a_cancelled_login_cancels_the_handler_and_frees_its_port(
    program: Program, shared: DemoServer
) -> None:
    program.browser.decision = "ignore"

    async def main() -> None:
        auth = program.provider(shared.url)
        waiting = asyncio.ensure_future(auth.alogin())
        while not program.browser.visits:
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        program.browser.decision = "allow"
        await auth.alogin()

    asyncio.run(main())
    assert program.browser.visits == 2


def test_a_login_that_was_cancelled_on_its_way_calls_no_handler(program: Program) -> None:
    auth = program.provider("https://mcp.example.com/mcp")
    prompt = auth.session.prompt
    assert prompt
    with prompt.visit(Callback("127.0.0.1", 1, "/callback"), "s", "a") as visit:
        visit.cancel()
        with pytest.raises(LoginFailed, match="aborted"):
            visit.ask(asked(visit.redirect_uri), 60)
    assert program.loops == []


def test_without_both_handlers_it_asks_as_any_other(program: Program, shared: DemoServer) -> None:
    auth = OAuthClientProvider(shared.url, program.metadata, SdkStorage(), prompt=None)
    with pytest.raises(LoginRequired):
        auth.login()


def test_what_weakens_the_check_of_the_resource_is_refused(program: Program) -> None:
    with pytest.raises(UsageError, match="validate_resource_url"):
        program.provider("https://mcp.example.com/mcp", validate_resource_url=fails)


def test_its_callback_must_be_on_this_machine(program: Program) -> None:
    program.metadata.redirect_uris = [AnyUrl("https://app.example/callback")]
    with pytest.raises(UsageError, match="redirect URI"):
        program.provider("https://mcp.example.com/mcp")
