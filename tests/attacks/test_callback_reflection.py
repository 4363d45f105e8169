"""A script in the query must not run, and the code must not be shown anywhere."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from mcp_client_auth.prompt.loopback import Listener
from mcp_client_auth.prompt.page import Page

PLANTED = "pl4nted"
SCRIPT = f"<script>alert('{PLANTED}')</script>"


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as listener:

        def offer(query: str) -> bool:
            if "raise" in query:
                raise ValueError(query)
            right = "right" in query
            if right:
                listener.finish(Page("denied", "https://mcp.example.com/mcp", "work"))
            return right

        listener.start(offer)
        yield listener


@pytest.mark.parametrize("state", ["wrong", "right", "raise"])
@pytest.mark.parametrize("name", ["error", "error_description", "error_uri", "code", "state", "x"])
@pytest.mark.parametrize("escaped", [False, True])
def test_nothing_of_the_query_is_reflected(
    listener: Listener, state: str, name: str, escaped: bool
) -> None:
    value = quote(SCRIPT) if escaped else SCRIPT.replace(" ", "")
    with socket.create_connection(("127.0.0.1", listener.port), 5) as connection:
        target = f"/callback?{name}={value}&s={state}"
        host = f"127.0.0.1:{listener.port}"
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = connection.makefile(encoding="utf-8", newline="").read()
    assert PLANTED not in answer
    assert "<script" not in answer
    assert "default-src 'none'" in answer
    assert "nosniff" in answer


@pytest.mark.parametrize(
    "request_line",
    [
        f"GET /{PLANTED}{SCRIPT} HTTP/1.1",
        f"{PLANTED} /callback HTTP/1.1",
        f"GET /callback?code={PLANTED} {PLANTED} HTTP/1.1",
        f"GET /callback?code={PLANTED} HTTP/{PLANTED}",
        f"GET /callback?code={PLANTED} HTTP/3.0",
        f"{PLANTED}",
        f"GET /callback?code={PLANTED}" + "x" * 20_000 + " HTTP/1.1",
        f"GET /callback?code={PLANTED}" + "x" * 70_000 + " HTTP/1.1",
        f"GET /callback?code={PLANTED} HTTP/1.1\r\nHost: evil\r\nX: " + "x" * 70_000,
        f"GET /callback?code={PLANTED} HTTP/1.1" + "\r\nX: y" * 120,
    ],
)
def test_a_request_that_breaks_http_is_neither_reflected_nor_logged(
    listener: Listener,
    request_line: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.create_connection(("127.0.0.1", listener.port), 5) as connection:
        connection.sendall(f"{request_line}\r\n\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile(encoding="utf-8").read()
    listener.close()
    assert PLANTED not in answer
    assert "python" not in answer.lower()
    assert PLANTED not in caplog.text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("state", ["wrong", "right", "raise", "a&state=b"])
def test_the_query_is_in_no_debug_log(
    listener: Listener,
    state: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG, "mcp_client_auth")
    url = f"{listener.redirect_uri}?code={PLANTED}&state={state}"
    answer = httpx.get(url, trust_env=False)
    assert PLANTED not in answer.text
    ours = [record.getMessage() for record in caplog.records if record.name == "mcp_client_auth"]
    assert f"callback answered {answer.status_code}" in ours
    assert PLANTED not in "".join(ours)
    assert capfd.readouterr() == ("", "")


def test_a_connection_that_breaks_off_prints_nothing(
    listener: Listener, capfd: pytest.CaptureFixture[str]
) -> None:
    connection = socket.create_connection(("127.0.0.1", listener.port), 5)
    linger = b"\x01\0\0\0\0\0\0\0"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.sendall(f"GET /callback?code={PLANTED}".encode())
    connection.close()
    listener.close()
    assert capfd.readouterr() == ("", "")
