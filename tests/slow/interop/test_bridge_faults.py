"""Each fault of a network in the middle, at one bridge that lives on through all of them.

A call has the right answer or an error that says why, whether it may have been done is never left
out, the next call works, and none is sent twice that the server may have carried out.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.slow.interop import processes
from tests.slow.interop.test_bridge import INITIALIZE, Host, bridge
from tests.support.listening import Listening
from tests.support.mcp_stage import Message, Older, Request, Stage, event, introduced, sessions
from tests.support.ports import free_port
from tests.support.python_path import ROOT, search_path
from tests.support.terminal import PATIENCE, Terminal

MAY_BE_DONE = "may have done what was requested"
RIGHT = "the right answer"
HELLO = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "hello"}}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n"
Fault = Callable[[Request], None]


def reset(request: Request) -> None:
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.close()


def cut(request: Request) -> None:
    request.connection.shutdown(socket.SHUT_RDWR)


def after(start: bytes, end: Fault) -> Fault:
    """`end` comes when so much of the answer is out."""

    def fault(request: Request) -> None:
        request.wfile.write(start)
        request.wfile.flush()
        end(request)

    return fault


def streaming(identity: str, end: Fault) -> Fault:
    """An event stream which ends so after its first event."""

    def fault(request: Request) -> None:
        request.stream(b"retry: 10\n", event(HELLO, identity))
        end(request)

    return fault


def status(number: int, *headers: tuple[str, str]) -> Fault:
    return lambda request: request.reply(number, b"", *headers)


def slow(request: Request) -> None:
    body = json.dumps(request.answer(ok=1)).encode()
    request.head(200, "application/json", ("Content-Length", str(len(body))))
    for at in range(0, len(body), 4):
        request.wfile.write(body[at : at + 4])
        request.wfile.flush()
        time.sleep(0.005)


class Server:
    """Calls are answered by `fault`, once, and otherwise well; `done` counts those that came."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.resumed: list[Fault] = []
        self.done = 0
        self._answer: Message = {}
        self._inner = sessions(self._in_session)

    def __call__(self, request: Request) -> None:
        self._inner(request)

    def forget(self) -> None:
        self._inner = sessions(self._in_session)

    def _in_session(self, request: Request) -> None:
        if request.command == "GET":
            self._resume(request)
            return
        self.done += 1
        self._answer = request.answer(ok=1)
        fault, self.fault = self.fault, None
        (fault or (lambda request: request.result(ok=1)))(request)

    def _resume(self, request: Request) -> None:
        if not request.headers.get("Last-Event-ID"):
            request.reply(405)
        elif self.resumed:
            self.resumed.pop(0)(request)
        else:
            request.stream(event(self._answer, "9"))


def call(host: Host, number: Any) -> Message:
    host.say({"id": number, "method": "tools/call", "params": {"name": "x", "arguments": {}}})
    while True:
        message = host.hear()
        if "method" not in message:
            assert message["id"] == number
            return message


@pytest.fixture(scope="module")
def server() -> Server:
    return Server()


@pytest.fixture(scope="module")
def host(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A bridge to which one fault after the other happens."""
    terminal = Terminal(tmp_path_factory.mktemp("home"))
    with Stage(server) as stage, bridge(terminal, stage.url, "--no-browser") as host:
        yield begun(host)


def begun(host: Host) -> Host:
    host.say(INITIALIZE)
    assert "result" in host.hear()
    host.say({"method": "notifications/initialized"})
    return host


# what happens, what comes of it, and what its error says
FAULTS: dict[str, tuple[Fault, str | int, str]] = {
    "cut before the head": (cut, 503, MAY_BE_DONE),
    "reset before the head": (reset, 503, MAY_BE_DONE),
    "cut in the head": (after(HEAD, cut), 503, MAY_BE_DONE),
    "reset in the head": (after(HEAD, reset), 503, MAY_BE_DONE),
    "cut in the body": (after(HEAD + b"\r\n{", cut), 503, MAY_BE_DONE),
    "reset in the body": (after(HEAD + b"\r\n{", reset), 503, MAY_BE_DONE),
    "cut in a stream": (streaming("", cut), 503, MAY_BE_DONE),
    "reset in a stream": (streaming("", reset), 503, MAY_BE_DONE),
    "cut in a stream with ids": (streaming("7", cut), RIGHT, ""),
    "reset in a stream with ids": (streaming("7", reset), RIGHT, ""),
    "slow": (slow, RIGHT, ""),
    "no HTTP": (after(b"SSH-2.0-x\r\n", cut), 503, MAY_BE_DONE),
    "no MCP": (lambda request: request.reply(200, b"<html>"), 502, "not an MCP answer"),
    "only accepted": (status(202), 502, "not an MCP answer"),
    "400": (status(400), 502, "not an MCP answer"),
    "401": (status(401), 401, "mcp-login"),
    "403": (status(403), 403, "refused"),
    "429": (status(429, ("Retry-After", "7")), 503, "in 7 s"),
    "500": (status(500), 503, MAY_BE_DONE),
    "502": (status(502), 503, MAY_BE_DONE),
    "503": (status(503), 503, MAY_BE_DONE),
    "503 with a time": (status(503, ("Retry-After", "7")), 503, "in 7 s"),
    "504": (status(504), 503, MAY_BE_DONE),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_call_is_its_own(host: Host, server: Server, fault: str) -> None:
    server.fault, outcome, said = FAULTS[fault]
    before = server.done
    answer = call(host, fault)
    assert server.done == before + 1
    if outcome == RIGHT:
        assert answer["result"] == {"ok": 1}
    else:
        assert answer["error"]["code"] == outcome
        assert said in answer["error"]["message"]
    assert call(host, f"after {fault}")["result"] == {"ok": 1}
    assert server.done == before + 2


RESUMED: dict[str, tuple[list[Fault], str | int]] = {
    "cut again": ([cut, cut], RIGHT),
    "reset again": ([reset, reset], RIGHT),
    "503 for a while": ([status(503), status(502)], RIGHT),
    "404": ([status(404)], 503),
    "401": ([status(401)], 503),
    "403": ([status(403)], 503),
    "for ever": ([status(503)] * 9, 503),
}


@pytest.mark.parametrize("fault", RESUMED)
def test_a_fault_while_a_stream_is_resumed(host: Host, server: Server, fault: str) -> None:
    server.fault, before = streaming("7", cut), server.done
    server.resumed, outcome = RESUMED[fault][0][:], RESUMED[fault][1]
    answer = call(host, fault)
    server.resumed.clear()
    if outcome == RIGHT:
        assert answer["result"] == {"ok": 1}
    else:
        assert answer["error"]["code"] == outcome
        assert MAY_BE_DONE in answer["error"]["message"]
    assert server.done == before + 1
    assert call(host, f"after {fault}")["result"] == {"ok": 1}


def test_a_session_that_was_forgotten_between_two_calls(host: Host, server: Server) -> None:
    assert call(host, "before")["result"] == {"ok": 1}
    before = server.done
    server.forget()
    assert call(host, "forgotten")["result"] == {"ok": 1}
    assert server.done == before + 1


# HTTP+SSE


class OlderServer:
    """The same, of 2024-11-05. `fault` answers the message, `ends` the stream after it."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.ends, self.done = False, 0
        self._older: Older = introduced(self._answer)

    def __call__(self, request: Request) -> None:
        if request.message.get("method") == "tools/call" and (fault := self.fault):
            self.fault = None
            self.done += 1
            fault(request)
        else:
            self._older(request)

    def _answer(self, message: Message) -> Iterable[Message | None]:
        self.done += 1
        if self.ends:
            self.ends = False
            return [None]
        return [{"jsonrpc": "2.0", "id": message["id"], "result": {"ok": 1}}]

    def end(self) -> None:
        """End the stream, and wait until the session is forgotten."""
        self._older.end()
        while self._older.streams:
            time.sleep(0.01)


@pytest.fixture(scope="module")
def older() -> OlderServer:
    return OlderServer()


@pytest.fixture(scope="module")
def older_host(older: OlderServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    terminal = Terminal(tmp_path_factory.mktemp("home"))
    with Stage(older) as stage, bridge(terminal, stage.url, "--no-browser") as host:
        yield begun(host)


OLDER_FAULTS = {
    name: FAULTS[name]
    for name in ("cut before the head", "reset before the head", "401", "403", "500", "504")
}


@pytest.mark.parametrize("fault", [*OLDER_FAULTS, "the stream ends"])
def test_a_fault_of_the_older_transport(older_host: Host, older: OlderServer, fault: str) -> None:
    before = older.done
    if fault in OLDER_FAULTS:
        older.fault, code, said = OLDER_FAULTS[fault]
    else:
        older.ends, code, said = True, 503, MAY_BE_DONE
    error = call(older_host, fault)["error"]
    assert error["code"] == code
    assert said in error["message"]
    assert older.done == before + 1
    assert call(older_host, f"after {fault}")["result"] == {"ok": 1}
    assert older.done == before + 2


def test_an_older_stream_that_ends_between_two_calls(older_host: Host, older: OlderServer) -> None:
    before = older.done
    older.end()
    assert call(older_host, "between")["result"] == {"ok": 1}
    assert older.done == before + 1


# Between


class Relay(Listening):
    """Hands bytes on to another port, until it is told to reset or to hold all that there is."""

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1")
        self._target = port
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.flowing = threading.Event()
        self.flowing.set()

    def _serve(self, connection: socket.socket) -> None:
        with connection, socket.create_connection(("127.0.0.1", self._target)) as onward:
            pair = (connection, onward)
            self._pairs.append(pair)
            with suppress(OSError):
                while True:
                    ready, _, _ = select.select(pair, [], [])
                    self.flowing.wait(PATIENCE)
                    for each in ready:
                        data = each.recv(65536)
                        if not data:
                            return
                        pair[each is connection].sendall(data)

    def reset(self) -> None:
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for each in pair:
                with suppress(OSError):
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    each.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    """In front of the official SDK's server, with sessions and an event store."""
    script = [sys.executable, str(processes.HERE / "bridged" / "server.py"), "sdk"]
    environment = {**os.environ, "PYTHONPATH": search_path(ROOT)}
    with processes.server([*script, str(port := free_port())], environment), Relay(port) as relay:
        yield relay


@pytest.fixture
def relayed(relay: Relay, tmp_path: Path) -> Iterator[Host]:
    with bridge(Terminal(tmp_path), f"http://127.0.0.1:{relay.port}/mcp", "--no-browser") as host:
        yield begun(host)


def tool(host: Host, number: Any, name: str, **arguments: Any) -> str:
    params = {"name": name, "arguments": arguments}
    host.say({"id": number, "method": "tools/call", "params": params})
    while (message := host.hear()).get("id") != number:
        pass
    return str(message["result"]["content"][0]["text"])


def test_connections_that_are_reset_between_calls_are_made_again(
    relay: Relay, relayed: Host
) -> None:
    for number in range(5):
        assert tool(relayed, number, "add", a=number, b=1) == str(number + 1)
        relay.reset()


@pytest.mark.parametrize("fault", ["reset", "held"])
def test_a_call_that_is_under_way_is_done_once(relay: Relay, relayed: Host, fault: str) -> None:
    before = int(tool(relayed, "before", "rests"))
    params = {"name": "rest", "arguments": {"seconds": 1}, "_meta": {"progressToken": "p"}}
    relayed.say({"id": "rest", "method": "tools/call", "params": params})
    while relayed.hear().get("method") != "notifications/progress":
        pass
    if fault == "reset":
        relay.reset()
    else:
        relay.flowing.clear()
        threading.Timer(1.5, relay.flowing.set).start()
    while (message := relayed.hear()).get("id") != "rest":
        pass
    assert message["result"]["content"][0]["text"] == "rested"
    assert int(tool(relayed, "after", "rests")) == before + 1
