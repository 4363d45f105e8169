"""A connection carries out plans over httpx and httpx2, against servers with and without sessions
and with every fault of a stream."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import httpx2
import pytest

from mcp_client_auth.errors import AuthError, BadResponse, InsecureUrl, Unavailable
from mcp_client_auth.mcp import Connection, ServerError, older, open_exchange
from mcp_client_auth.mcp import connection as connection_module
from mcp_client_auth.mcp.exchange import call
from tests.support.loopback_server import LoopbackServer, drips, endless, hangs, raw, resets
from tests.support.mcp_stage import Behaviour, Message, Request, Stage, event, introduced, sessions

Library = Any
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
NOTE = {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Library:
    return request.param


@contextmanager
def connected(url: str, library: Library = httpx, **more: Any) -> Iterator[Connection]:
    with library.Client(trust_env=False) as client, Connection(client, url, **more) as connection:
        yield connection


@contextmanager
def on_stage(behaviour: Behaviour, library: Library = httpx, **more: Any) -> Iterator[Any]:
    with Stage(behaviour) as stage, connected(stage.url, library, **more) as connection:
        yield stage, connection


def test_a_stateless_server_is_asked_at_once(library: Library) -> None:
    with on_stage(lambda request: request.result(ok=1), library) as (stage, connection):
        assert connection.request("tools/list") == {"ok": 1}
        assert connection.request("tools/list") == {"ok": 1}
    assert stage.methods == ["tools/list"] * 2
    assert stage.requests[0].headers["Mcp-Protocol-Version"] == "2026-07-28"


@pytest.mark.parametrize("version", ["2025-11-25", "2025-06-18", "2025-03-26"])
def test_a_session_is_begun_kept_and_ended(library: Library, version: str) -> None:
    behaviour = sessions(lambda request: request.result(ok=1), version)
    with on_stage(behaviour, library) as (stage, connection):
        assert connection.request("x") == connection.request("x") == {"ok": 1}
    begun = ["x", "initialize", "notifications/initialized"]
    assert stage.methods == [*begun, "x", "x", "DELETE"]
    after = [
        (r.headers["Mcp-Session-Id"], r.headers["Mcp-Protocol-Version"]) for r in stage.requests
    ]
    assert after[2:] == [("session-1", version)] * 4


def test_a_forgotten_session_is_begun_again_unseen(library: Library) -> None:
    behaviour = sessions(lambda request: request.result(ok=1))
    with on_stage(behaviour, library) as (stage, connection):
        connection.request("x")
        stage.behaviour = sessions(lambda request: request.result(ok=2))  # it has restarted
        connection.server.session = "session-9"
        assert connection.request("x") == {"ok": 2}


def test_what_comes_beside_the_answer_is_told_and_a_request_is_answered() -> None:
    told: list[Message] = []
    ping = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
    sampling = {"jsonrpc": "2.0", "id": 7, "method": "sampling/createMessage", "params": {}}

    def behaviour(request: Request) -> None:
        if "method" in request.message:
            request.stream(*[event(each) for each in (NOTE, ping, sampling, request.answer(ok=1))])
        else:
            request.reply(202)

    with on_stage(sessions(behaviour), on_message=told.append) as (stage, connection):
        assert connection.request("x") == {"ok": 1}
    assert told == [NOTE, ping, sampling]
    replies = [r.message for r in stage.requests if r.message and "method" not in r.message]
    assert [(reply["id"], sorted(reply)[0]) for reply in replies] == [("p", "id"), (7, "error")]


def test_of_a_stateless_server_no_request_is_answered() -> None:
    """It must not send one, and a client must not answer (2026-07-28)."""

    def behaviour(request: Request) -> None:
        ping = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
        request.stream(event(ping), event(request.answer(ok=1)))

    with on_stage(behaviour) as (stage, connection):
        assert connection.request("x") == {"ok": 1}
    assert stage.methods == ["x"]


def test_a_stream_that_is_cut_is_resumed(library: Library) -> None:
    def behaviour(request: Request) -> None:
        if request.command == "GET":
            request.stream(event(answer, "3"))
        else:
            answer.update(request.answer(ok=1))
            request.stream(b"retry: 1\n", event(NOTE, "2"), b"id: 3\ndata: {")

    answer: Message = {}
    with on_stage(sessions(behaviour), library) as (stage, connection):
        assert connection.request("x") == {"ok": 1}
    [resumed] = [r for r in stage.requests if r.command == "GET"]
    assert resumed.headers["Last-Event-ID"] == "2"


def test_calls_at_once_do_not_hinder_each_other() -> None:
    barrier = threading.Barrier(8, timeout=60)

    def behaviour(request: Request) -> None:
        barrier.wait()
        request.result(number=request.message["params"]["n"])

    results: list[Any] = []
    with on_stage(behaviour) as (_, connection):
        work = [
            threading.Thread(
                target=lambda n=n: results.append((n, connection.request("x", {"n": n})["number"]))
            )
            for n in range(8)
        ]
        for each in work:
            each.start()
        for each in work:
            each.join(60)
    assert sorted(results) == [(n, n) for n in range(8)]


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (hangs, Unavailable),
        (drips(SSE, b":\n"), Unavailable),
        (drips(JSON, b" "), Unavailable),
        (endless(SSE, event(NOTE) * 100), Unavailable),
        (endless(SSE, b": ping\n" * 1000), Unavailable),
    ],
    ids=["silent", "dripping comments", "a dripping body", "notifications", "comments"],
)
def test_a_server_without_an_end_is_left_in_time(behaviour: Any, expected: type[AuthError]) -> None:
    with LoopbackServer(behaviour) as server, connected(server.url, timeout=0.5) as connection:
        with pytest.raises(expected) as caught:
            connection.request("x")
        assert caught.value.code == "timeout"
        assert "look before you try again" in caught.value.hint


class Clock:
    """Time that passes where a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        for module in (connection_module, open_exchange, older):
            monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        return self.now


class Person(httpx.Auth):
    """A login that takes its time, before a request or after a refusal of it; or fails then."""

    def __init__(self, clock: Clock, login: str) -> None:
        self._clock, self._login = clock, login

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        if self._login == "after":
            yield request
        self._clock.now += 1000
        if self._login == "fails":
            raise Unavailable("the authorization server is gone")
        yield request


@contextmanager
def with_a_person(clock: Clock, login: str, behaviour: Behaviour) -> Iterator[Connection]:
    with (
        Stage(behaviour) as stage,
        httpx.Client(trust_env=False, auth=Person(clock, login)) as client,
        Connection(client, stage.url, timeout=60.0) as connection,
    ):
        yield connection


@pytest.mark.parametrize(
    ("login", "older_server"), [("before", False), ("after", False), ("before", True)]
)
def test_the_time_of_a_login_is_not_the_servers(
    monkeypatch: pytest.MonkeyPatch, login: str, older_server: bool
) -> None:
    clock, before = Clock(monkeypatch), 0.0
    fine = introduced(lambda message: [{"jsonrpc": "2.0", "id": message["id"], "result": {}}])
    with with_a_person(
        clock, login, fine if older_server else lambda request: request.result()
    ) as connection:
        assert connection.request("x") == {}
        before = clock.now
        assert connection.request("x") == {}
        assert clock.now > before


def test_a_login_that_fails_late_is_told_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with (
        with_a_person(clock, "fails", lambda request: request.result()) as connection,
        pytest.raises(Unavailable, match="the authorization server is gone"),
    ):
        connection.request("x")


def test_the_time_of_the_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(request: Request) -> None:
        clock.now += 61
        request.result()

    clock = Clock(monkeypatch)
    with with_a_person(clock, "before", late) as connection:
        connection.server.settled = True
        with pytest.raises(Unavailable, match="no answer within 60 s"):
            connection.request("x")


def test_the_time_of_an_earlier_login_is_not_added_to_the_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where a session is begun again, which sends the same message a second time."""

    def late(request: Request) -> None:
        clock.now += 61 if len(stage.requests) > 1 else 0
        request.result()

    clock = Clock(monkeypatch)
    with (
        Stage(late) as stage,
        httpx.Client(trust_env=False, auth=Person(clock, "before")) as client,
        Connection(client, stage.url, timeout=60.0) as connection,
    ):
        connection.server.settled = True
        via = open_exchange.OpenExchange(client, stage.url)
        connection.run(call(connection.server, "x", {}), via=via)
        with pytest.raises(Unavailable, match="no answer within 60 s"):
            connection.run(call(connection.server, "x", {}), via=via)


@pytest.mark.parametrize(
    "behaviour",
    [
        endless(SSE, b"data: " + b"x" * 1_000_000 + b"\n"),
        endless(SSE, b"x" * 1_000_000),
        endless(JSON, b" " * 1_000_000),
    ],
    ids=["an event", "a line", "a body"],
)
def test_what_is_too_large_is_not_kept(behaviour: Any) -> None:
    with LoopbackServer(behaviour) as server, connected(server.url) as connection:
        connection.server.settled = True
        with pytest.raises(BadResponse, match="larger than 32 MiB"):
            connection.request("x")


@pytest.mark.parametrize(
    "behaviour",
    [resets, raw(b""), raw(b"HTTP/1.1 200 OK\r\n"), raw(SSE), raw(b"garbage\r\n\r\n")],
    ids=["reset", "closed", "half a head", "an empty stream", "no HTTP"],
)
def test_a_connection_that_breaks_is_unavailable(behaviour: Any, library: Library) -> None:
    with (
        LoopbackServer(behaviour) as server,
        connected(server.url, library) as connection,
        pytest.raises(Unavailable) as caught,
    ):
        connection.request("x")
    assert "look before you try again" in caught.value.hint


def test_of_a_server_that_is_gone_nothing_can_have_been_done(library: Library) -> None:
    with LoopbackServer(resets) as server:
        url = server.url
    with connected(url, library) as connection, pytest.raises(Unavailable) as caught:
        connection.request("x")
    assert "Nothing was changed" in caught.value.hint


def test_a_host_that_is_none_is_an_error_of_ours(library: Library) -> None:
    """httpx says that it is no name, httpx2 looks it up."""
    place = "http://xn--0.invalid/mcp"
    with (
        connected(place, library) as connection,
        pytest.raises((InsecureUrl, Unavailable)) as caught,
    ):
        connection.request("x")
    assert caught.value.url == place


def test_a_redirect_is_not_followed_whatever_the_client_says(library: Library) -> None:
    with (
        Stage(lambda request: request.reply(307, b"", ("Location", "/other"))) as stage,
        library.Client(trust_env=False, follow_redirects=True) as client,
        Connection(client, stage.url) as connection,
        pytest.raises(BadResponse, match="redirect"),
    ):
        connection.request("x")
    assert {request.path for request in stage.requests} == {"/mcp"}


def test_an_error_of_the_server_is_one_of_the_server() -> None:
    def behaviour(request: Request) -> None:
        request.reply(404, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}')

    with on_stage(behaviour) as (stage, connection), pytest.raises(ServerError) as caught:
        connection.request("x")
    assert (caught.value.rpc_code, caught.value.status) == (-32601, 404)
    assert stage.methods == ["x"]


def test_it_shows_no_secret_of_its_url() -> None:
    with httpx.Client() as client:
        shown = repr(Connection(client, "https://user:secret@mcp.example/mcp?key=secret"))
    assert "secret" not in shown
