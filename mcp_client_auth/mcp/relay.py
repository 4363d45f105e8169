"""The bridge for clients that speak streamable HTTP, but no OAuth: each of their requests is sent
to the server, with the login.

Sessions, revisions and the resumption of streams are between the client and the server. A failure
here becomes the JSON-RPC error that the bridge over stdio would return.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from ..errors import AuthError, BadResponse, Refused, Unavailable
from ..events import logger
from ..secret import quoted
from .connection import Connection
from .events import EventReader
from .exchange import HANDSHAKES, LARGEST, SESSION, Head, Plan, Read, Send, is_stream
from .gate import to_client, to_server
from .messages import Message, answers, as_it_is, cancelled_by, is_id, is_request
from .offers import Offers, hidden_tool, listed_tools, strictly, with_offered
from .open_exchange import Stopped
from .patience import Patience
from .serving import Reply, Request
from .upstream import Exchange, Login

_JSON: Final = "application/json"
_NOT_JSON: Final = -32700  # JSON-RPC 2.0 §5.1
_INVALID_PARAMS: Final = -32602
_STREAM: Final = "text/event-stream"
_HEARTBEAT: Final = b": \n\n"
_SHOWN: Final = 64 * 1024  # of a body that is not an MCP answer


class Relay:
    """`client` is one of httpx or httpx2 that brings the login; `error_for` returns the JSON-RPC
    error for one of ours. `offers`: whether the client may see and call the tool of that name;
    None for all. `timeout`: seconds for the answer to a message; None for as long as the client
    waits."""

    def __init__(
        self,
        client: Any,
        url: str,
        login: Login,
        *,
        error_for: Callable[[AuthError], Message],
        offers: Offers | None = None,
        timeout: float | None = None,
        fault_of: Callable[[Exception], AuthError] | None = None,
    ) -> None:
        self._client, self._url, self._login = client, url, login
        self._error_for, self._offers, self._timeout = error_for, offers, timeout or math.inf
        self._connection = Connection(client, url, fault_of=fault_of)
        self._turn = threading.Lock()
        self._why = ""  # what they wait for
        self._open: set[_Answer] = set()

    def waits(self, why: str) -> None:
        """Tell the clients what their requests wait for, until `waits_no_more()`."""
        with self._turn:
            self._why = why
            for each in self._open:
                each.wait(why)

    def waits_no_more(self) -> None:
        with self._turn:
            self._why = ""
            for each in self._open:
                each.patience.end()

    def __call__(self, request: Request, reply: Reply) -> None:
        posted = request.method == "POST"
        if posted and self._offers and (refused := _refused(request.body, self._offers)):
            _refuse(request, reply, refused, 400)
            return
        # no browser opens for a request that is not a message of the client
        quiet = None if posted else self._login.quiet
        opened = Exchange(self._client, self._login, reply.taken, quiet)
        reply.gone.then(opened.stop)
        patience = math.inf if request.method == "GET" else self._timeout
        answer = _Answer(request, reply, opened)
        if posted and b"cancelled" in request.body:
            self._stop_cancelled(answer)
        with self._turn:
            self._open.add(answer)
            if self._why:
                answer.patience.begin(self._why, later=True)
        try:
            self._connection.run(self._forwarded(request, answer), patience, opened)
            reply.end()
        except Stopped:
            if reply.gone.cancelled:
                raise ConnectionAbortedError from None
            answer.is_there()
            reply.end() if reply.begun else reply.whole(202, _JSON, b"")
        except AuthError as error:
            logger.info("a request of a client failed: %s", error)
            answer.is_there()
            if answer.begun:  # the client may resume the stream
                raise ConnectionAbortedError from None
            _refuse(request, reply, self._error_for(error), _status(error))
        finally:
            with self._turn:
                self._open.discard(answer)
            answer.is_there()

    def _stop_cancelled(self, by: _Answer) -> None:
        """Keep the request that a notification cancels from being sent after the login; one that
        the server has is the server's to end. Only a session tells whose request the id names."""
        number = cancelled_by(by.message)
        if number is None or not by.session:
            return
        with self._turn:
            opened = [each for each in self._open if each.session == by.session]
        for each in opened:
            each.cancel(number)

    def _forwarded(self, request: Request, answer: _Answer) -> Plan[None]:
        head: Head = yield Send(request.method, to_server(request.headers), request.body)
        answer.is_there()
        if head.status == 401:
            raise Refused("the server requires a login", url=self._url, status=401)
        if 300 <= head.status < 400:
            raise BadResponse("the server redirects", url=self._url, status=head.status)
        if head.status in (404, 405) and answer.message.get("method") == "initialize":
            logger.warning(
                "the server answered HTTP %s to a client that begins: there is no streamable HTTP"
                " at its URL. If it is a server of HTTP+SSE, use the bridge over stdio",
                head.status,
            )
        told, fine = to_client([*head.headers.items()]), 200 <= head.status < 300
        if is_stream(head) and self._offers:
            answer.begin(head.status, told)
            events = _Offered(self._offers)
            while piece := (yield Read()):
                answer.write(events.of(piece))
        elif is_stream(head) or not (answer.early or (fine and self._offers)):
            left = math.inf if head.status < 300 else _SHOWN
            answer.begin(head.status, told)
            while left > 0 and (piece := (yield Read())):
                answer.write(piece[: int(min(left, len(piece)))])
                left -= len(piece)
        else:
            body = bytearray()
            while piece := (yield Read()):
                body += piece
                if len(body) > LARGEST:
                    raise BadResponse(
                        f"the answer is larger than {LARGEST >> 20} MiB", code="too_large"
                    )
            text = body.decode("utf-8-sig", "replace")
            text = _offered(text, self._offers) if self._offers and fine else text
            sent = _event(self._answering(request, head, text)) if answer.early else text.encode()
            answer.begin(head.status, told)
            answer.write(sent)

    def _answering(self, request: Request, head: Head, text: str) -> str:
        """The text of a message that answers the request, whatever the status was; what came with
        a success is for the client to judge."""
        message, number = _json(text), _json(request.body)["id"]
        if isinstance(message, dict) and answers(message, number):
            if message.get("id") == number:
                return text
            # no client knows what an error without an id answers
            return as_it_is({**message, "id": number}).decode()
        if isinstance(message, dict | list) and 200 <= head.status < 300:
            return text
        summary = f"the server answered HTTP {head.status} without the response"
        raise BadResponse(summary, url=self._url, status=head.status)


class _Answer:
    """The answer to a request. It may have to begin before the server's does, as a stream, so that
    the client is told meanwhile what it waits for (2025-11-25, transports, “Sending Messages”)."""

    def __init__(self, request: Request, reply: Reply, opened: Exchange) -> None:
        self._request, self._reply, self._opened = request, reply, opened
        self._turn = threading.Lock()
        self._there = self.begun = self.early = False
        self.patience = Patience(self._say, self._waiting, self._in_session)

    @property
    def message(self) -> Message:
        message = _json(self._request.body)
        return message if isinstance(message, dict) else {}

    @property
    def session(self) -> list[str]:
        return self._of(SESSION)

    def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.begun = True
        if not self.early:
            self._reply.begin(status, headers)

    def write(self, piece: bytes) -> None:
        self._reply.write(piece)

    def wait(self, why: str) -> None:
        self.patience.begin(why)
        if self._there:  # meanwhile
            self.patience.end()

    def cancel(self, number: Any) -> None:
        """Stop it if it is the request of that id, and still waits for a login."""
        message = self.message if self._opened.idle else {}
        if is_request(message) and is_id(message["id"], number):
            self._opened.stop()

    def is_there(self) -> None:
        """Tell the client nothing else from here on."""
        with self._turn:
            self._there = True
        self.patience.end()

    def _say(self, message: Message) -> None:
        with self._turn, suppress(OSError):
            if self._there or self._reply.gone.cancelled or not [*self._waiting()]:
                return
            if not self.early:
                self.early = True
                self._reply.begin(200, [("Content-Type", _STREAM)])
            self._reply.write(_event(as_it_is(message).decode()))

    def _waiting(self) -> Iterator[Message]:
        """The message, if its client can be told something meanwhile. Not for `initialize`: the
        session in its answer's header is not known yet. Not if the server has it: its status
        counts."""
        accepted = " ".join(self._of("accept")).lower()
        if not self._opened.idle or _STREAM not in accepted:
            return
        message = self.message
        if is_request(message) and message["method"] != "initialize":
            yield message

    def _in_session(self) -> bool:
        named = self._of("mcp-protocol-version")
        return bool(self.session) or any(each in HANDSHAKES for each in named)

    def _of(self, name: str) -> list[str]:
        return [value for key, value in self._request.headers if key == name]


def _event(text: str) -> bytes:
    """The event for a message; in JSON, line breaks are only between its tokens."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "".join([*(f"data: {line}\n" for line in lines), "\n"]).encode()


class _Offered:
    """A stream of events in which no list names a hidden tool; everything else stays."""

    def __init__(self, offers: Offers) -> None:
        self._offers, self._events = offers, EventReader(LARGEST)
        self._last, self._retry = "", self._events.retry

    def of(self, piece: bytes) -> bytes:
        return b"".join(self._written(piece)) or _HEARTBEAT

    def _written(self, piece: bytes) -> Iterator[bytes]:
        for text in self._events.feed(piece):
            yield self._place().encode() + _event(_offered(text, self._offers))
        if place := self._place():
            yield f"{place}data:\n\n".encode()

    def _place(self) -> str:
        """Where to resume, and when, as far as that is new."""
        events, told = self._events, ""
        if events.last_id != self._last:
            self._last = events.last_id
            told += f"id: {self._last}\n"
        if events.retry is not None and events.retry != self._retry:
            self._retry = events.retry
            told += f"retry: {self._retry * 1000:.0f}\n"
        return told


def _offered(text: str, offers: Offers) -> str:
    value = _json(text)
    messages = value if isinstance(value, list) else [value]
    if not any(isinstance(each, dict) and listed_tools(each) for each in messages):
        return text
    kept = [with_offered(each, offers) if isinstance(each, dict) else each for each in messages]
    return as_it_is(kept if isinstance(value, list) else kept[0]).decode()


def _refused(body: bytes, offers: Offers) -> Message | None:
    """The error for a body with a call that is not allowed, or that cannot be checked; or None."""
    try:
        value = strictly(body.decode())
    except (ValueError, RecursionError):
        return {"code": _NOT_JSON, "message": "this is not JSON, or parsers disagree about it"}
    messages = value if isinstance(value, list) else [value]
    called = [hidden_tool(each, offers) for each in messages if isinstance(each, dict)]
    hidden = next((name for name in called if name is not None), None)
    if hidden is None:
        return None
    return {"code": _INVALID_PARAMS, "message": f"Unknown tool: {quoted(hidden, 80)}"}


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _refuse(request: Request, reply: Reply, error: Message, status: int) -> None:
    """Answer with a JSON-RPC error: a host shows the error of a request, and hides a status."""
    message = _json(request.body)
    asked = isinstance(message, dict) and is_request(message)
    told = {"jsonrpc": "2.0", "id": message["id"] if asked else None, "error": error}
    if reply.begun:  # a stream, for a client that was told meanwhile
        reply.write(_event(as_it_is(told).decode()))
        reply.end()
        return
    reply.whole(200 if asked else status, _JSON, as_it_is(told))


def _status(error: AuthError) -> int:
    if isinstance(error, Unavailable):
        return 503
    return 403 if isinstance(error, Refused) else 502
