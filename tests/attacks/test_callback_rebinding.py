"""A web page reaches the callback under a name of its own, or from an origin of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from mcp_client_auth.prompt.loopback import Listener


@pytest.fixture
def offered() -> list[str]:
    return []


@pytest.fixture
def listener(offered: list[str]) -> Iterator[Listener]:
    with Listener() as listener:

        def offer(query: str) -> bool:
            offered.append(query)
            return False

        listener.start(offer)
        yield listener


def talk(listener: Listener, request: str) -> str:
    with socket.create_connection(("127.0.0.1", listener.port), 5) as connection:
        connection.sendall(request.encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        return connection.makefile(encoding="utf-8").read()


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "localhost:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1:{port}.evil.example",
        "127.0.0.1.evil.example:{port}",
        "[::1]:{port}",
        "2130706433:{port}",
        "127.1:{port}",
        "user@127.0.0.1:{port}",
        "127.0.0.1:{port}, evil.example",
    ],
)
def test_a_foreign_host_is_not_offered(listener: Listener, offered: list[str], host: str) -> None:
    headers = {"Host": host.format(port=listener.port)}
    url = listener.redirect_uri + "?code=c&state=s"
    assert httpx.get(url, headers=headers, trust_env=False).status_code == 421
    assert offered == []


@pytest.mark.parametrize("lines", ["", "Host: {0}\r\nHost: {0}\r\n", "Host: {0}\r\nhost: evil\r\n"])
def test_no_host_or_two_are_not_offered(listener: Listener, offered: list[str], lines: str) -> None:
    head = lines.format(f"127.0.0.1:{listener.port}")
    assert " 421 " in talk(listener, f"GET /callback?code=c HTTP/1.1\r\n{head}\r\n")
    assert offered == []


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost:{port}", "https://127.0.0.1:{port}", ""],
)
def test_a_foreign_origin_is_not_offered(
    listener: Listener, offered: list[str], origin: str
) -> None:
    answer = httpx.get(
        listener.redirect_uri + "?code=c&state=s",
        headers={"Origin": origin.format(port=listener.port)},
        trust_env=False,
    )
    assert answer.status_code == 403
    assert offered == []


def test_our_own_origin_is_no_objection(listener: Listener, offered: list[str]) -> None:
    origin = f"http://127.0.0.1:{listener.port}"
    httpx.get(listener.redirect_uri + "?state=x", headers={"Origin": origin}, trust_env=False)
    assert offered == ["state=x"]


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/favicon.ico",
        "/callback/",
        "/Callback?code=c",
        "//callback?code=c",
        "/./callback?code=c",
        "/x/../callback?code=c",
        "/%63allback?code=c",
        "/callback;a?code=c",
        "http://127.0.0.1:1/callback?code=c",
        "*",
    ],
)
def test_another_path_is_not_found(listener: Listener, offered: list[str], target: str) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{listener.port}\r\n\r\n"
    assert talk(listener, request).split()[1] == "404"
    assert offered == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get"])
def test_another_method_is_not_allowed(listener: Listener, offered: list[str], method: str) -> None:
    request = f"{method} /callback?code=c HTTP/1.1\r\nHost: 127.0.0.1:{listener.port}\r\n\r\n"
    answer = talk(listener, request)
    assert answer.split()[1] == "405"
    assert "\nAllow: GET\n" in answer
    assert "access-control" not in answer.lower()
    assert offered == []


def test_a_body_that_is_not_read_does_not_cost_the_answer(listener: Listener) -> None:
    answer = httpx.post(listener.redirect_uri, content=b"x" * 200_000, trust_env=False)
    assert answer.status_code == 405


@pytest.mark.parametrize(
    "garbage", ["\x16\x03\x01\x02\x00\x01\x00\r\n", "GET\r\n\r\n", "GET / HTTP/9\r\n\r\n", "\r\n"]
)
def test_what_is_no_http_does_no_harm(
    listener: Listener, offered: list[str], garbage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    talk(listener, garbage)
    assert offered == []
    assert capfd.readouterr() == ("", "")
    assert httpx.get(listener.redirect_uri, trust_env=False).status_code == 400
