"""`MCPAuth` in every client that it is made for: each test runs in all six."""

from __future__ import annotations

import copy
import pickle
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import anyio
import httpx
import httpx2
import pydantic
import pytest

from mcp_client_auth import (
    BrowserPrompt,
    FileStorage,
    InsufficientScope,
    LoginRequired,
    MCPAuth,
    MemoryStorage,
    PreRegistered,
    TokenRefused,
    UsageError,
)
from mcp_client_auth.credential import Credential, Key, key_for
from mcp_client_auth.events import STEPS, Event
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.secret import Secret
from mcp_client_auth.storage import Summary
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings
from tests.support.mcp_stage import Request, Stage, event

HEADERS = {"Accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


class Post(Protocol):
    def __call__(self, auth: MCPAuth, url: str, **arguments: Any) -> Any: ...


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return {"httpx": httpx, "httpx2": httpx2}[request.param]


@pytest.fixture(params=["sync", "asyncio", "trio"])
def post(request: pytest.FixtureRequest, library: Any) -> Post:
    """POST once with a client of the library, in a world of its own."""

    def blocking(auth: MCPAuth, url: str, **arguments: Any) -> Any:
        with library.Client(auth=auth, timeout=30) as client:
            return client.post(url, headers=HEADERS, **arguments)

    def asynchronous(auth: MCPAuth, url: str, **arguments: Any) -> Any:
        async def main() -> Any:
            async with library.AsyncClient(auth=auth, timeout=30) as client:
                return await client.post(url, headers=HEADERS, **arguments)

        return anyio.run(main, backend=request.param)

    return blocking if request.param == "sync" else asynchronous


def store(storage: MemoryStorage, url: str, token: str) -> None:
    client = Client("c", "https://as.example", "dynamic", "none")
    tokens = TokenSet(Secret(token), time.time(), time.time() + 600)
    endpoint = "https://as.example/token"
    storage.save(Credential(key_for(url), "https://as.example", endpoint, client, tokens))


def prompting(browser: ScriptedBrowser) -> BrowserPrompt:
    return BrowserPrompt(open_url=browser)


@contextmanager
def served(**settings: Any) -> Iterator[tuple[DemoServer, ScriptedBrowser]]:
    browser = ScriptedBrowser()
    with DemoServer(Settings(**settings)) as server:
        yield server, browser
        browser.join(60)


def test_a_request_without_a_token_becomes_an_answer(post: Post) -> None:
    seen: list[Event] = []
    with served() as (server, browser):
        auth = MCPAuth(
            server.url, storage=MemoryStorage(), prompt=prompting(browser), on_event=seen.append
        )
        answer = post(auth, server.url, json=LIST)
        assert answer.status_code == 200
        assert len(answer.json()["result"]["tools"]) == 4
        assert [event.name for event in seen if event.number] == list(STEPS)
        assert len(server.requests) == 8  # the seven of the flow, and the posted consent
        browser.join(60)
        assert browser.last_page is not None
        assert "close this" in browser.last_page.text


def test_a_401_without_a_challenge_begins_the_flow_too(library: Any) -> None:
    def answer(request: Any) -> Any:
        return library.Response(200 if "Authorization" in request.headers else 401)

    with served() as (server, browser):
        auth = MCPAuth(server.url, storage=MemoryStorage(), prompt=prompting(browser))
        with library.Client(auth=auth, transport=library.MockTransport(answer)) as client:
            assert client.post(server.url, json=LIST).status_code == 200
        assert browser.visits == 1


def test_every_request_carries_the_token_in_its_header_and_nowhere_else(library: Any) -> None:
    seen: list[Any] = []

    def answer(request: Any) -> Any:
        seen.append(request)
        return library.Response(200)

    with served() as (server, browser):
        auth = MCPAuth(server.url, storage=MemoryStorage(), prompt=prompting(browser))
        with library.Client(auth=auth) as client:
            client.post(server.url, json=LIST, headers=HEADERS)
        held = auth.session.current()
        with library.Client(auth=auth, transport=library.MockTransport(answer)) as client:
            for method in ("POST", "GET", "DELETE", "OPTIONS"):
                client.request(method, server.url, headers={"Mcp-Session-Id": "one"})
    assert held is not None
    token = held.tokens.access_token.reveal()
    assert [request.headers["Authorization"] for request in seen] == [f"Bearer {token}"] * 4
    assert not [request for request in seen if token in str(request.url)]


def test_a_stored_login_serves_the_next_object_without_a_browser(
    post: Post, tmp_path: Path
) -> None:
    with served() as (server, browser):
        first = MCPAuth(server.url, storage=FileStorage(tmp_path), prompt=prompting(browser))
        post(first, server.url, json=LIST)
        server.clear_requests()
        second = MCPAuth(server.url, storage=FileStorage(tmp_path), prompt=None)
        assert post(second, server.url, json=LIST).status_code == 200
        assert [r.status for r in server.requests] == [200]


def test_an_expired_token_is_refreshed_before_anything_else_is_sent(
    post: Post, tmp_path: Path
) -> None:
    with served() as (server, browser):
        first = MCPAuth(server.url, storage=FileStorage(tmp_path), prompt=prompting(browser))
        post(first, server.url, json=LIST)
        server.clear_requests()
        second = MCPAuth(server.url, storage=FileStorage(tmp_path), prompt=None)
        object.__setattr__(second.session.ports, "clock", lambda: time.time() + 10_000)
        assert post(second, server.url, json=LIST).status_code == 200
        assert [(r.side, r.grant_type, r.status) for r in server.requests] == [
            ("as", "refresh_token", 200),
            ("mcp", "", 200),
        ]


def test_a_token_that_was_revoked_early_is_refreshed_after_its_401(post: Post) -> None:
    with served() as (server, browser):
        now = [1000.0]
        auth = MCPAuth(server.url, storage=MemoryStorage(), prompt=prompting(browser))
        object.__setattr__(auth.session.ports, "clock", lambda: now[0])
        post(auth, server.url, json=LIST)
        now[0] += 60
        server.expire_access_tokens()
        server.clear_requests()
        assert post(auth, server.url, json=LIST).status_code == 200
        assert [(r.side, r.status) for r in server.requests] == [
            ("mcp", 401),
            ("as", 200),
            ("mcp", 200),
        ]
        assert browser.visits == 1


def test_a_missing_scope_is_asked_for_once_and_remembered(post: Post) -> None:
    with served() as (server, browser):
        auth = MCPAuth(server.url, storage=MemoryStorage(), prompt=prompting(browser))
        post(auth, server.url, json=LIST)
        assert post(auth, server.url, json=call("add_note", text="x")).status_code == 200
        held = auth.session.current()
        assert held is not None
        assert set(held.tokens.scope or ()) == {"notes:read", "notes:write", "offline_access"}
        assert post(auth, server.url, json=call("add_note", text="y")).status_code == 200
        assert browser.visits == 2


def test_a_step_up_that_does_not_help_says_what_was_asked_and_granted(library: Any) -> None:
    challenge = 'Bearer error="insufficient_scope", scope="notes:write"'

    def never(request: Any) -> Any:
        return library.Response(403, headers={"WWW-Authenticate": challenge})

    with served() as (server, browser):
        auth = MCPAuth(server.url, storage=MemoryStorage(), prompt=prompting(browser))
        with library.Client(auth=auth) as client:
            client.post(server.url, json=LIST, headers=HEADERS)
        for _ in range(2):
            with library.Client(auth=auth, transport=library.MockTransport(never)) as client:
                with pytest.raises(InsufficientScope) as caught:
                    client.post(server.url, json=LIST)
                assert caught.value.requested == ("notes:read", "offline_access", "notes:write")
                assert "notes:write" in caught.value.granted
        assert browser.visits == 2


def test_where_nobody_can_be_asked_the_command_is_named(post: Post) -> None:
    with served() as (server, _):
        auth = MCPAuth(server.url, storage=MemoryStorage(), prompt=None, account="work")
        with pytest.raises(LoginRequired) as caught:
            post(auth, server.url, json=LIST)
        assert caught.value.hint == f"Run: mcp-login {server.url} --account work"
        assert [r.status for r in server.requests] == [401]


def test_a_failure_can_be_had_as_the_servers_own_response(post: Post) -> None:
    with served() as (server, _):
        auth = MCPAuth(server.url, storage=MemoryStorage(), prompt=None, on_failure="response")
        assert post(auth, server.url, json=LIST).status_code == 401
        assert isinstance(auth.last_error, LoginRequired)


def test_a_server_that_refuses_every_fresh_token_costs_one_login(library: Any) -> None:
    with served() as (server, browser):
        auth = MCPAuth(server.url, storage=MemoryStorage(), prompt=prompting(browser))
        never = library.MockTransport(lambda request: library.Response(401))
        with library.Client(auth=auth, transport=never) as client:
            assert client.post(server.url, json=LIST).status_code == 401
            for _ in range(2):
                with pytest.raises(TokenRefused, match="has just issued"):
                    client.post(server.url, json=LIST)
        assert browser.visits == 1


def test_a_streamed_body_is_sent_again_after_the_401(library: Any) -> None:
    def body() -> Iterator[bytes]:
        yield b'{"jsonrpc": "2.0", "id": 1, '
        yield b'"method": "tools/list"}'

    with served() as (server, browser):
        auth = MCPAuth(server.url, storage=MemoryStorage(), prompt=prompting(browser))
        headers = {**HEADERS, "Content-Type": "application/json"}
        with library.Client(auth=auth) as client:
            assert client.post(server.url, content=body(), headers=headers).status_code == 200


@pytest.mark.anyio
async def test_an_asynchronous_body_is_sent_again_after_the_401(library: Any) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'

    with served() as (server, browser):
        auth = MCPAuth(server.url, storage=MemoryStorage(), prompt=prompting(browser))
        headers = {**HEADERS, "Content-Type": "application/json"}
        async with library.AsyncClient(auth=auth) as client:
            answer = await client.post(server.url, content=body(), headers=headers)
            assert answer.status_code == 200


def test_a_transport_may_write_into_the_request_where_it_sends_it(library: Any) -> None:
    """httpx's own documentation shows a transport that resolves names this way."""
    seen: list[str] = []

    class Resolving(library.HTTPTransport):  # type: ignore[misc, name-defined, unused-ignore]
        def handle_request(self, request: Any) -> Any:
            seen.append(request.url.host)
            request.url = request.url.copy_with(host="localhost")
            return super().handle_request(request)

    with DemoServer() as server:
        prompt = BrowserPrompt(ScriptedBrowser())
        auth = MCPAuth(server.url, storage=MemoryStorage(), prompt=prompt)
        mounts = {"http://127.0.0.1": Resolving()}
        with library.Client(auth=auth, mounts=mounts, trust_env=False) as client:
            assert client.post(server.url, json=call("whoami")).status_code == 200
            server.expire_access_tokens()
            assert client.post(server.url, json=call("add_note", text="x")).status_code == 200
    assert set(seen) == {"127.0.0.1"}


def test_the_first_byte_of_a_stream_is_not_delayed(library: Any) -> None:
    came, in_time = threading.Event(), list[bool]()

    def halting(request: Request) -> None:
        request.stream(event({"first": 1}))
        in_time.append(came.wait(60))

    storage = MemoryStorage()
    with Stage(halting) as stage:
        store(storage, stage.url, "token")
        auth = MCPAuth(stage.url, storage=storage, prompt=None)
        with (
            library.Client(auth=auth, timeout=90) as client,
            client.stream("POST", stage.url, json=LIST, headers=HEADERS) as response,
        ):
            chunks = response.iter_raw()
            assert b"first" in next(chunks)
            came.set()
            assert b"".join(chunks) == b""
        assert in_time == [True]


def test_a_request_elsewhere_goes_out_without_a_token(library: Any) -> None:
    seen: list[str | None] = []

    def answer(request: Any) -> Any:
        seen.append(request.headers.get("Authorization"))
        return library.Response(200)

    with served() as (server, browser):
        events: list[Event] = []
        auth = MCPAuth(
            server.url, storage=MemoryStorage(), prompt=prompting(browser), on_event=events.append
        )
        with library.Client(auth=auth) as client:
            client.post(server.url, json=LIST, headers=HEADERS)
        with library.Client(auth=auth, transport=library.MockTransport(answer)) as client:
            client.get("https://elsewhere.example/")
            client.get(server.url)
    assert seen[0] is None
    assert str(seen[1]).startswith("Bearer ")
    assert "without a token" in events[-1].detail


def test_the_object_is_not_callable() -> None:
    # pydantic-ai treats a callable as something else
    assert not callable(MCPAuth("https://mcp.example.com/mcp"))


def test_two_accounts_on_one_server_never_mix(library: Any, tmp_path: Path) -> None:
    with served() as (server, browser):
        storage = FileStorage(tmp_path)
        mine = MCPAuth(server.url, storage=storage, prompt=prompting(browser))
        theirs = MCPAuth(server.url, storage=storage, prompt=None, account="theirs")
        with library.Client(auth=mine) as client:
            client.post(server.url, json=LIST, headers=HEADERS)
        with library.Client(auth=theirs) as client, pytest.raises(LoginRequired):
            client.post(server.url, json=LIST, headers=HEADERS)


@pytest.mark.parametrize("url", ["", "mcp.example.com", "ftp://x/", "https://u:p@x/mcp"])
def test_what_is_no_server_url_is_said_at_once(url: str) -> None:
    with pytest.raises(UsageError):
        MCPAuth(url)


def test_a_login_to_a_more_specific_server_keeps_the_wider_token_away(library: Any) -> None:
    sent: list[str | None] = []

    def answer(request: Any) -> Any:
        sent.append(request.headers.get("Authorization"))
        return library.Response(200)

    storage = MemoryStorage()
    wide, deep = "https://mcp.example.com/mcp", "https://mcp.example.com/mcp/tenant-b"
    for url, token in ((wide, "wide"), (deep, "deep")):
        store(storage, url, token)
    auth = MCPAuth(wide, storage=storage, prompt=None)
    with library.Client(auth=auth, transport=library.MockTransport(answer)) as client:
        for url in (wide, deep, deep + "/events", "https://mcp.example.com/mcp/tenant-c"):
            client.get(url)
    assert sent == ["Bearer wide", None, None, "Bearer wide"]


@pytest.mark.parametrize("piece", ["/", "a/", "b" * 59, "a..b/"])
def test_a_path_of_60_000_characters_costs_what_a_short_one_does(piece: str, library: Any) -> None:
    seen: list[bool] = []

    def answer(request: Any) -> Any:
        seen.append("Authorization" in request.headers)
        return library.Response(200)

    asked: list[Key] = []

    class Counting(MemoryStorage):
        def summary(self, key: Key) -> Summary | None:
            asked.append(key)
            return super().summary(key)

    storage, wide = Counting(), "https://mcp.example.com/mcp"
    store(storage, wide, "wide")
    path = "/mcp/" + (piece * 60_000)[:59_990]
    auth = MCPAuth(wide, storage=storage, prompt=None)
    with library.Client(auth=auth, transport=library.MockTransport(answer)) as client:
        client.get(wide)
        request = client.build_request("GET", f"https://mcp.example.com{path}")
        tracemalloc.start()
        client.send(request)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert seen == [True, True]
    assert len(asked) < 50
    assert peak < 4_000_000


def test_a_copy_is_the_object_itself() -> None:
    auth = MCPAuth("https://mcp.example.com/mcp", storage=MemoryStorage(), prompt=None)
    assert copy.copy(auth) is auth
    assert copy.deepcopy({"auth": [auth]})["auth"][0] is auth
    auth.session.ready().result(60)
    assert copy.deepcopy(auth) is auth
    with pytest.raises(TypeError, match="make one in each process"):  # as Ray and joblib need it
        pickle.dumps(auth)


def test_a_model_of_pydantic_that_holds_one_can_be_copied() -> None:
    class Host(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        auth: httpx.Auth

    auth = MCPAuth("https://mcp.example.com/mcp", storage=MemoryStorage(), prompt=None)
    assert Host(auth=auth).model_copy(deep=True).auth is auth


def test_a_program_with_its_own_client_is_not_sent_to_the_command() -> None:
    own = PreRegistered("app")
    with served() as (server, _):
        auth = MCPAuth(server.url, client=own, storage=MemoryStorage(), prompt=None)
        with httpx.Client(auth=auth) as client, pytest.raises(LoginRequired) as caught:
            client.post(server.url, json=LIST)
    assert "mcp-login" not in caught.value.hint
    assert "login()" in caught.value.hint
