"""The requests of one flow share connections, which end with it."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest

from mcp_client_auth import HttpTransport, Options
from mcp_client_auth.errors import BadResponse, Unavailable
from mcp_client_auth.protocol.client_auth import UNSIGNED, FormPost
from mcp_client_auth.protocol.dynamic_registration import registration_request
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse, run
from mcp_client_auth.protocol.metadata import default_server_metadata
from mcp_client_auth.protocol.probe import probe_request
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.urls import Issuer
from mcp_client_auth.transport import pools
from tests.support.listening import Listening
from tests.support.loopback_server import LoopbackServer, hangs, raw, received, says
from tests.support.ports import free_port


class Keeping(Listening):
    """A server that keeps connections; each ends after `answers`, the next request unanswered."""

    def __init__(self, answers: int = 1_000, last: bytes = b"") -> None:
        super().__init__()
        self.seen: list[list[str]] = []
        self.pieces = self.hangs_up = False
        self.ended, self.said_more = threading.Semaphore(0), threading.Event()
        self._answers, self._last = answers, last
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def counts(self) -> list[int]:
        """The requests of each connection."""
        return [len(each) for each in self.seen]

    def _serve(self, connection: socket.socket) -> None:
        mine: list[str] = []
        self.seen.append(mine)
        with suppress(OSError), connection:  # each ends before it is counted as ended
            while more := received(connection):
                mine.append(more)
                if len(mine) > self._answers:
                    break
                head, body = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"{}"
                for piece in (head, body) if self.pieces else (head + body,):
                    connection.sendall(piece)
                if len(mine) == self._answers and self.hangs_up:
                    break
                if len(mine) == self._answers and self._last:
                    time.sleep(0.05)  # not in the same segment
                    connection.sendall(self._last)
                    self.said_more.set()
        self.ended.release()


@pytest.fixture
def keeping() -> Iterator[Keeping]:
    with Keeping() as server:
        yield server


def get(url: str) -> HttpRequest:
    return HttpRequest("GET", url)


def post(url: str) -> HttpRequest:
    return HttpRequest("POST", url, body=b"grant_type=refresh_token")


def test_the_requests_of_a_flow_share_a_connection_and_it_ends_with_them(keeping: Keeping) -> None:
    transport = HttpTransport(keeping.url)
    with transport.flow() as flow:
        for _ in range(3):
            assert flow(get(keeping.url)).status == 200
        assert keeping.counts == [3]
    assert keeping.ended.acquire(timeout=60)
    transport(get(keeping.url))
    assert keeping.counts == [3, 1]


def test_a_check_after_the_end_of_a_flow_leaves_no_connection_open(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a server may name depends on where it is, so that it is connected to."""

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port or 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    url = f"http://mcp.example.com:{keeping.port}/mcp"
    with HttpTransport(url, Options(allow_insecure_http=True)).flow() as flow:
        pass
    flow.check("http://auth.example.com/")
    assert keeping.ended.acquire(timeout=60)


def test_a_flow_inside_a_flow_is_the_same(keeping: Keeping) -> None:
    with HttpTransport(keeping.url).flow() as flow:
        with flow.flow() as inner:
            inner(get(keeping.url))
        flow(get(keeping.url))
    assert keeping.counts == [2]


def test_what_differs_in_rights_does_not_share_a_connection(keeping: Keeping) -> None:
    with HttpTransport(keeping.url).flow() as flow:
        flow(get(keeping.url))
        flow(HttpRequest("GET", keeping.url, private=True))
    assert keeping.counts == [1, 1]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_what_may_be_sent_once_only_shares_a_connection_too(keeping: Keeping, method: str) -> None:
    with HttpTransport(keeping.url).flow() as flow:
        flow(get(keeping.url))
        for _ in range(2):
            assert flow(HttpRequest(method, keeping.url)).status == 200
        assert keeping.counts == [3]


@pytest.mark.parametrize("answers", [0, 1], ids=["new", "kept"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_it_is_not_sent_again_when_its_connection_breaks(method: str, answers: int) -> None:
    """Nobody could tell whether it was heard, and a code or refresh token is spent once."""
    with Keeping(answers=answers) as server, HttpTransport(server.url).flow() as flow:
        for _ in range(answers):
            flow(get(server.url))
        with pytest.raises(Unavailable):
            flow(HttpRequest(method, server.url))
        assert server.counts == [1 + answers]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_kept_connection_that_the_server_has_ended_is_not_used(method: str) -> None:
    with Keeping(answers=1) as server, HttpTransport(server.url).flow() as flow:
        server.hangs_up = True
        for times in (1, 2):
            assert flow(HttpRequest(method, server.url)).status == 200
            assert server.ended.acquire(timeout=60)
            assert server.counts == [1] * times


def test_an_answer_that_drips_over_a_kept_connection_ends_at_the_deadline() -> None:
    class Dripping(Keeping):
        def _serve(self, connection: socket.socket) -> None:
            received(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            received(connection)
            with suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
                while True:
                    connection.sendall(b" ")
                    time.sleep(0.02)

    with Dripping() as server:
        transport = HttpTransport(server.url, Options(http_timeout=1.0))
        with transport.flow() as flow:
            flow(get(server.url))
            with pytest.raises(Unavailable, match="within 1 s"):
                flow(post(server.url))
        assert server.connections == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_may_be_sent_twice_is_when_a_kept_connection_breaks(method: str) -> None:
    request = HttpRequest(method, "", body=b"{}" * (method == "POST"), repeatable=True)
    with Keeping(answers=1) as server, HttpTransport(server.url).flow() as flow:
        for _ in range(2):
            assert flow(replace(request, url=server.url)).status == 200
        assert server.counts == [2, 1]


def test_the_mcp_request_and_a_registration_may_be_sent_twice_and_a_code_may_not() -> None:
    server = default_server_metadata(Issuer("https://auth.example.com"))
    client = Client("c", server.issuer, "dynamic", "none")
    assert probe_request(server.issuer).repeatable
    assert registration_request(server, {}, Options()).repeatable
    sent: list[HttpRequest] = []

    def note(request: HttpRequest) -> HttpResponse:
        sent.append(request)
        return HttpResponse(400, request.url)

    run(FormPost(server.token_endpoint, client, "code=c").send(UNSIGNED), note)
    assert [request.repeatable for request in sent] == [False]


def test_a_get_that_breaks_on_a_connection_of_its_own_is_not_sent_again() -> None:
    with Keeping(answers=0) as server, HttpTransport(server.url).flow() as flow:
        with pytest.raises(Unavailable):
            flow(get(server.url))
        assert server.counts == [1]


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_a_get_that_finds_nobody_fails_at_once(host: str) -> None:
    """What ends it is that, and not the clock after as many tries as fit in."""
    url = f"http://{host}:{free_port()}"
    transport = HttpTransport(url, Options(http_timeout=30.0, allow_insecure_http=True))
    with transport.flow() as flow, pytest.raises(Unavailable) as raised:
        flow(get(url))
    assert "within 30 s" not in str(raised.value)


def test_a_connection_on_which_more_came_than_the_answer_is_not_used_again() -> None:
    planted = b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"planted"'
    with Keeping(answers=1, last=planted) as server, HttpTransport(server.url).flow() as flow:
        flow(get(server.url))
        assert server.said_more.wait(60)
        assert flow(get(server.url)).body == b"{}"
        assert server.counts == [1, 1]


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "_IDLE", 0.05)
    with HttpTransport(keeping.url).flow() as flow:
        flow(get(keeping.url))
        time.sleep(0.2)
        flow(post(keeping.url))
    assert keeping.counts == [1, 1]


def test_a_request_under_way_survives_the_end_of_its_flow() -> None:
    """A device code beside the browser: its late tokens are read, and revoked by one more."""
    arrived, go = threading.Event(), threading.Event()

    def slow(server: LoopbackServer, connection: socket.socket) -> None:
        arrived.set()
        go.wait(10)
        says(b'{"late": 1}')(server, connection)

    with LoopbackServer(slow) as server, ThreadPoolExecutor(1) as pool:
        with HttpTransport(server.url).flow() as flow:
            late = pool.submit(flow, post(server.url))
            assert arrived.wait(60)
        go.set()
        assert late.result(60).body == b'{"late": 1}'
        assert flow(post(server.url)).status == 200
        assert flow._pools == {}


@pytest.mark.parametrize("request_to", [get, post])
def test_many_threads_may_ask_in_one_flow(
    keeping: Keeping, request_to: Callable[[str], HttpRequest]
) -> None:
    """No connection is ended under one of them, which a POST would not survive."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with HttpTransport(keeping.url).flow() as flow, ThreadPoolExecutor(20) as pool:
            answers = [pool.submit(flow, request_to(keeping.url)) for _ in range(400)]
            assert {answer.result(60).status for answer in answers} == {200}
    finally:
        sys.setswitchinterval(before)
    assert sum(keeping.counts) == 400


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_QUICKACK is Linux's")
def test_an_answer_in_two_pieces_is_not_late_on_a_kept_connection(keeping: Keeping) -> None:
    """Nagle's algorithm at the server waits for our acknowledgement, and that for 40 ms."""
    keeping.pieces = True
    spans = []
    with HttpTransport(keeping.url).flow() as flow:
        for _ in range(40):
            began = time.monotonic()
            flow(get(keeping.url))
            spans.append(time.monotonic() - began)
    assert keeping.counts == [40]
    assert min(spans[2:]) < 0.03


@pytest.mark.parametrize(
    "header",
    [
        "Content-Length: " + "9" * 30,
        "Content-Length: " + "9" * 5_000,
        "Content-Length: -1",
        "Content-Length: 1e1",
        "Content-Length: 2, 3",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length:",
        "Transfer-Encoding: chunked\r\n\r\n" + "F" * 40,
        "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        "Date: " + "9" * 50_000,
        "Content-Encoding: gzip\r\nContent-Length: 2",
    ],
    ids=lambda header: f"{len(header)} {header[:30]!r}",
)
@pytest.mark.parametrize("head", ["HTTP/1.1 200 OK", "HTTP/1.1 99999999999 OK", "HTTP/1.1 -1 OK"])
def test_a_size_that_is_none_ends_in_an_error_of_ours(head: str, header: str) -> None:
    answer = f"{head}\r\n{header}\r\n\r\n{{}}".encode()
    with LoopbackServer(raw(answer)) as server:
        transport = HttpTransport(server.url, Options(http_timeout=2))
        try:
            assert transport(get(server.url)).body == b"{}"
        except (Unavailable, BadResponse) as error:
            assert str(error).isprintable()  # noqa: PT017


def test_nothing_is_asked_for_as_deflate_of_which_there_are_two_kinds(keeping: Keeping) -> None:
    HttpTransport(keeping.url)(get(keeping.url))
    ((request,),) = keeping.seen
    assert "accept-encoding: gzip\r\n" in request.lower()


def test_a_flow_leaves_no_socket_behind_when_it_fails() -> None:
    """A socket that was left open would be told of as a ResourceWarning."""
    import gc

    with LoopbackServer(hangs) as server:
        options = Options(http_timeout=0.1)
        with HttpTransport(server.url, options).flow() as flow, pytest.raises(Unavailable):
            flow(get(server.url))
    del flow
    gc.collect()
