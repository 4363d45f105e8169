"""The transport of an `AsyncClient` for a public server: httpx's, but for the addresses."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import anyio
import httpx
import pytest

from mcp_client_auth.errors import InsecureUrl
from mcp_client_auth.transport.guarded import GuardedTransport
from mcp_client_auth.transport.tls import tls_context
from tests.support.loopback_server import LoopbackServer, resets, says

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
Use = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


class Policy:
    """Admits 127.0.0.1 and what else is named."""

    def __init__(self, *more: str) -> None:
        self.allowed, self.asked = {"127.0.0.1", *more}, list[tuple[str, str]]()

    def admit(self, host: str, address: str) -> None:
        self.asked.append((host, address))
        if address not in self.allowed:
            raise InsecureUrl("not there")

    def connected(self, host: str, address: str) -> None: ...
    def failed(self, host: str, address: str, why: str) -> None: ...


def run(backend: str, policy: Policy, use: Use) -> httpx.Response:
    async def main() -> httpx.Response:
        transport = GuardedTransport(tls_context(True, None), policy)
        async with httpx.AsyncClient(transport=transport, timeout=60) as http:
            return await use(http)

    return anyio.run(main, backend=backend)


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def getaddrinfo(host: object, port: int, *_: object, **__: object) -> list[object]:
        if not addresses:
            raise socket.gaierror("no such name")
        kind = socket.AF_INET, socket.SOCK_STREAM, 0, ""
        named = [str(host)] if str(host)[0].isdigit() else addresses
        return [(*kind, (address, port)) for address in named]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@BACKENDS
def test_a_request_and_its_answer_are_httpxs(backend: str) -> None:
    with LoopbackServer(says(b"fine", "201 Made", "X-A: 1", "X-A: 2")) as server:
        answer = run(
            backend, Policy(), lambda http: http.post(server.url + "/x?y=1", content=b"body")
        )
    assert (answer.status_code, answer.reason_phrase, answer.text) == (201, "Made", "fine")
    assert answer.headers.get_list("x-a") == ["1", "2"]
    assert server.requests[0].endswith("body")


@BACKENDS
def test_only_what_is_admitted_is_connected_to(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LoopbackServer(says(b"fine")) as server:
        resolving(monkeypatch, "127.0.0.3", "127.0.0.1")
        policy, url = Policy(), f"http://mcp.example.com:{server.port}/"
        assert run(backend, policy, lambda http: http.get(url)).text == "fine"
        assert policy.asked == [("mcp.example.com", "127.0.0.3"), ("mcp.example.com", "127.0.0.1")]
        resolving(monkeypatch, "127.0.0.3")
        with pytest.raises(InsecureUrl):
            run(backend, Policy(), lambda http: http.get(url))
        assert len(server.requests) == 1


@BACKENDS
def test_the_next_address_is_tried_where_one_refuses(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LoopbackServer(says(b"fine")) as server:
        resolving(monkeypatch, "127.0.0.9", "127.0.0.1")
        url = f"http://mcp.example.com:{server.port}/"
        assert run(backend, Policy("127.0.0.9"), lambda http: http.get(url)).text == "fine"
        resolving(monkeypatch, "127.0.0.9")
        with pytest.raises(httpx.ConnectError):
            run(backend, Policy("127.0.0.9"), lambda http: http.get(url))


@BACKENDS
def test_faults_have_httpxs_names(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer(resets) as server, pytest.raises(httpx.TransportError):
        run(backend, Policy(), lambda http: http.get(server.url))
    resolving(monkeypatch)
    with pytest.raises(httpx.ConnectError):
        run(backend, Policy(), lambda http: http.get("http://mcp.example.com/"))
