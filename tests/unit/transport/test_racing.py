"""The httpx transport of a person's own request: httpx's behaviour, over connections that race."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import httpx
import pytest

from mcp_client_auth.transport import connect, racing
from mcp_client_auth.transport.racing import RacingTransport
from mcp_client_auth.transport.sender import SENDER, Sender, Wire
from mcp_client_auth.transport.tls import tls_context
from tests.support.loopback_server import (
    Behaviour,
    LoopbackServer,
    hangs,
    raw,
    resets,
    says,
    silent,
)

DEAD = "127.0.0.2"


@contextmanager
def client(timeout: float = 60.0) -> Iterator[httpx.Client]:
    transport = RacingTransport(tls_context(True, None))
    with httpx.Client(transport=transport, timeout=timeout) as made:
        yield made


def test_a_request_and_its_answer_are_httpxs() -> None:
    with LoopbackServer(says(b"fine", "201 Made", "X-A: 1", "X-A: 2")) as server, client() as http:
        answer = http.post(server.url + "/x?y=1", content=b"body", headers={"X-B": "3"})
    assert (answer.status_code, answer.reason_phrase, answer.text) == (201, "Made", "fine")
    assert answer.headers.get_list("x-a") == ["1", "2"]
    assert answer.http_version == "HTTP/1.1"
    assert server.requests[0].startswith("POST /x?y=1 HTTP/1.1")
    assert "X-B: 3" in server.requests[0]
    assert server.requests[0].endswith("body")


@pytest.mark.skipif(sys.platform != "linux", reason="needs an address that drops packets")
def test_an_address_that_drops_packets_costs_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer(says()) as server, silent(DEAD, server.port), client() as http:

        def getaddrinfo(host: str, port: int, *_: object) -> list[object]:
            kind = socket.AF_INET, socket.SOCK_STREAM, 0, ""
            return [(*kind, (address, port)) for address in (DEAD, "127.0.0.1")]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        assert http.get(f"http://mcp.example.com:{server.port}/").status_code == 200


def test_a_time_limit_is_for_a_step_and_not_for_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event stream goes on as long as something comes."""
    passed, go = [0.0], threading.Semaphore(0)
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0])
    for module in (connect, racing):
        monkeypatch.setattr(module, "time", clock)

    def slowly(server: LoopbackServer, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            assert go.acquire(timeout=60)
            connection.sendall(b"x")

    with (
        LoopbackServer(slowly) as server,
        client() as http,
        http.stream("GET", server.url) as answer,
    ):
        pieces = answer.iter_raw()
        for _ in range(8):
            passed[0] += 50
            go.release()
            assert next(pieces) == b"x"


def test_an_answer_that_is_not_read_to_its_end_leaves_no_connection() -> None:
    ended = threading.Event()

    def begins(server: LoopbackServer, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nx")
        with suppress(OSError):
            if connection.recv(1) == b"":
                ended.set()

    with LoopbackServer(begins) as server, client() as http:
        with http.stream("GET", server.url) as answer:
            assert answer.status_code == 200
        assert ended.wait(60)


def test_of_connections_there_are_as_many_as_the_caller_says() -> None:
    transport = RacingTransport(tls_context(True, None), most=1)
    with LoopbackServer(says(b"fine")) as server, httpx.Client(transport=transport) as http:
        with http.stream("GET", server.url), pytest.raises(httpx.PoolTimeout):
            http.get(server.url, timeout=httpx.Timeout(60, pool=0.01))
        assert http.get(server.url).text == "fine"


class Ending:
    """Ends the request of a sender, its own by default, as it writes."""

    def __init__(self, other: Sender | None = None) -> None:
        self._ended = other or self

    def writing(self, wire: Wire) -> None:
        wire.end(self._ended)


def test_a_sender_ends_its_own_request_and_no_other() -> None:
    earlier = Ending()
    with LoopbackServer(says(b"fine")) as server, client() as http:
        with pytest.raises(httpx.TransportError):
            http.get(server.url, extensions={SENDER: earlier})
        assert http.get(server.url, extensions={SENDER: Ending(earlier)}).text == "fine"


def test_without_a_time_limit_it_waits() -> None:
    go = threading.Event()

    def late(server: LoopbackServer, connection: socket.socket) -> None:
        go.wait(10)
        says()(server, connection)

    with LoopbackServer(late) as server, client() as http:
        threading.Timer(0.3, go.set).start()
        assert http.get(server.url, timeout=None).status_code == 200


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (hangs, httpx.ReadTimeout),
        (resets, httpx.ReadError),
        (raw(b""), httpx.RemoteProtocolError),
        (raw(b"noise\r\n\r\n"), httpx.RemoteProtocolError),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), httpx.RemoteProtocolError),
    ],
    ids=["hangs", "resets", "silence", "noise", "cut"],
)
def test_a_fault_has_httpxs_name(behaviour: Behaviour, kind: type[Exception]) -> None:
    limit = 0.3 if behaviour is hangs else 60.0
    with LoopbackServer(behaviour) as server, client(limit) as http, pytest.raises(kind):
        http.get(server.url)


def test_a_shut_door_and_a_name_that_does_not_exist_are_connect_errors() -> None:
    with LoopbackServer(says()) as server:
        url = server.url
    with client() as http:
        with pytest.raises(httpx.ConnectError, match="refused"):
            http.get(url)
        with pytest.raises(httpx.ConnectError) as caught:
            http.get("http://nowhere.invalid/")
    assert isinstance(caught.value.__cause__, socket.gaierror)
