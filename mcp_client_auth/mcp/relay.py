"""The bridge for clients that speak streamable HTTP, but no OAuth: each request of theirs is one
at the server, with the login.

Sessions, revisions and the resumption of streams are between the client and the server. What goes
wrong here is the error of JSON-RPC that the bridge over stdio would give.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, Final

from ..errors import AuthError, BadResponse, Refused, Unavailable
from ..events import logger
from ..secret import quoted
from .connection import Connection
from .events import EventReader
from .exchange import LARGEST, Head, Plan, Read, Send
from .gate import to_client, to_server
from .messages import Message, as_it_is, is_request
from .offers import Offers, hidden_tool, listed_tools, strictly, with_offered
from .open_exchange import Stopped
from .serving import Reply, Request
from .upstream import Exchange, Login

_JSON: Final = "application/json"
_NOT_JSON: Final = -32700  # JSON-RPC 2.0 §5.1
_INVALID_PARAMS: Final = -32602
_HEARTBEAT: Final = b": \n\n"
_SHOWN: Final = 64 * 1024  # of an answer that is none


class Relay:
    """`client` is one of httpx or httpx2 that brings the login; `error_for` gives the error of
    JSON-RPC for one of ours. `offers`: whether the client may see and call the tool of that name;
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

    def __call__(self, request: Request, reply: Reply) -> None:
        posted = request.method == "POST"
        if posted and self._offers and (refused := _refused(request.body, self._offers)):
            _refuse(request, reply, refused, 400)
            return
        # no browser opens for what is no message of the client
        quiet = None if posted else self._login.quiet
        opened = Exchange(self._client, self._login, reply.taken, quiet)
        reply.gone.then(opened.stop)
        patience = math.inf if request.method == "GET" else self._timeout
        try:
            self._connection.run(self._forwarded(request, reply), patience, opened)
            reply.end()
        except Stopped:
            raise ConnectionAbortedError from None
        except AuthError as error:
            logger.info("a request of a client failed: %s", error)
            if reply.begun:  # it may resume the stream
                raise ConnectionAbortedError from None
            _refuse(request, reply, self._error_for(error), _status(error))

    def _forwarded(self, request: Request, reply: Reply) -> Plan[None]:
        head: Head = yield Send(request.method, to_server(request.headers), request.body)
        if head.status == 401:
            raise Refused("the server requires a login", url=self._url, status=401)
        if 300 <= head.status < 400:
            raise BadResponse("the server redirects", url=self._url, status=head.status)
        told = to_client([*head.headers.items()])
        if not self._offers or not 200 <= head.status < 300:
            left = math.inf if head.status < 300 else _SHOWN
            reply.begin(head.status, told)
            while left > 0 and (piece := (yield Read())):
                reply.write(piece[: int(min(left, len(piece)))])
                left -= len(piece)
        elif head.headers.get("content-type", "").lower().startswith("text/event-stream"):
            reply.begin(head.status, told)
            events = _Offered(self._offers)
            while piece := (yield Read()):
                reply.write(events.of(piece))
        else:
            body = bytearray()
            while piece := (yield Read()):
                body += piece
                if len(body) > LARGEST:
                    raise BadResponse(f"the answer is larger than {LARGEST >> 20} MiB")
            reply.begin(head.status, told)
            reply.write(_offered(body.decode("utf-8", "replace"), self._offers).encode())


class _Offered:
    """A stream of events in which no list names a hidden tool; what else it says stays."""

    def __init__(self, offers: Offers) -> None:
        self._offers, self._events = offers, EventReader(LARGEST)
        self._last, self._retry = "", self._events.retry

    def of(self, piece: bytes) -> bytes:
        return b"".join(self._written(piece)) or _HEARTBEAT

    def _written(self, piece: bytes) -> Iterator[bytes]:
        for text in self._events.feed(piece):
            lines = "".join(f"data: {line}\n" for line in _offered(text, self._offers).split("\n"))
            yield f"{self._place()}{lines}\n".encode()
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
    """The error of a body with a call that may not be, or one that cannot be looked at."""
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
    """A host shows the error of a request, and hides a status."""
    message = _json(request.body)
    asked = isinstance(message, dict) and is_request(message)
    told = {"jsonrpc": "2.0", "id": message["id"] if asked else None, "error": error}
    reply.whole(200 if asked else status, _JSON, as_it_is(told))


def _status(error: AuthError) -> int:
    if isinstance(error, Unavailable):
        return 503
    return 403 if isinstance(error, Refused) else 502
