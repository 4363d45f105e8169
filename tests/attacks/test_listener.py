"""Attacks on `bridge --listen`: web pages, other names, no secret, two readings of a request, and
clients that keep it busy. Whatever they send, the server behind the login hears nothing of it.
"""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from mcp_client_auth import Secret
from mcp_client_auth.adapters.rpc import undelivered
from mcp_client_auth.mcp import serving as module
from mcp_client_auth.mcp.exchange import LARGEST
from mcp_client_auth.mcp.gate import Gate
from mcp_client_auth.mcp.relay import Relay
from mcp_client_auth.mcp.serving import Serving
from mcp_client_auth.mcp.upstream import MOST_BYTES, Budget, Login
from mcp_client_auth.transport.racing import RacingTransport
from tests.support.mcp_stage import Request, Stage

PATIENCE = 60.0
SECRET = "planted-2x7Kq-secret-of-the-listener"
TOKEN = "planted-access-token-of-the-login"
BODY = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "x"}).encode()


class Scene:
    def __init__(self, stage: Stage, serving: Serving) -> None:
        self.stage, self.serving = stage, serving

    def wire(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.serving.port), timeout=PATIENCE)

    def send(self, *lines: str, body: bytes = BODY, length: bool = True) -> bytes:
        """Send a whole request exactly as it is written here, and return all that comes back."""
        head = [*lines, "Content-Type: application/json", "Connection: close"]
        head += [f"Content-Length: {len(body)}"] * length
        text = "".join(f"{line}\r\n" for line in head).encode("latin-1")
        with self.wire() as raw:
            raw.sendall(text + b"\r\n" + body)
            got = b""
            while piece := raw.recv(1 << 16):
                got += piece
        return got

    @property
    def host(self) -> str:
        return f"Host: {self.serving.name}"


@pytest.fixture
def scene() -> Iterator[Scene]:
    def behaviour(request: Request) -> None:
        request.result(
            ("Set-Cookie", f"t={TOKEN}"),
            ("Authorization", f"Bearer {TOKEN}"),
            ("Access-Control-Allow-Origin", "*"),
            ok=1,
        )

    def signed(request: httpx.Request) -> httpx.Request:
        request.headers["Authorization"] = f"Bearer {TOKEN}"
        return request

    transport = RacingTransport(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    serving = Serving("127.0.0.1", 0, largest=LARGEST, budget=Budget(MOST_BYTES))
    with Stage(behaviour) as stage, httpx.Client(transport=transport, auth=signed) as upstream:
        login = Login(lambda: stage.url)
        relay = Relay(
            upstream, stage.url, login, error_for=lambda error: undelivered(error, stage.url)
        )
        serving.start(Gate(serving.hosts, Secret(SECRET)).refusal, relay)
        with serving:
            yield Scene(stage, serving)


def heard(scene: Scene, got: bytes, status: int) -> None:
    assert got.startswith(f"HTTP/1.1 {status} ".encode()), got[:200]
    assert got.count(b"HTTP/1.1 ") == 1
    assert scene.stage.requests == []
    for planted in (SECRET, TOKEN, "access-control", "page.example"):
        assert planted.encode() not in got.lower()


@pytest.mark.parametrize("place", [f"/{SECRET}/mcp", "/mcp"])
def test_a_web_page_gets_nothing_even_if_it_knows_the_secret(scene: Scene, place: str) -> None:
    bearer = f"Authorization: Bearer {SECRET}"
    for method in ("POST", "GET", "OPTIONS"):
        for origin in ("https://page.example", "null", "http://127.0.0.1", "http://localhost:1"):
            got = scene.send(f"{method} {place} HTTP/1.1", scene.host, bearer, f"Origin: {origin}")
            heard(scene, got, 403)
    got = scene.send(f"POST {place} HTTP/1.1", scene.host, bearer, "Sec-Fetch-Site: cross-site")
    heard(scene, got, 403)


@pytest.mark.parametrize("name", ["page.example", "127.0.0.1.page.example", "[::1]", "0.0.0.0", ""])
def test_a_name_that_leads_here_by_dns_is_not_ours(scene: Scene, name: str) -> None:
    host = f"Host: {name}:{scene.serving.port}" if name else "Host:"
    heard(scene, scene.send(f"POST /{SECRET}/mcp HTTP/1.1", host), 421)
    both = scene.send(f"POST /{SECRET}/mcp HTTP/1.1", scene.host, host)
    assert both.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))
    assert scene.stage.requests == []


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/mcp", 401),
        ("/guess/mcp", 404),
        ("/mcp/../mcp", 404),
        ("/./mcp", 404),
        ("//mcp", 404),
        ("/%6dcp", 404),
        ("/mcp?x=y", 404),
        ("/mcp;x", 404),
        ("/mcp%00", 404),
        ("/..%2f..%2fetc/passwd", 404),
        (f"/{SECRET[:-1]}/mcp", 404),
        (f"/{SECRET.upper()}/mcp", 404),
        (f"/{SECRET}/mcp/..", 404),
        (f"/{SECRET}/../{SECRET}/mcp", 404),
        (f"http://page.example/{SECRET}/mcp", 404),
        ("*", 404),
    ],
)
def test_who_has_no_secret_or_another_path_gets_nothing(
    scene: Scene, target: str, status: int
) -> None:
    heard(scene, scene.send(f"POST {target} HTTP/1.1", scene.host), status)
    wrong = f"Authorization: Bearer {SECRET[:-1]}x"
    heard(scene, scene.send(f"POST {target} HTTP/1.1", scene.host, wrong), status)


SMUGGLED = b"POST /mcp HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Content-Length: 4", "Content-Length: 40"),
        ("Content-Length: +4",),
        ("Content-Length: 0x4",),
        ("Content-Length: 4\n", "X: y"),
        ("Transfer-Encoding: chunked, chunked",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: chunked", "Content-Encoding: gzip", "Content-Length: 4"),
        ("X: y\rContent-Length: 4",),
        ("Mcp-Session-Id: a", "Mcp-Session-Id: b"),
        ("Mcp-Session-Id: a\x00b",),
    ],
    ids=repr,
)
def test_a_request_that_can_be_read_in_two_ways_is_none(
    scene: Scene, lines: tuple[str, ...]
) -> None:
    got = scene.send(
        f"POST /{SECRET}/mcp HTTP/1.1",
        scene.host,
        *lines,
        body=b"0\r\n\r\n" + SMUGGLED,
        length=not any("length" in line.lower() for line in lines),
    )
    assert got.split(b" ")[1] in (b"400", b"415", b"501"), got[:200]
    assert got.count(b"HTTP/1.1 ") == 1
    assert scene.stage.requests == []


def test_what_follows_a_refusal_is_not_read(scene: Scene) -> None:
    following = f"POST /{SECRET}/mcp HTTP/1.1\r\n{scene.host}\r\nContent-Length: 0\r\n\r\n"
    with scene.wire() as raw:
        raw.sendall(f"POST /guess/mcp HTTP/1.1\r\n{scene.host}\r\n\r\n{following}".encode())
        got = b""
        while piece := raw.recv(1 << 16):
            got += piece
    heard(scene, got, 404)


def test_a_head_without_end_is_refused(scene: Scene) -> None:
    heard(scene, scene.send("GET /mcp HTTP/1.1", scene.host, f"X: {'x' * 300_000}"), 431)


def test_strangers_that_say_nothing_lock_no_one_out(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 10)
    strangers = [scene.wire() for _ in range(30)]
    try:
        for each in strangers:
            each.sendall(b"POST /")
        got = scene.send(f"POST /{SECRET}/mcp HTTP/1.1", scene.host)
        assert b'"ok": 1' in got
    finally:
        for each in strangers:
            each.close()


def test_a_client_with_the_secret_gets_the_answer_and_nothing_of_the_login(scene: Scene) -> None:
    got = scene.send(f"POST /{SECRET}/mcp HTTP/1.1", scene.host)
    assert b'"ok": 1' in got
    assert TOKEN.encode() not in got
    assert b"cookie" not in got.lower()
    assert b"access-control" not in got.lower()
    [request] = scene.stage.requests
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert SECRET not in str(request.headers) + request.path


def test_neither_the_secret_nor_a_path_is_logged(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for target in (f"/{SECRET}/mcp", "/mcp", "/planted-path"):
            scene.send(f"POST {target} HTTP/1.1", scene.host)
        scene.send("planted-path is no request")
        scene.serving.answer = _broken
        scene.send(f"POST /{SECRET}/mcp HTTP/1.1", scene.host)
    said = caplog.text + repr(scene.serving) + "".join(t.name for t in threading.enumerate())
    assert "failed at a request" in said
    assert SECRET not in said
    assert "planted-path" not in said


def _broken(request: Any, reply: Any) -> None:
    raise RuntimeError("a fault of ours")
