"""Many logins in one process whose tokens end at once: few threads, and no one fails."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from urllib.parse import parse_qs

from mcp_client_auth import Credential, MemoryStorage, Options, Secret, Unavailable
from mcp_client_auth.credential import key_for
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.session.open import open_session
from mcp_client_auth.session.session import Session
from mcp_client_auth.session.single_flight import wait
from mcp_client_auth.session.turns import MOST, MOST_AT_ONE, TURNS

LONG = 60.0
HERE = "https://auth.example.com/token"
THERE = "https://auth.example.org/token"


class Endpoints:
    """Token endpoints that answer everyone, as far as they are let go."""

    def __init__(self) -> None:
        self.flying: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.threads = 0
        self.faulty: set[str] = set()
        self._change = threading.Condition()
        self._shut: set[str] = set()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        url = str(request.url)
        with self._change:
            self.flying[url] += 1
            self.requests[url] += 1
            self.most[url] = max(self.most[url], self.flying[url])
            self.threads = max(self.threads, threading.active_count())
            self._change.notify_all()
            assert self._change.wait_for(lambda: url not in self._shut, LONG)
            self.flying[url] -= 1
        if url in self.faulty:
            raise Unavailable("the server does not answer", url=url)
        form = parse_qs((request.body or b"").decode())
        token = form["refresh_token"][0]
        body = b'{"access_token": "new-%s", "expires_in": 3600, "token_type": "Bearer"}'
        return HttpResponse(200, url, (), body % token.encode())

    def shut(self, *urls: str) -> None:
        with self._change:
            self._shut.update(urls)

    def let_go(self, *urls: str) -> None:
        with self._change:
            self._shut.difference_update(urls)
            self._change.notify_all()

    def until(self, holds: Callable[[], bool]) -> None:
        with self._change:
            assert self._change.wait_for(holds, LONG), (self.flying, self.requests)


def sessions(number: int, endpoint: str, endpoints: Endpoints) -> list[Session]:
    """Each of another account, with a token that ended a minute ago."""
    storage, url, now = MemoryStorage(), "https://mcp.example.com/mcp", time.time()
    made = []
    for n in range(number):
        account = f"user-{n}"
        tokens = TokenSet(Secret(f"old-{account}"), now - 3660, now - 60, Secret(f"refresh-{n}"))
        client = Client("client", endpoint[:-6], "dynamic", "none")
        storage.save(
            Credential(key_for(url, account), endpoint[:-6], endpoint, client, tokens, url)
        )
        options = Options(patience=0)
        made.append(
            open_session(
                url,
                account=account,
                storage=storage,
                prompt=None,
                options=options,
                transport=endpoints,
            )
        )
    return made


def in_line(place: str, number: int) -> None:
    """Wait until so many wait for their turn there."""
    end = time.monotonic() + LONG
    while len(getattr(TURNS._places.get(place), "waiting", ())) != number:
        assert time.monotonic() < end
        time.sleep(0.001)


def renewed(futures: list[Future[Any]]) -> set[str]:
    return {token.tokens.access_token.reveal()[:4] for token in map(wait, futures)}


def test_hundreds_of_logins_are_renewed_by_few_threads() -> None:
    endpoints, before = Endpoints(), threading.active_count()
    futures = [each.ready() for each in sessions(300, HERE, endpoints)]
    assert renewed(futures) == {"new-"}
    assert endpoints.requests == {HERE: 300}
    assert endpoints.most[HERE] <= MOST_AT_ONE
    assert endpoints.threads <= before + MOST


def test_an_endpoint_that_hangs_stalls_no_other() -> None:
    endpoints = Endpoints()
    endpoints.shut(HERE)
    stalled = [each.ready() for each in sessions(100, HERE, endpoints)]
    endpoints.until(lambda: endpoints.flying[HERE] == MOST_AT_ONE)
    assert renewed([each.ready() for each in sessions(100, THERE, endpoints)]) == {"new-"}
    assert not any(future.done() for future in stalled)
    assert endpoints.flying[HERE] == MOST_AT_ONE
    endpoints.let_go(HERE)
    assert renewed(stalled) == {"new-"}


def test_where_an_endpoint_is_down_a_crowd_is_told_without_asking_it_one_by_one() -> None:
    endpoints = Endpoints()
    endpoints.faulty.add(HERE)
    endpoints.shut(HERE)
    futures = [each.ready() for each in sessions(500, HERE, endpoints)]
    in_line(HERE, 500 - MOST_AT_ONE)
    endpoints.let_go(HERE)
    errors = [future.exception(LONG) for future in futures]
    assert {type(error) for error in errors} == {Unavailable}
    assert {getattr(error, "url", "") for error in errors} == {HERE}
    assert endpoints.requests[HERE] <= 2 * MOST_AT_ONE


def test_a_token_that_another_one_renewed_meanwhile_needs_no_turn_at_the_endpoint() -> None:
    """Who waits in line for it looks at the store once more when it is their turn."""
    endpoints = Endpoints()
    endpoints.shut(HERE)
    crowd = sessions(MOST_AT_ONE + 1, HERE, endpoints)
    futures = [each.ready() for each in crowd[:-1]]
    endpoints.until(lambda: endpoints.flying[HERE] == MOST_AT_ONE)
    late, storage = crowd[-1], crowd[-1].ports.storage
    future = late.ready()
    in_line(HERE, 1)
    stored = storage.load(late.key)
    assert stored
    now = time.time()
    storage.save(stored.renewed(TokenSet(Secret("new-elsewhere"), now, now + 3600)))
    endpoints.let_go(HERE)
    assert renewed([*futures, future]) == {"new-"}
    assert endpoints.requests[HERE] == MOST_AT_ONE
