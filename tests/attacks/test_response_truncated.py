"""An answer is cut short, so that what was named looks absent and the next place is asked."""

from __future__ import annotations

import gzip

import pytest

from mcp_client_auth import HttpTransport, Options
from mcp_client_auth.errors import AuthError, BadResponse, Unavailable
from mcp_client_auth.protocol.discovery import discover
from mcp_client_auth.protocol.flow import run
from mcp_client_auth.protocol.urls import ServerUrl
from tests.support.loopback_server import Behaviour, LoopbackServer, drips, raw, says

DOCUMENT = b'{"resource": "https://mcp.example.com/mcp", "authorization_servers": []}'
PACKED = gzip.compress(DOCUMENT)
CUT: dict[str, tuple[Behaviour, type[AuthError]]] = {
    "by the clock": (drips(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{", b" "), Unavailable),
    "before its length": (
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + DOCUMENT),
        Unavailable,
    ),
    "between chunks": (
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
        Unavailable,
    ),
    "inside the compression": (
        says(PACKED[: len(PACKED) // 2], "200 OK", "Content-Encoding: gzip"),
        BadResponse,
    ),
}


@pytest.mark.parametrize("name", CUT)
def test_a_document_that_is_cut_is_not_absent(name: str) -> None:
    behaviour, error = CUT[name]
    with LoopbackServer(behaviour) as server:
        seconds = 0.5 if name == "by the clock" else 60.0
        transport = HttpTransport(server.url, Options(http_timeout=seconds))
        with pytest.raises(error):
            run(discover(ServerUrl(server.url + "/mcp"), None, Options()), transport)
        transport.close()
        assert server.connections == 1
