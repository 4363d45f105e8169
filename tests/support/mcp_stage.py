"""An MCP server that does what its test says: raw requests in, handwritten answers out."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, TypeAlias

Message: TypeAlias = dict[str, Any]
_PATIENCE = 20.0


class Request(BaseHTTPRequestHandler):
    """One request to the stage, and the means to answer it."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.message: Message = json.loads(body) if body else {}
        self.close_connection = True
        with self.server.stage.turn:
            self.server.stage.requests.append(self)
        with suppress(OSError):
            self.server.stage.behaviour(self)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815

    @property
    def method(self) -> str:
        """The method of JSON-RPC, or in capitals that of HTTP."""
        return str(self.message.get("method") or self.command)

    def head(self, status: int, kind: str = "", *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Connection", "close"), *headers):
            if value:
                self.send_header(name, value)
        self.end_headers()

    def reply(self, status: int = 200, body: bytes = b"", *headers: tuple[str, str]) -> None:
        length = ("Content-Length", str(len(body)))
        self.head(status, "application/json" if body else "", length, *headers)
        self.wfile.write(body)

    def result(self, *headers: tuple[str, str], **result: Any) -> None:
        self.reply(200, json.dumps(self.answer(**result)).encode(), *headers)

    def answer(self, **result: Any) -> Message:
        return {"jsonrpc": "2.0", "id": self.message.get("id"), "result": result}

    def stream(self, *events: bytes) -> None:
        self.head(200, "text/event-stream")
        for each in events:
            self.wfile.write(each)
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    stage: Stage

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


Behaviour: TypeAlias = Callable[[Request], None]


class Stage:
    """`over` is set when the test has ended, so that a behaviour that hangs can end as well."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour, self.turn = behaviour, threading.Lock()
        self.requests: list[Request] = []
        self.over = threading.Event()
        self._server = _Server(("127.0.0.1", 0), Request)
        self._server.stage = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/mcp"

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


def event(message: Message, identity: str = "") -> bytes:
    named = f"id: {identity}\n" if identity else ""
    return f"{named}data: {json.dumps(message)}\n\n".encode()


def tools(listed: Iterable[Message], **results: Any) -> Behaviour:
    """A stateless server with these tools; a call is answered with the result under its name,
    or runs the behaviour that is given there."""
    known = list(listed)

    def behaviour(request: Request) -> None:
        if request.method == "tools/list":
            request.result(tools=known, resultType="complete")
            return
        given = results[request.message["params"]["name"]]
        if callable(given):
            given(request)
        else:
            request.result(**given)

    return behaviour


def sessions(behaviour: Behaviour, version: str = "2025-11-25") -> Behaviour:
    """A server of an older revision with sessions, which answers the rest as `behaviour` does."""
    known: set[str] = set()

    def in_session(request: Request) -> None:
        session = request.headers.get("Mcp-Session-Id", "")
        if request.method == "initialize":
            new = f"session-{len(known) + 1}"
            known.add(new)
            request.result(
                ("Mcp-Session-Id", new), protocolVersion=version, capabilities={}, serverInfo={}
            )
        elif not session:
            request.reply(400, b"Bad Request: Missing session ID")
        elif session not in known:
            request.reply(404)
        elif "id" not in request.message and request.command == "POST":
            request.reply(202)
        elif request.command == "DELETE":
            known.discard(session)
            request.reply(200)
        else:
            behaviour(request)

    return in_session


class Older:
    """A server of HTTP+SSE (2024-11-05): its behaviour, with the streams that are open. `answer`
    returns what the server sends after a message, in order; None ends the stream instead."""

    def __init__(self, answer: Callable[[Message], Iterable[Message | None]]) -> None:
        self.answer = answer
        self.endpoint = "/messages?session_id={}"
        self.streams: dict[str, queue.Queue[Message | None]] = {}
        self._made = 0

    def __call__(self, request: Request) -> None:
        path, _, session = request.path.partition("?session_id=")
        if request.command == "GET" and path == "/mcp":
            self._stream(request)
        elif path != "/messages" or request.command != "POST":
            request.reply(405)
        elif session not in self.streams:
            request.reply(404, b"Could not find session")
        else:
            request.reply(202)
            for message in self.answer(request.message):
                self.streams[session].put(message)

    def _stream(self, request: Request) -> None:
        self._made += 1
        session = str(self._made)
        mine = self.streams[session] = queue.Queue()
        try:
            request.stream(f"event: endpoint\ndata: {self.endpoint.format(session)}\n\n".encode())
            while message := mine.get():
                request.wfile.write(event(message))
                request.wfile.flush()
        finally:
            self.streams.pop(session, None)

    def end(self) -> None:
        for each in list(self.streams.values()):
            each.put(None)


def introduced(answer: Callable[[Message], Iterable[Message | None]]) -> Older:
    """The same, with the handshake answered and notifications left unanswered."""

    def whole(message: Message) -> Iterable[Message | None]:
        if message.get("method") == "initialize":
            result = {"protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": {}}
            return [{"jsonrpc": "2.0", "id": message["id"], "result": result}]
        return answer(message) if "id" in message else ()

    return Older(whole)
