"""HTTP on loopback: whole requests, answers as they come, and a limit for everything."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TypeAlias

import pytest

from mcp_client_auth import UsageError
from mcp_client_auth.mcp import serving as module
from mcp_client_auth.mcp.gate import Headers, Refusal
from mcp_client_auth.mcp.serving import Reply, Request, Serving
from mcp_client_auth.mcp.upstream import Budget

PATIENCE = 60.0
LARGEST = 1000
Answer: TypeAlias = Callable[[Request, Reply], None]


def fine(method: str, target: str, headers: Headers) -> Refusal | None:
    return None


def echo(request: Request, reply: Reply) -> None:
    reply.taken()
    reply.whole(200, "text/plain", request.body)


@contextmanager
def served(answer: Answer = echo, judge: Callable[..., Refusal | None] = fine) -> Iterator[Serving]:
    serving = Serving("127.0.0.1", 0, largest=LARGEST, budget=Budget(2 * LARGEST))
    serving.start(judge, answer)
    with serving:
        yield serving


@contextmanager
def client(serving: Serving) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection("127.0.0.1", serving.port, timeout=PATIENCE)) as made:
        yield made


@contextmanager
def wire(serving: Serving) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE) as raw:
        yield raw


def all_of(raw: socket.socket) -> bytes:
    got = b""
    while piece := raw.recv(1 << 16):
        got += piece
    return got


def test_requests_follow_each_other_on_one_connection() -> None:
    with served() as serving, client(serving) as http_:
        for number in range(3):
            http_.request("POST", "/x", body=f"{number}")
            answer = http_.getresponse()
            assert (answer.status, answer.read()) == (200, f"{number}".encode())
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_requests_that_were_sent_ahead_are_answered_in_order() -> None:
    one = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
    with served() as serving, wire(serving) as raw:
        raw.sendall(one + b"a" + one + b"b")
        raw.shutdown(socket.SHUT_WR)
        got = all_of(raw)
    assert got.count(b"HTTP/1.1 200") == 2
    assert got.index(b"\r\na") < got.index(b"\r\nb")


def test_an_answer_comes_piece_by_piece() -> None:
    go = threading.Event()

    def answer(request: Request, reply: Reply) -> None:
        reply.begin(200, [("Content-Type", "text/event-stream")])
        reply.write(b"one")
        go.wait(PATIENCE)
        reply.write(b"two")
        reply.end()

    with served(answer) as serving, client(serving) as http_:
        http_.request("GET", "/")
        answered = http_.getresponse()
        assert answered.read1(3) == b"one"
        go.set()
        assert answered.read() == b"two"


def test_many_connections_are_served_at_once() -> None:
    together = threading.Barrier(50)

    def answer(request: Request, reply: Reply) -> None:
        together.wait(PATIENCE)
        echo(request, reply)

    got: list[bytes] = []

    def ask(number: int) -> None:
        with client(serving) as http_:
            http_.request("POST", "/", body=str(number))
            got.append(http_.getresponse().read())

    with served(answer) as serving:
        askers = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
        for each in askers:
            each.start()
        for each in askers:
            each.join(PATIENCE)
    assert sorted(got) == sorted(str(number).encode() for number in range(50))


def test_a_body_of_unknown_length_counts_as_what_it_was() -> None:
    together = threading.Barrier(3)

    def answer(request: Request, reply: Reply) -> None:
        together.wait(PATIENCE)
        echo(request, reply)

    got: list[bytes] = []

    def ask(number: int) -> None:
        with client(serving) as http_:
            http_.request("POST", "/", body=iter([b"%d" % number]), encode_chunked=True)
            got.append(http_.getresponse().read())

    with served(answer) as serving:
        askers = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
        for each in askers:
            each.start()
        for each in askers:
            each.join(PATIENCE)
        assert sorted(got) == [b"0", b"1", b"2"]
        serving.budget.take(2 * LARGEST)  # all has been given back


def test_of_too_much_that_waits_for_an_answer_the_last_is_refused() -> None:
    begun, go = threading.Event(), threading.Event()

    def answer(request: Request, reply: Reply) -> None:
        reply.taken()
        begun.set()
        go.wait(PATIENCE)
        echo(request, reply)

    with served(answer) as serving, client(serving) as first, client(serving) as second:
        serving.held = Budget(LARGEST)
        first.request("POST", "/", body="x" * LARGEST)
        assert begun.wait(PATIENCE)
        second.request("POST", "/", body="y")
        refused = second.getresponse()
        assert (refused.status, b"at once" in refused.read()) == (503, True)
        go.set()
        assert first.getresponse().read() == b"x" * LARGEST
        first.request("POST", "/", body="y")  # which is read once the other is done with
        assert first.getresponse().read() == b"y"
        serving.budget.take(2 * LARGEST)  # all has been given back


def test_a_client_that_hangs_up_is_noticed_while_its_answer_is_awaited() -> None:
    begun, gone = threading.Event(), threading.Event()

    def answer(request: Request, reply: Reply) -> None:
        reply.gone.then(gone.set)
        begun.set()
        gone.wait(PATIENCE)

    with served(answer) as serving:
        with client(serving) as http_:
            http_.request("POST", "/", body="x")
            assert begun.wait(PATIENCE)
            assert not gone.is_set()
        assert gone.wait(PATIENCE)


def test_who_is_refused_is_so_before_a_body_is_read() -> None:
    def never(request: Request, reply: Reply) -> None:
        raise AssertionError

    def judge(method: str, target: str, headers: Headers) -> Refusal:
        return Refusal(403, "No", (("X-A", "b"),))

    with served(never, judge) as serving, wire(serving) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n")
        got = all_of(raw)
    assert got.startswith(b"HTTP/1.1 403 ")
    assert b"\r\nX-A: b\r\n" in got
    assert b"\r\nConnection: close\r\n" in got
    assert got.endswith(b"\r\n\r\nNo.\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", b"413"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"3e9\r\n"
            + b"x" * 1001
            + b"\r\n0\r\n\r\n",
            b"413",
        ),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", b"431"),
        (b"not http at all\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", b"501"),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\nA:\x00b\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
    ],
)
def test_what_is_too_large_or_no_request_is_refused_and_ends_the_connection(
    sent: bytes, status: bytes
) -> None:
    with served() as serving, wire(serving) as raw:
        raw.sendall(sent + b"POST /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        got = all_of(raw)
    assert got.startswith(b"HTTP/1.1 " + status)
    assert got.count(b"HTTP/1.1 ") == 1


def test_who_wants_to_be_told_to_go_on_is() -> None:
    with served() as serving, wire(serving) as raw:
        raw.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 100")
        raw.sendall(b"ok")
        assert all_of(raw).endswith(b"ok")


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b"", "_HEAD_SECONDS"),
        (b"POST / HT", "_HEAD_SECONDS"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx", "_BODY_SECONDS"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "_IDLE"),
    ],
    ids=["silent", "head", "body", "idle"],
)
def test_a_client_that_is_too_slow_is_let_go(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, name: str
) -> None:
    monkeypatch.setattr(module, name, 0.05)
    with served() as serving, wire(serving) as raw:
        raw.sendall(sent)
        all_of(raw)  # it ends


def test_a_head_that_drips_is_let_go_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HEAD_SECONDS", 0.3)
    ended = threading.Event()

    def drip(raw: socket.socket) -> None:
        while not ended.wait(0.02):
            try:
                raw.sendall(b"x")
            except OSError:
                return

    with served() as serving, wire(serving) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nX: ")
        dripping = threading.Thread(target=drip, args=(raw,))
        dripping.start()
        raw.recv(1)
        ended.set()
        dripping.join(PATIENCE)


def test_a_client_that_reads_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UNREAD", 0.05)
    ended = threading.Event()

    def answer(request: Request, reply: Reply) -> None:
        try:
            reply.begin(200, [])
            while True:
                reply.write(b"x" * 100_000)
        finally:
            ended.set()

    with served(answer) as serving, wire(serving) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert ended.wait(PATIENCE)


def test_nothing_follows_a_piece_that_a_client_did_not_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be read as the rest of that."""
    monkeypatch.setattr(module, "_UNREAD", 0.05)
    failed, read, gone = threading.Event(), threading.Event(), threading.Event()

    def answer(request: Request, reply: Reply) -> None:
        reply.gone.then(gone.set)
        reply.begin(200, [])
        with suppress(OSError):
            reply.write(b"x" * (32 << 20))
        failed.set()
        read.wait(PATIENCE)
        reply.write(b"THE END")

    with served(answer) as serving, wire(serving) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert failed.wait(PATIENCE)
        begun = raw.recv(1 << 20, socket.MSG_WAITALL)
        read.set()
        assert b"THE END" not in begun + all_of(raw)
        assert gone.is_set()


def test_of_too_many_connections_the_last_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 1)
    with served() as serving, client(serving) as http_:
        http_.request("GET", "/")
        assert http_.getresponse().read() == b""
        with wire(serving) as last:
            assert all_of(last).startswith(b"HTTP/1.1 503 ")
        http_.request("POST", "/", body="x")
        assert http_.getresponse().read() == b"x"


def test_who_has_not_passed_yet_makes_room_for_who_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    with served() as serving, client(serving) as known, ExitStack() as strangers:
        known.request("GET", "/")
        known.getresponse().read()
        for _ in range(20):
            strangers.enter_context(wire(serving)).sendall(b"GET / HTTP/1.1\r\n")
        with client(serving) as newcomer:
            newcomer.request("POST", "/", body="new")
            assert newcomer.getresponse().read() == b"new"
        known.request("POST", "/", body="old")
        assert known.getresponse().read() == b"old"


def test_a_fault_of_ours_ends_that_connection_alone(caplog: pytest.LogCaptureFixture) -> None:
    def answer(request: Request, reply: Reply) -> None:
        if request.target == "/broken":
            raise RuntimeError("a fault")
        echo(request, reply)

    with served(answer) as serving:
        with wire(serving) as raw:
            raw.sendall(b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n")
            assert all_of(raw) == b""
        with client(serving) as http_:
            http_.request("POST", "/", body="x")
            assert http_.getresponse().read() == b"x"
    assert "a fault" in caplog.text
    assert "/broken" not in caplog.messages[0]


def test_the_end_ends_everything_and_frees_the_port() -> None:
    begun, gone = threading.Event(), threading.Event()

    def answer(request: Request, reply: Reply) -> None:
        reply.gone.then(gone.set)
        reply.begin(200, [])
        begun.set()
        gone.wait(PATIENCE)

    with served(answer) as serving, wire(serving) as busy, wire(serving) as idle:
        busy.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert begun.wait(PATIENCE)
        while len(serving._open) < 2:
            gone.wait(0.001)
        serving.close()
        assert gone.is_set()
        assert all_of(idle) == b""
        all_of(busy)
        again = Serving("127.0.0.1", serving.port, largest=1, budget=Budget(1))
        again.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com", ""])
def test_it_is_on_loopback_or_not_at_all(host: str) -> None:
    with pytest.raises(UsageError, match="loopback"):
        Serving(host, 0, largest=1, budget=Budget(1))


def test_a_port_that_is_taken_is_said() -> None:
    with served() as serving, pytest.raises(UsageError, match=f"port {serving.port}"):
        Serving("127.0.0.1", serving.port, largest=1, budget=Budget(1))
