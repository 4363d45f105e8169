"""HTTP+SSE of MCP 2024-11-05, behind a connection and behind the bridge."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from mcp_client_auth.errors import BadResponse, Unavailable
from mcp_client_auth.mcp import Connection
from mcp_client_auth.mcp.exchange import Send
from mcp_client_auth.mcp.older import endpoint_of
from tests.support.mcp_stage import Message, Request, Stage, introduced
from tests.unit.mcp.test_bridge import (
    HELLO,
    INITIALIZE,
    INITIALIZED,
    PATIENCE,
    hosted,
    on_stage,
    wait_for,
)

URL = "https://mcp.example/api/sse"
SAMPLING = {"jsonrpc": "2.0", "id": "s", "method": "sampling/createMessage", "params": {}}


def answer(message: Message, **result: Any) -> Message:
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def fine(message: Message) -> Iterable[Message | None]:
    return [answer(message, ok=1)] if "method" in message else ()


@contextmanager
def connected(behaviour: Any, **more: Any) -> Iterator[tuple[Stage, Connection]]:
    with (
        Stage(behaviour) as stage,
        httpx.Client(trust_env=False) as client,
        Connection(client, stage.url, **more) as connection,
    ):
        yield stage, connection


@pytest.mark.parametrize(
    ("said", "target"),
    [
        ("/messages?id=1", "https://mcp.example/messages?id=1"),
        ("messages#x", "https://mcp.example/api/messages"),
        (" https://MCP.example:443/m \n", "https://MCP.example:443/m"),
        ("?id=1", "https://mcp.example/api/sse?id=1"),
    ],
)
def test_an_endpoint_within_the_origin_is_taken(said: str, target: str) -> None:
    assert endpoint_of(URL, said) == target


@pytest.mark.parametrize(
    "said",
    [
        "https://evil.example/m",
        "//evil.example/m",
        "http://mcp.example/m",
        "https://mcp.example:8443/m",
        "https://user:pw@mcp.example/m",
        "https://mcp.example@evil.example/m",
        "javascript:alert(1)",
        "/m\r\nX-Evil: 1",
        "/m\\..",
        "https://mcp.example:port/m",
        "/ä",
        "/" + "m" * 9000,
    ],
)
def test_any_other_endpoint_gets_nothing(said: str) -> None:
    with pytest.raises(BadResponse, match="within its origin"):
        endpoint_of(URL, said)


def test_a_server_of_another_origin_gets_no_message() -> None:
    elsewhere = introduced(fine)
    with Stage(elsewhere) as other, connected(introduced(fine)) as (stage, connection):
        stage.behaviour.endpoint = other.url.replace("/mcp", "/messages?session_id={}")  # type: ignore[attr-defined]
        with pytest.raises(BadResponse, match="within its origin"):
            connection.request("tools/list")
    assert other.requests == []


def test_a_call_falls_back_and_the_stream_ends_with_the_connection() -> None:
    older = introduced(fine)
    with connected(older) as (stage, connection):
        assert connection.request("tools/list") == {"ok": 1}
        assert connection.request("tools/list") == {"ok": 1}
        connection.close()
        [stream] = older.streams.values()
        for _ in range(1000):
            if not older.streams:
                break
            stream.put(HELLO)  # it is written to a connection that has ended
            threading.Event().wait(0.01)
        assert not older.streams
    places = [(each.command, each.path.partition("?")[0]) for each in stage.requests]
    assert places == [
        *[("POST", "/mcp"), ("POST", "/mcp"), ("GET", "/mcp")],
        *[("POST", "/messages")] * 4,
    ]
    assert all("Mcp-Session-Id" not in each.headers for each in stage.requests)


@pytest.mark.parametrize("status", [400, 404, 405, 415])
def test_a_server_that_speaks_neither_is_told_as_it_answered(status: int) -> None:
    def neither(request: Request) -> None:
        request.reply(status if request.command == "POST" else 406)

    with connected(neither) as (stage, connection), pytest.raises(BadResponse) as caught:
        connection.request("tools/list")
    assert f"HTTP {status}" in caught.value.summary
    assert stage.methods == ["tools/list", "initialize", "GET"]


@pytest.mark.parametrize("session", ["theirs", "t\xefhrs"])
def test_the_session_id_of_an_answer_that_is_no_stream_is_not_taken_on(session: str) -> None:
    def neither(request: Request) -> None:
        if request.command == "POST":
            request.reply(405)
        else:
            request.reply(200, b"{}", ("Mcp-Session-Id", session))

    with connected(neither) as (stage, connection), pytest.raises(BadResponse, match="HTTP 405"):
        connection.request("tools/list")
    assert stage.methods == ["tools/list", "initialize", "GET"]


def test_an_outage_of_the_stream_is_one() -> None:
    def behaviour(request: Request) -> None:
        request.reply(405 if request.command == "POST" else 503)

    with connected(behaviour) as (_, connection), pytest.raises(Unavailable, match="HTTP 503"):
        connection.request("tools/list")


def test_a_stream_without_an_endpoint_is_none() -> None:
    def behaviour(request: Request) -> None:
        if request.command == "POST":
            request.reply(405)
        else:
            request.stream(b"data: {}\n\n"[:0], b": hello\n\n")

    with connected(behaviour) as (_, connection), pytest.raises(Unavailable, match="ended"):
        connection.request("tools/list")


def test_a_request_of_the_server_is_answered_and_the_rest_is_told() -> None:
    told: list[Message] = []
    back = threading.Event()

    def behaviour(message: Message) -> Iterable[Message | None]:
        if "method" not in message:
            assert message["error"]["code"] == -32601
            back.set()
            return ()
        return [HELLO, SAMPLING, answer(message, ok=1)]

    with connected(introduced(behaviour), on_message=told.append) as (_, connection):
        assert connection.request("x") == {"ok": 1}
        assert back.wait(PATIENCE)
    assert told == [HELLO, SAMPLING]


def test_a_session_whose_stream_has_ended_is_begun_again() -> None:
    older = introduced(fine)
    with connected(older) as (stage, connection):
        assert connection.request("x") == {"ok": 1}
        session = connection.server.session
        older.end()
        for _ in range(1000):
            if connection._older[session].ended:
                break
            threading.Event().wait(0.01)
        assert connection.request("x") == {"ok": 1}
    assert stage.methods.count("GET") == 2


def test_a_stream_that_ends_before_an_answer_leaves_it_open_whether_it_was_done() -> None:
    calls: list[Message] = []

    def behaviour(message: Message) -> Iterable[Message | None]:
        calls.append(message)
        return [None] if len(calls) == 1 else fine(message)

    with connected(introduced(behaviour)) as (_, connection):
        with pytest.raises(Unavailable, match="ended before the answer") as caught:
            connection.request("x")
        assert "may have done" in caught.value.hint
        assert connection.request("x") == {"ok": 1}
    assert len(calls) == 2


def test_an_answer_that_does_not_come_is_late() -> None:
    with (
        connected(introduced(lambda message: ()), timeout=0.3) as (_, connection),
        pytest.raises(Unavailable) as caught,
    ):
        connection.request("x")
    assert caught.value.code == "timeout"


# The bridge


def test_a_host_is_bridged_to_an_older_server() -> None:
    def behaviour(message: Message) -> Iterable[Message | None]:
        if message.get("method") == "ask":
            return [HELLO, SAMPLING]
        return fine(message)

    with on_stage(introduced(behaviour)) as (stage, host):
        assert host.begin()["result"]["protocolVersion"] == "2024-11-05"
        assert host.ask("a") == {"jsonrpc": "2.0", "id": "a", "result": {"ok": 1}}
        host.say({"id": 7, "method": "ask"})
        assert host.got(lambda each: each == HELLO)
        assert host.got(lambda each: each == SAMPLING)
        host.say({"id": "s", "result": {"model": "m"}})
        back = wait_for(stage, lambda each: "result" in each.message)
        assert back.path.startswith("/messages")
        host.say({"method": "notifications/cancelled", "params": {"requestId": 7}})
        assert wait_for(stage, lambda each: each.method == "notifications/cancelled")
        for number in range(4):
            host.say({"id": number, "method": "x"})
        for number in range(4):
            assert host.answer(number)
        host.bridge.finish(PATIENCE)
    assert all(json.loads(line).get("id") != 7 for line in host.lines)


def test_an_answer_comes_through_as_it_is() -> None:
    """Half a surrogate pair as over streamable HTTP."""
    odd = {"n": 12345678901234567890123, "s": "\ud800 ü"}
    with on_stage(introduced(lambda message: [answer(message, **odd)])) as (_, host):
        host.begin()
        assert host.ask(1)["result"] == {**odd, "s": "\ufffd ü"}


def test_the_bridge_begins_again_after_the_stream_has_ended() -> None:
    older = introduced(fine)
    with on_stage(older) as (stage, host):
        host.begin()
        host.ask(1)
        first = host.bridge._session.server
        session = host.bridge._connection._older[first.session]
        older.end()
        for _ in range(1000):
            if session.ended:
                break
            threading.Event().wait(0.01)
        assert host.ask(2)["result"] == {"ok": 1}
        assert host.bridge._session.server is not first
    begun = [each.message for each in stage.requests if each.method == "initialize"]
    assert begun[-1] == {"jsonrpc": "2.0", **INITIALIZE}
    assert stage.methods.count("notifications/initialized") == 2


def test_all_requests_after_the_stream_has_ended_come_to_the_new_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    older = introduced(fine)
    go, held = threading.Event(), threading.Semaphore(0)

    def late(line: bytes) -> bool:
        return b'"late"' in line

    with on_stage(older) as (stage, host):
        host.begin()
        host.ask(1)
        connection = host.bridge._connection
        first, done = host.bridge._session.server, connection._done

        def held_back(step: Any, *rest: Any) -> Any:
            if isinstance(step, Send) and late(step.body):
                held.release()
                go.wait(PATIENCE)
            return done(step, *rest)

        monkeypatch.setattr(connection, "_done", held_back)
        for number in ("a", "b"):
            host.say({"id": number, "method": "late"})
        assert all(held.acquire(timeout=PATIENCE) for _ in range(2))
        session = connection._older[first.session]
        older.end()
        for _ in range(1000):
            if session.ended:
                break
            threading.Event().wait(0.01)
        assert host.ask(2)["result"] == {"ok": 1}  # has begun another session
        go.set()
        for number in ("a", "b"):
            assert host.answer(number)["result"] == {"ok": 1}
    assert stage.methods.count("initialize") == 4  # twice by POST, as a try, and over each stream


def test_a_server_that_has_forgotten_the_session_gets_a_new_one() -> None:
    older = introduced(fine)
    with on_stage(older) as (_, host):
        host.begin()
        host.ask(1)
        older.streams["9"] = older.streams.pop("1")  # it knows no session of that number
        assert host.ask(2)["result"] == {"ok": 1}


def test_an_error_of_the_login_at_the_stream_is_that_of_the_request() -> None:
    refused = {"jsonrpc": "2.0", "id": None, "error": {"code": 401, "message": "log in"}}

    def behaviour(request: Request) -> None:
        request.reply(405, json.dumps(refused).encode() if request.command == "GET" else b"")

    with on_stage(behaviour) as (_, host):
        host.say(INITIALIZE)
        assert host.answer(0)["error"] == refused["error"]
        host.say(INITIALIZED)


def test_while_a_person_signs_in_for_the_stream_the_client_is_told() -> None:
    asked, go = threading.Event(), threading.Event()

    class Slow(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
            if request.method == "GET":
                asked.set()
                go.wait(PATIENCE)
            yield request

    hello = {**INITIALIZE, "params": {**INITIALIZE["params"], "_meta": {"progressToken": "t"}}}
    with Stage(introduced(fine)) as stage, hosted(stage.url, Slow()) as host:
        host.say(hello)
        assert asked.wait(PATIENCE)
        host.bridge.waits("sign in")
        told = host.got(lambda each: each.get("method") == "notifications/progress")
        host.bridge.waits_no_more()
        go.set()
        assert host.answer(0)["result"]["protocolVersion"] == "2024-11-05"
    assert told["params"]["message"] == "sign in"


def test_a_fault_of_the_stream_is_an_error_and_the_next_try_works() -> None:
    older = introduced(fine)

    def behaviour(request: Request) -> None:
        request.stream(b"data: no JSON\n\n") if request.command == "GET" else request.reply(404)

    with on_stage(behaviour) as (stage, host):
        host.say(INITIALIZE)
        assert host.answer(0)["error"]["code"] == 502
        host.lines.clear()
        stage.behaviour = older
        assert host.begin()["result"]["protocolVersion"] == "2024-11-05"
