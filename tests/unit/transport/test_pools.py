"""A connection of a pool that several threads use: which of them may find it expired, or one too
many."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpcore
import pytest

from mcp_client_auth.transport.pools import for_threads

PATIENCE = 60.0
REQUEST = httpcore.Request("POST", "http://mcp.example/")


class Expiring(httpcore.ConnectionInterface):
    """One that has expired by its own account. What it is asked waits until `go` is set."""

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()
        self.requests = 0

    def handle_request(self, request: httpcore.Request) -> Any:
        self.requests += 1
        return self._answer("sent")

    def has_expired(self) -> bool:
        return bool(self._answer(True))

    def _answer(self, answer: Any) -> Any:
        self.asked.set()
        assert self.go.wait(PATIENCE)
        return answer

    can_handle_request = is_available = is_idle = is_closed = info = close = lambda *_: None  # type: ignore[assignment]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> tuple[Expiring, httpcore.ConnectionInterface]:
    inner = Expiring()
    monkeypatch.setattr(httpcore.ConnectionPool, "create_connection", lambda *_: inner)
    return inner, for_threads(httpcore.ConnectionPool(), 1).create_connection(REQUEST.url.origin)


def test_one_in_which_a_request_begins_has_not_expired(
    made: tuple[Expiring, httpcore.ConnectionInterface],
) -> None:
    inner, connection = made
    with ThreadPoolExecutor() as pool:
        sending = pool.submit(connection.handle_request, REQUEST)
        assert inner.asked.wait(PATIENCE)
        assert not connection.has_expired()
        inner.go.set()
        answer: Any = sending.result(PATIENCE)
    assert answer == "sent"
    assert connection.has_expired()  # as soon as it is the other's to say


def test_in_one_that_is_found_expired_no_request_begins(
    made: tuple[Expiring, httpcore.ConnectionInterface],
) -> None:
    inner, connection = made
    with ThreadPoolExecutor() as pool:
        looking = pool.submit(connection.has_expired)
        assert inner.asked.wait(PATIENCE)
        sending = pool.submit(connection.handle_request, REQUEST)  # while that is looked at
        inner.go.set()
        assert looking.result(PATIENCE)
        with pytest.raises(httpcore.ConnectionNotAvailable):
            sending.result(PATIENCE)
    assert inner.requests == 0


def test_after_many_requests_at_once_few_connections_are_kept() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    backend = httpcore.MockBackend([answer] * 2)
    with for_threads(httpcore.ConnectionPool(network_backend=backend), 3) as pool:
        with ExitStack() as stack:
            for _ in range(8):
                response = stack.enter_context(pool.stream("GET", "http://mcp.example/"))
                assert response.read() == b"ok"
            assert len(pool.connections) == 8
        assert len(pool.connections) == 3
        assert pool.request("GET", "http://mcp.example/").content == b"ok"
        assert len(pool.connections) == 3


def test_one_that_is_not_closed_ends_with_its_last_user() -> None:
    pool = for_threads(httpcore.ConnectionPool(), 3)
    pool.create_connection(REQUEST.url.origin)
    gone = weakref.ref(pool)
    gc.disable()
    try:
        del pool
        assert gone() is None
    finally:
        gc.enable()


def test_no_request_begins_in_one_that_is_ended_as_one_too_many(
    made: tuple[Expiring, httpcore.ConnectionInterface], monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, _ = made
    monkeypatch.setattr(inner, "has_expired", lambda: False)
    monkeypatch.setattr(inner, "is_idle", lambda: True)
    pool = for_threads(httpcore.ConnectionPool(), 1)
    monkeypatch.setattr(type(pool), "connections", [inner, inner])
    connection = pool.create_connection(REQUEST.url.origin)
    assert connection.has_expired()
    with pytest.raises(httpcore.ConnectionNotAvailable):
        connection.handle_request(REQUEST)
