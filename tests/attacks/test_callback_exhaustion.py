"""Connections that are slow, idle, endless or many do not keep the answer out."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from mcp_client_auth.prompt.loopback import Listener
from mcp_client_auth.prompt.page import Page


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as listener:
        listener.start(lambda _: False)
        yield listener


def connect(listener: Listener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port), 60)


def is_served(listener: Listener) -> bool:
    answer = httpx.get(listener.redirect_uri + "?state=x", trust_env=False, timeout=30)
    return answer.status_code == 400


def test_a_sender_of_single_bytes_is_cut_at_the_deadline(listener: Listener) -> None:
    listener.patience = 0.3
    started = time.monotonic()
    with connect(listener) as drip, contextlib.suppress(ConnectionError):
        drip.settimeout(0.02)
        while time.monotonic() < started + 60:
            drip.sendall(b"G")
            with contextlib.suppress(TimeoutError):
                if drip.recv(1) == b"":
                    break
    assert 0.25 < time.monotonic() - started < 30
    assert is_served(listener)


def test_headers_that_drip_are_cut_at_the_same_deadline(listener: Listener) -> None:
    listener.patience = 0.3
    started = time.monotonic()
    with connect(listener) as drip, contextlib.suppress(ConnectionError):
        drip.sendall(b"GET /callback?code=c HTTP/1.1\r\n")
        drip.settimeout(0.05)
        while time.monotonic() < started + 60:
            drip.sendall(b"A: b\r\n")
            with contextlib.suppress(TimeoutError):
                if drip.recv(1) == b"":
                    break
    assert 0.25 < time.monotonic() - started < 30


def test_idle_connections_do_not_block_the_callback(listener: Listener) -> None:
    listener.patience = 120
    with contextlib.ExitStack() as idle:
        for _ in range(6):  # what a browser opens ahead
            idle.enter_context(connect(listener))
        assert is_served(listener)
        started = time.monotonic()
        listener.close()
        assert time.monotonic() - started < 60


def test_an_idle_connection_is_let_go_after_a_while(listener: Listener) -> None:
    listener.patience = 0.1
    with connect(listener) as idle:
        assert idle.recv(1) == b""


@pytest.mark.parametrize(("length", "refused"), [(16_384, False), (16_385, True)])
def test_a_request_line_has_an_end(listener: Listener, length: int, *, refused: bool) -> None:
    before, after = b"GET /callback?code=", b" HTTP/1.1\r\n"
    line = before + b"x" * (length - len(before + after)) + after
    with connect(listener) as connection:
        connection.sendall(line + b"\r\n")
        assert (connection.recv(100).split()[1] == b"414") == refused


@pytest.mark.parametrize("length", [17_000, 100_000])
def test_a_long_request_line_is_refused_and_nothing_of_it_kept(
    listener: Listener, length: int
) -> None:
    with connect(listener) as connection:
        connection.sendall(b"GET /callback?code=" + b"x" * length + b" HTTP/1.1\r\n\r\n")
        assert connection.recv(100).split()[1] == b"414"
    assert is_served(listener)


def test_a_request_line_of_sixteen_thousand_is_still_read(listener: Listener) -> None:
    answer = httpx.get(listener.redirect_uri + "?code=" + "x" * 16_000, trust_env=False)
    assert answer.status_code == 400


def test_headers_without_end_are_cut(listener: Listener) -> None:
    with connect(listener) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /callback HTTP/1.1\r\n")
        for _ in range(99):
            connection.sendall(b"A: " + b"x" * 60_000 + b"\r\n")
        connection.recv(65536)
    assert is_served(listener)


def test_who_says_nothing_makes_room_for_who_comes_last(listener: Listener) -> None:
    """Any page or program can open as many, repeatedly; a browser sends its request at once."""
    listener.patience = 120
    with contextlib.ExitStack() as many:
        held = [many.enter_context(connect(listener)) for _ in range(32)]
        assert is_served(listener)
        assert held[0].recv(1) == b""
        held[1].sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{listener.port}\r\n\r\n".encode())
        assert b"404" in held[1].recv(100)


def test_a_crowd_at_the_door_does_not_cost_the_callback_seconds() -> None:
    """A full queue drops the next connection; a system retries it after a second, or three."""
    with Listener() as listener, contextlib.ExitStack() as many:  # no connection is accepted yet
        for _ in range(60):
            many.enter_context(connect(listener))
        listener.start(lambda _: False)
        assert is_served(listener)


def test_a_request_without_end_makes_room_too(listener: Listener) -> None:
    listener.patience = 120
    with contextlib.ExitStack() as many:
        for _ in range(32):
            many.enter_context(connect(listener)).sendall(b"GET /callback HTTP/1.1\r\nA: ")
        assert is_served(listener)


def test_a_crowd_without_end_never_has_more_than_its_places(listener: Listener) -> None:
    listener.patience = 120
    with contextlib.ExitStack() as many:
        held = [many.enter_context(connect(listener)) for _ in range(200)]
        assert is_served(listener)
        for gone in held[: 200 - 32]:
            assert gone.recv(1) == b""
        assert len(listener._open) <= 32


def test_a_page_that_waits_for_the_end_of_the_login_keeps_its_place() -> None:
    with Listener() as listener, contextlib.ExitStack() as many:
        listener.patience, listener.hold = 120, 120
        listener.start(lambda _: True)
        page = many.enter_context(connect(listener))
        head = f"GET /callback?code=c HTTP/1.1\r\nHost: 127.0.0.1:{listener.port}\r\n\r\n"
        page.sendall(head.encode())
        while not listener.answered:
            time.sleep(0.01)
        for _ in range(100):
            many.enter_context(connect(listener))
        late = httpx.get(listener.redirect_uri + "?code=other", trust_env=False, timeout=30)
        assert late.status_code == 410
        listener.finish(Page("signed-in", "", ""))
        assert b"200" in page.recv(100)


def test_where_only_such_pages_wait_the_next_connection_is_closed() -> None:
    with Listener() as listener, contextlib.ExitStack() as many:
        listener.most, listener.hold = 1, 120
        listener.start(lambda _: True)
        page = many.enter_context(connect(listener))
        head = f"GET /callback?code=c HTTP/1.1\r\nHost: 127.0.0.1:{listener.port}\r\n\r\n"
        page.sendall(head.encode())
        while not listener.answered:
            time.sleep(0.01)
        assert many.enter_context(connect(listener)).recv(1) == b""


def test_room_is_made_when_connections_end(listener: Listener) -> None:
    listener.most = 1
    before = set(threading.enumerate())  # among them servers of other tests, which never end
    for _ in range(5):
        with connect(listener) as connection:
            connection.sendall(b"\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
        for thread in set(threading.enumerate()) - before:
            if "process_request" in thread.name:
                thread.join(60)
    assert is_served(listener)


def test_a_reader_that_never_reads_does_not_stop_the_close(listener: Listener) -> None:
    listener.patience = 120
    with connect(listener) as mute:
        mute.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{listener.port}\r\n\r\n".encode())
        started = time.monotonic()
        listener.close()
        assert time.monotonic() - started < 60


def test_a_request_that_goes_on_and_on_is_cut(listener: Listener) -> None:
    with connect(listener) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /callback?code=c HTTP/1.1\r\n")
        for _ in range(10):
            connection.sendall(b"A: " + b"x" * 50_000 + b"\r\n")
        connection.sendall(b"\r\n")
        assert connection.recv(100) == b""
    assert is_served(listener)
