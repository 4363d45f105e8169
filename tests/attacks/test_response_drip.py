"""A server answers slowly, with no single wait too long, to keep its clients waiting for ever."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from mcp_client_auth import HttpTransport, Options
from mcp_client_auth.errors import Unavailable
from mcp_client_auth.protocol.flow import HttpRequest
from tests.support.loopback_server import Behaviour, LoopbackServer, drips, hangs, says

OK = b"HTTP/1.1 200 OK\r\n"
DEADLINE = 0.4
SLOW = {
    "the status line": drips(b"HTTP/1.1 200 ", b"O"),
    "the headers": drips(OK + b"X: ", b"x"),
    "many headers": drips(OK, b"X: y\r\n"),
    "a body with a length": drips(OK + b"Content-Length: 9000\r\n\r\n"),
    "a body in chunks": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a body until the end": drips(OK + b"Connection: close\r\n\r\n{}"),
    "a compressed body": drips(OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08aaaaaa", b"a"),
    "provisional answers": drips(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 x\r\n\r\n"),
    "nothing at all": hangs,
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
def test_the_deadline_holds_for_the_whole_answer(slow: Behaviour, method: str) -> None:
    began = time.monotonic()
    with LoopbackServer(slow) as server:
        transport = HttpTransport(server.url, Options(http_timeout=DEADLINE))
        with pytest.raises(Unavailable, match=r"no complete answer within 0\.4 s"):
            transport(HttpRequest(method, server.url))
        transport.close()
    assert time.monotonic() - began < 60  # without the deadline it would take for ever


def test_the_deadline_holds_over_all_redirects() -> None:
    def later(server: LoopbackServer, connection: socket.socket) -> None:
        time.sleep(0.2)
        says(b"", "302 Found", "Location: /again")(server, connection)

    with LoopbackServer(later) as server:
        transport = HttpTransport(server.url, Options(http_timeout=DEADLINE))
        with pytest.raises(Unavailable):
            transport(HttpRequest("GET", server.url))
        transport.close()
        assert len(server.requests) <= 3


def test_a_clock_that_ran_out_during_the_lookup_still_cuts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slow name server uses up the time; the connection after it must not get more."""
    real = socket.getaddrinfo

    def slow(*arguments: object, **named: object) -> object:
        time.sleep(DEADLINE + 0.2)
        return real(*arguments, **named)  # type: ignore[arg-type]

    with LoopbackServer(SLOW["a body until the end"]) as server:
        transport = HttpTransport(server.url, Options(http_timeout=DEADLINE))
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        with pytest.raises(Unavailable):
            transport(HttpRequest("GET", server.url))
        transport.close()


def test_no_watch_outlives_its_exchange() -> None:
    before = threading.active_count()
    with LoopbackServer(says()) as server:
        transport = HttpTransport(server.url)
        for _ in range(20):
            transport(HttpRequest("GET", server.url))
        transport.close()
        assert threading.active_count() < before + 15
