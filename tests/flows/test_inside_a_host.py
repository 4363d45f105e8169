"""`on_failure="rpc"`: what a host's HTTP client gets when no one can sign in, in each library."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, TypeAlias

import anyio
import httpx
import httpx2
import pytest
import requests
import urllib3

from mcp_client_auth import (
    BrowserPrompt,
    LoginRequired,
    MCPAuth,
    MemoryStorage,
    Options,
    Unavailable,
)
from mcp_client_auth.adapters.requests import MCPAuth as RequestsAuth
from mcp_client_auth.adapters.urllib3 import MCPAuth as Urllib3Auth
from mcp_client_auth.testing import DemoServer, ScriptedBrowser

SERVER = "https://mcp.example.com/mcp"
HEADERS = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
}
LIST = {"jsonrpc": "2.0", "id": "list-1", "method": "tools/list"}
ADD = {
    "jsonrpc": "2.0",
    "id": 7,
    "method": "tools/call",
    "params": {"name": "add_note", "arguments": {"text": "x"}},
}
Send: TypeAlias = Callable[..., Any]
"""`send(auth, url, body, method)`: an answer with `status_code`, `headers` and `content`."""


def by_requests(auth: Any, url: str, body: bytes = b"", method: str = "POST") -> Any:
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, data=body, headers=HEADERS, auth=auth, timeout=30)


def by_urllib3(auth: Any, url: str, body: bytes = b"", method: str = "POST") -> Any:
    with urllib3.PoolManager(timeout=30) as pool:
        answer = auth.request(pool, method, url, body=body, headers=HEADERS)
    return SimpleNamespace(status_code=answer.status, headers=answer.headers, content=answer.data)


def blocking(library: Any) -> Send:
    def send(auth: Any, url: str, body: bytes = b"", method: str = "POST") -> Any:
        with library.Client(auth=auth, timeout=30) as client:
            return client.request(method, url, content=body, headers=HEADERS)

    return send


def asynchronous(library: Any, backend: str) -> Send:
    def send(auth: Any, url: str, body: bytes = b"", method: str = "POST") -> Any:
        async def main() -> Any:
            async with library.AsyncClient(auth=auth, timeout=30) as client:
                return await client.request(method, url, content=body, headers=HEADERS)

        return anyio.run(main, backend=backend)

    return send


CLIENTS: dict[str, Send] = {
    f"{library.__name__} {how}": (
        blocking(library) if how == "sync" else asynchronous(library, how)
    )
    for library in (httpx, httpx2)
    for how in ("sync", "asyncio", "trio")
}
CLIENTS |= {"requests": by_requests, "urllib3": by_urllib3}
KINDS: dict[str, Any] = {"requests": RequestsAuth, "urllib3": Urllib3Auth}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def send(client: str) -> Send:
    return CLIENTS[client]


Make: TypeAlias = Callable[..., Any]


@pytest.fixture
def make(client: str, storage: MemoryStorage) -> Make:
    """Make the auth of a program in which no one can sign in."""

    def make(url: str, **arguments: Any) -> Any:
        kind = KINDS.get(client, MCPAuth)
        return kind(url, storage=storage, prompt=None, **{"on_failure": "rpc", **arguments})

    return make


@pytest.fixture
def auth(make: Make, shared: DemoServer) -> Any:
    return make(shared.url)


def log_in(server: DemoServer, storage: MemoryStorage) -> None:
    """Log in as another program does."""
    prompt = BrowserPrompt(open_url=ScriptedBrowser())
    MCPAuth(server.url, storage=storage, prompt=prompt).session.log_in(force=True)


def body_of(message: Any) -> bytes:
    return json.dumps(message).encode()


def test_the_call_shows_the_reason_and_the_next_one_works_after_a_login_elsewhere(
    send: Send, auth: Any, shared: DemoServer, storage: MemoryStorage
) -> None:
    answer = send(auth, shared.url, body_of(LIST))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    told = json.loads(answer.content)
    assert (told["id"], told["error"]["code"]) == ("list-1", 401)
    assert told["error"]["message"].endswith(f"Run: mcp-login {shared.url}")
    assert "WWW-Authenticate" not in answer.headers
    assert isinstance(auth.last_error, LoginRequired)
    log_in(shared, storage)
    assert len(json.loads(send(auth, shared.url, body_of(LIST)).content)["result"]["tools"]) == 4
    assert auth.last_error is None


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("POST", body_of({"jsonrpc": "2.0", "method": "notifications/initialized"}), 202),
        ("POST", body_of({"jsonrpc": "2.0", "id": 1, "result": {}}), 202),
        ("GET", b"", 405),
        ("POST", body_of([LIST]), 401),
        ("POST", b"no json", 401),
        ("DELETE", b"", 401),
    ],
)
def test_what_is_no_request_gets_no_error_of_json_rpc(
    send: Send, auth: Any, shared: DemoServer, method: str, body: bytes, status: int
) -> None:
    shared.fail_next("/mcp", 401)
    answer = send(auth, shared.url, body, method)
    assert answer.status_code == status
    assert isinstance(auth.last_error, LoginRequired)
    assert answer.content == b"" or status != 202


def test_a_scope_that_only_a_person_can_grant_is_told_and_not_in_the_server_s_words(
    send: Send, auth: Any, shared: DemoServer, storage: MemoryStorage
) -> None:
    log_in(shared, storage)
    answer = send(auth, shared.url, body_of(ADD))
    error = json.loads(answer.content)["error"]
    assert (answer.status_code, error["code"]) == (200, 401)
    assert "notes:write" in error["data"].pop("may_quote_the_server")
    assert "notes:write" not in json.dumps(error)
    assert auth.last_error.scope == ("notes:read", "offline_access", "notes:write")


def test_an_authorization_server_in_trouble_is_told_as_that_and_the_next_call_works(
    send: Send, make: Make, server: DemoServer, storage: MemoryStorage
) -> None:
    log_in(server, storage)
    auth = make(server.url, options=Options(patience=0.0))
    now = time.time() + 10_000
    object.__setattr__(auth.session.ports, "clock", lambda: now)
    server.expire_access_tokens()
    server.fail_next("/oauth2/token", 503, headers=[("Retry-After", "7")])
    error = json.loads(send(auth, server.url, body_of(LIST)).content)["error"]
    assert (error["code"], error["data"]["code"]) == (503, "unavailable")
    assert error["message"].endswith("Try again in 7 s")
    assert isinstance(auth.last_error, Unavailable)
    object.__setattr__(auth.session.ports, "monotonic", lambda: time.monotonic() + 10)
    assert "result" in json.loads(send(auth, server.url, body_of(LIST)).content)


def test_a_server_that_refuses_every_token_is_told_too(
    send: Send, make: Make, server: DemoServer, storage: MemoryStorage
) -> None:
    log_in(server, storage)
    server.fail_next("/mcp", 401, times=100)
    error = json.loads(send(make(server.url), server.url, body_of(LIST)).content)["error"]
    assert error["code"] in (401, 403)
    assert error["data"]["server"] == server.url


def test_a_refusal_that_is_the_server_s_own_business_stays_its_answer(
    send: Send, auth: Any, shared: DemoServer, storage: MemoryStorage
) -> None:
    log_in(shared, storage)
    shared.fail_next("/mcp", 403, body=b"not on Sundays")
    answer = send(auth, shared.url, body_of(LIST))
    assert (answer.status_code, answer.content) == (403, b"not on Sundays")
    elsewhere = shared.url.replace("/mcp", "/elsewhere")
    assert send(auth, elsewhere, body_of(LIST)).status_code == 404


def test_each_of_many_calls_at_once_gets_the_answer_to_its_own_id(
    send: Send, auth: Any, shared: DemoServer
) -> None:
    with ThreadPoolExecutor(8) as pool:
        bodies = [body_of({**LIST, "id": number}) for number in range(16)]
        answers = pool.map(lambda body: send(auth, shared.url, body), bodies)
        told = [json.loads(answer.content) for answer in answers]
    assert [each["id"] for each in told] == list(range(16))
    assert {each["error"]["data"]["code"] for each in told} == {"login_required"}


class Broken(Exception):
    """The error that a host's own request body raises."""


def test_a_body_that_cannot_be_read_is_its_program_s_own_error(send: Send, auth: Any) -> None:
    def body() -> Iterator[bytes]:
        yield b'{"jsonrpc"'
        raise Broken

    async def asynchronous() -> AsyncIterator[bytes]:
        for piece in body():
            yield piece

    blocks = send in (by_requests, by_urllib3, CLIENTS["httpx sync"], CLIENTS["httpx2 sync"])
    with pytest.raises(Broken):
        send(auth, SERVER, body() if blocks else asynchronous())


LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
REFUSALS: dict[str, dict[str, Any]] = {
    "a body": {"content": b"refused"},
    "a compressed body that is none": {
        "content": b"refused",
        "headers": {"Content-Encoding": "br, identity"},
    },
    "a page": {"html": "<p>refused", "headers": {"Set-Cookie": "a=b", "Mcp-Session-Id": "x"}},
}


@LIBRARIES
@pytest.mark.parametrize("how", ["bytes", "raw", "text", "lines"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_host_reads_it_like_any_answer(library: Any, refusal: str, how: str) -> None:
    def refuse(request: Any) -> Any:
        return library.Response(401, **REFUSALS[refusal])

    def told(answer: Any, pieces: list[Any]) -> None:
        assert (answer.status_code, answer.reason_phrase, answer.url) == (200, "OK", SERVER)
        assert set(answer.headers) == {"content-type", "content-length"}
        text = b"".join(each if isinstance(each, bytes) else each.encode() for each in pieces)
        assert json.loads(text)["id"] == LIST["id"]

    async def asynchronous() -> None:
        async with (
            library.AsyncClient(auth=auth, transport=library.MockTransport(refuse)) as client,
            client.stream("POST", SERVER, json=LIST) as answer,
        ):
            told(answer, [piece async for piece in getattr(answer, f"aiter_{how}")()])

    auth = MCPAuth(SERVER, storage=MemoryStorage(), prompt=None, on_failure="rpc")
    with (
        library.Client(auth=auth, transport=library.MockTransport(refuse)) as client,
        client.stream("POST", SERVER, json=LIST) as answer,
    ):
        told(answer, list(getattr(answer, f"iter_{how}")()))
    anyio.run(asynchronous)


@LIBRARIES
def test_a_hook_that_has_read_the_refusal_changes_nothing(library: Any) -> None:
    seen: list[bytes] = []
    auth = MCPAuth(SERVER, storage=MemoryStorage(), prompt=None, on_failure="rpc")
    with library.Client(
        auth=auth,
        transport=library.MockTransport(lambda request: library.Response(401, text="refused")),
        event_hooks={"response": [lambda response: seen.append(response.read())]},
    ) as client:
        answer = client.post(SERVER, json=LIST)
    assert seen == [b"refused"]
    assert answer.json()["error"]["code"] == 401
    assert answer.elapsed.total_seconds() >= 0


@LIBRARIES
def test_a_refusal_without_end_is_not_waited_for(library: Any) -> None:
    closed: list[bool] = []

    class Endless(library.SyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            pytest.fail("nothing of it is read")
            yield b""

        def close(self) -> None:
            closed.append(True)

    def refuse(request: Any) -> Any:
        return library.Response(401, stream=Endless())

    auth = MCPAuth(SERVER, storage=MemoryStorage(), prompt=None, on_failure="rpc")
    with library.Client(auth=auth, transport=library.MockTransport(refuse)) as client:
        assert "error" in client.post(SERVER, json=LIST).json()
    assert closed == [True]
