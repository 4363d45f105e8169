"""A connection of a pool that several threads use: which of them may find it expired."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
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
    return inner, for_threads(httpcore.ConnectionPool()).create_connection(REQUEST.url.origin)


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
