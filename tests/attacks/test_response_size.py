"""A server answers without end, to fill its clients' memory."""

from __future__ import annotations

import socket
import tracemalloc
import zlib
from functools import cache

import pytest

from mcp_client_auth import HttpTransport
from mcp_client_auth.errors import BadResponse
from mcp_client_auth.protocol.flow import HttpRequest
from mcp_client_auth.protocol.options import Options
from tests.support.loopback_server import Behaviour, LoopbackServer, endless, says

OK = b"HTTP/1.1 200 OK\r\n"
MEGABYTE = b"a" * 1_000_000
CHUNK = b"f4240\r\n" + MEGABYTE + b"\r\n"


@cache
def bomb(times: int, wrapping: int) -> bytes:
    """`times` megabytes of zeros, a thousandth of it on the wire."""
    machine = zlib.compressobj(9, zlib.DEFLATED, wrapping)
    return b"".join(machine.compress(bytes(1_000_000)) for _ in range(times)) + machine.flush()


def exploding(wrapping: int, coding: str) -> Behaviour:
    def behave(server: LoopbackServer, connection: socket.socket) -> None:
        says(bomb(100, wrapping), "200 OK", f"Content-Encoding: {coding}")(server, connection)

    return behave


FLOODS = {
    "length": endless(OK + b"Content-Length: 100000000\r\n\r\n", MEGABYTE, 100),
    "chunked": endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK, 100),
    "until close": endless(OK + b"Connection: close\r\n\r\n", MEGABYTE, 100),
    "gzip bomb": exploding(31, "gzip"),
    "deflate bomb": exploding(15, "deflate"),
    "error page": endless(b"HTTP/1.1 500 Oops\r\n\r\n", MEGABYTE, 100),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_body_is_cut_at_one_mebibyte(flood: Behaviour, method: str) -> None:
    with LoopbackServer(flood) as server:
        transport = HttpTransport(server.url)
        with pytest.raises(BadResponse, match="1 MiB"):
            transport(HttpRequest(method, server.url))  # once before, because of late imports
        tracemalloc.start()
        try:
            with pytest.raises(BadResponse, match="1 MiB"):
                transport(HttpRequest(method, server.url))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            transport.close()
    assert peak < 20_000_000


def test_the_limit_itself_is_allowed() -> None:
    body = b" " * (1024 * 1024)
    for size, fits in ((len(body), True), (len(body) + 1, False)):
        with LoopbackServer(says(body + b" " * (size - len(body)))) as server:
            transport = HttpTransport(server.url)
            if fits:
                assert len(transport(HttpRequest("GET", server.url)).body) == size
            else:
                with pytest.raises(BadResponse):
                    transport(HttpRequest("GET", server.url))
            transport.close()


def test_a_hundred_thousand_tiny_chunks_are_one_body() -> None:
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    with LoopbackServer(lambda _, c: c.sendall(head + b"1\r\na\r\n" * 100_000 + b"0\r\n\r\n")) as s:
        transport = HttpTransport(s.url, Options(http_timeout=300))
        assert len(transport(HttpRequest("GET", s.url)).body) == 100_000
        transport.close()
