"""A client's messages to a server and the server's back, each handed on as it is.

Only what the transport needs is read from a message: its kind and id, the revision, and what
begins a session. Every request has a thread of its own; notifications keep their order.
"""

from __future__ import annotations

import json
import math
import queue
import threading
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final, TypeAlias

from ..errors import AuthError, BadResponse
from ..events import logger
from ..secret import quoted
from .connection import Connection
from .exchange import (
    LARGEST,
    STATELESS,
    Head,
    Plan,
    Reply,
    Server,
    exchange,
    farewell,
    is_lost,
    listen,
    result_of,
)
from .introduced import LONGEST_VERSION, Introduced
from .messages import (
    HEADER_MISMATCH,
    METHOD_NOT_FOUND,
    Message,
    as_it_is,
    cancelled_by,
    error_of,
)
from .mirroring import Mirroring
from .offers import Offers, called_tool, hidden_tool, listed_tools, strictly, with_offered
from .open_exchange import Stopped
from .patience import Patience
from .upstream import MOST, MOST_BYTES, MOST_HELD, Budget, Exchange, Login, once

_MOST_NOTIFICATIONS: Final = 1000
_FIRST_MOMENT: Final = 30.0  # for the server to be told that the client is initialized
_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
_NOT_JSON: Final = -32700  # JSON-RPC 2.0 §5.1, and the next two
_NO_REQUEST: Final = -32600
_INVALID_PARAMS: Final = -32602
_INTERNAL: Final = -32603
_NUMBER: Final = str | int | float  # an id (JSON-RPC 2.0 §4)
_Notification: TypeAlias = tuple[Message, bytes, Exchange]


class Bridge:
    """The bridge between one client and the server at `url`.

    `client` is one of httpx or httpx2 that brings the login; `write` is called with each message
    for the client's side, from any thread. `error_for` returns the JSON-RPC error for one of ours.
    `offers`: whether the client may see and call the tool of that name; None for all. `timeout`:
    seconds for the answer to a request; None for as long as the client waits.
    """

    def __init__(
        self,
        client: Any,
        url: str,
        write: Callable[[bytes], None],
        *,
        error_for: Callable[[AuthError], Message],
        login: Login | None = None,
        offers: Offers | None = None,
        timeout: float | None = None,
        fault_of: Callable[[Exception], AuthError] | None = None,
    ) -> None:
        self._client, self._url, self._write = client, url, write
        self._error_for, self._offers = error_for, offers
        self._parsed = strictly if offers else json.loads
        self._login = login or Login(lambda: url)
        self._connection = _Forwarding(
            client,
            url,
            timeout=timeout or math.inf,
            on_message=self._hand_over,
            fault_of=fault_of,
        )
        self._uploads, self._held = Budget(MOST_BYTES), Budget(MOST_HELD)
        self._turn = threading.Condition()
        self._open: dict[str, Exchange] = {}  # by the ids of their requests
        self._running = 0
        self._session = Introduced(url, self._run, self._stop_listening)
        self._initialized = threading.Event()
        self._initialized.set()
        self._listener: Exchange | None = None
        self._no_stream: Server | None = None
        self._mirroring = Mirroring()
        self._introducing: Exchange | None = None
        self._notifications: queue.Queue[_Notification] = queue.Queue(_MOST_NOTIFICATIONS)
        self._ordered: threading.Thread | None = None
        self._patience = Patience(self._hand_over, self._waiting, self._has_session)
        self._ended = False

    # From the client

    def take(self, line: bytes) -> None:
        """Handle a line of the client; waits while too much is on its way to the server."""
        line = line.removeprefix(BOM_UTF8)  # .NET begins a stream with it
        try:
            value = self._parsed(line.decode())  # leniently, for it is handed on as it is
            batch = isinstance(value, list) and value  # of revision 2025-03-26
            messages = [(each, as_it_is(each)) for each in value] if batch else [(value, line)]
        except (ValueError, RecursionError):
            self._refuse(None, _NOT_JSON, "this line is not JSON")
            return
        for message, body in messages:
            self._take(message, body)

    def take_too_large(self) -> None:
        self._refuse(None, _NO_REQUEST, f"this message is larger than {LARGEST >> 20} MiB")

    def _take(self, message: Any, body: bytes) -> None:
        fine = isinstance(message, dict) and message.get("jsonrpc") == "2.0"
        if not fine or not isinstance(message.get("id"), _NUMBER | None):
            self._refuse(None, _NO_REQUEST, "this line is not a JSON-RPC message")
        elif not isinstance(message.get("method"), str):
            if "result" in message or "error" in message:
                size = max(len(body), MOST_BYTES // MOST)  # so that their number is limited, too
                self._uploads.take(size)
                _start(self._respond, message, body, size)
            else:
                self._refuse(message.get("id"), _NO_REQUEST, "this is not a JSON-RPC message")
        elif self._offers and (hidden := hidden_tool(message, self._offers)) is not None:
            unknown = f"Unknown tool: {quoted(hidden, 80)}"
            self._refuse(message.get("id"), _INVALID_PARAMS, unknown)
        elif "id" in message:
            self._take_request(message, body)
        else:
            cancelled = self._stop_cancelled(message)
            # from 2026-07-28 on, to close the connection is how HTTP cancels a request
            if cancelled and _version_of(cancelled.message or {}):
                return
            self._uploads.take(len(body))
            opened = self._exchange(len(body))
            if message["method"] == "notifications/initialized":
                self._introducing = opened
                self._initialized.clear()
            if self._ordered is None:
                self._ordered = _start(self._notify_in_order)
            self._notifications.put((message, body, opened))

    def _stop_cancelled(self, message: Message) -> Exchange | None:
        """Stop the request that a notification cancels, and return it. At once: notifications
        before it may have to wait for a login, and the request would be sent meanwhile."""
        number = cancelled_by(message)
        cancelled = self._open.get(_name(number)) if isinstance(number, _NUMBER) else None
        if cancelled:
            cancelled.stop()
        return cancelled

    def _take_request(self, message: Message, body: bytes) -> None:
        number = message["id"]
        with self._turn:
            # this does not wait: the next message may be the client's answer that the others need
            full = self._running >= MOST or not self._held.take_now(len(body))
            self._running += not full
        if full:
            most = f"more than {MOST} requests or {MOST_HELD >> 20} MiB at once"
            self._refuse(number, 503, f"{most}. Try again later")
            return
        self._uploads.take(len(body))
        opened = self._exchange(len(body), message=message)
        with self._turn:
            self._open[_name(number)] = opened
        _start(self._serve, message, body, opened)

    def _exchange(
        self, size: int = 0, auth: Any = None, message: Message | None = None
    ) -> Exchange:
        sent = once(lambda: self._uploads.give(size))
        return Exchange(self._client, self._login, sent, auth, message)

    # To the server

    def _serve(self, message: Message, body: bytes, opened: Exchange) -> None:
        """Carry out one request, until the client has its answer."""
        number = message["id"]
        try:
            answer = self._outcome(message, body, opened)
            opened.sent()
            if answer and not opened.stopped:
                self._hand_over({**answer, "id": number})
        finally:
            opened.sent()
            self._held.give(len(body))
            with self._turn:
                self._running -= 1
                if self._open.get(_name(number)) is opened:
                    del self._open[_name(number)]
                self._turn.notify_all()

    def _outcome(self, message: Message, body: bytes, opened: Exchange) -> Message:
        """The answer or the error; empty if the request was stopped."""
        try:
            return self._answer(message, body, opened)
        except Stopped:
            return {}
        except AuthError as error:
            logger.info("a request of the client failed: %s", error)
            return _error(None, self._described(error, message))
        except Exception:  # a fault of ours must not leave the client waiting
            if self._ended:  # its connections were closed
                return {}
            logger.exception("the bridge failed at a request")
            failed = {"code": _INTERNAL, "message": "the bridge failed; see its log"}
            return _error(None, failed)

    def _described(self, error: AuthError, message: Message) -> Message:
        """The JSON-RPC error for one of ours. Older servers do not know the method that clients of
        2026-07-28 begin with, and say so in their own words; told so, clients go on with a
        handshake."""
        if message["method"] == "server/discover" and isinstance(error, BadResponse):
            return {"code": METHOD_NOT_FOUND, "message": "Method not found"}
        return self._error_for(error)

    def _answer(self, message: Message, body: bytes, opened: Exchange) -> Message:
        if version := _version_of(message):
            reply = self._stateless(version, message, body, opened)
        elif message["method"] == "initialize":
            server = self._session.another()
            reply = self._run(exchange(server, message, None, body), opened)
            self._session.begun(server, message, body, reply)
        else:
            opened.beside = self._introducing
            self._initialized.wait(_FIRST_MOMENT)  # a server refuses earlier requests
            opened.beside = None
            reply = self._in_session(message, body, opened)
        if reply.message is None:
            result_of(reply)  # raises the error that it is
        answer = reply.message or {}
        if message["method"] == "tools/list":
            faulty = self._mirroring.learn(listed_tools(answer)) if version else set[str]()
            offers = self._offers or (lambda name: True)
            return with_offered(answer, lambda name: name not in faulty and offers(name))
        return answer

    def _in_session(self, message: Message, body: bytes, opened: Exchange) -> Reply:
        """Send it, and again if the server has forgotten the session; the client need not know."""
        server = self._session.server
        reply = self._run(exchange(server, message, None, body), opened)
        if is_lost(server, reply) and (other := self._session.revived(server)):
            server = other
            reply = self._run(exchange(server, message, None, body), opened)
        if 200 <= reply.status < 300 and server is self._session.server:
            self._listen()
        return reply

    def _run(self, plan: Plan[Reply], via: Exchange | None = None) -> Reply:
        return self._connection.run(plan, via=via or self._exchange())

    def _run_quietly(self, plan: Plan[Reply]) -> Reply:
        return self._run(plan, self._exchange(auth=self._login.quiet))

    def _stateless(self, version: str, message: Message, body: bytes, opened: Exchange) -> Reply:
        server = self._session.another(STATELESS)
        named = {"mcp-protocol-version": version}
        tool, params = called_tool(message), message.get("params", {})

        def send() -> Reply:
            more = self._mirroring.headers(tool, params.get("arguments"))
            return self._run(exchange(server, message, {**named, **more}, body), opened)

        reply = send()
        code, _, _ = error_of(reply.message) or (0, "", None)
        if tool is not None and code == HEADER_MISMATCH:  # its schema may have changed
            self._mirroring.ask(
                params.get("_meta", {}), lambda asked: self._run(exchange(server, asked, named))
            )
            reply = send()
        return reply

    def _respond(self, message: Message, body: bytes, size: int) -> None:
        """The client's answer to a request of the server."""
        opened = self._exchange(size)
        try:
            self._deliver(message, body, opened)
        finally:
            opened.sent()

    def _notify_in_order(self) -> None:
        while True:
            message, body, opened = self._notifications.get()
            try:
                self._deliver(message, body, opened)
            except Exception:
                if self._ended:
                    return
                logger.exception("the bridge failed at a notification")
            finally:
                opened.sent()
                self._notifications.task_done()
                with self._turn:
                    self._turn.notify_all()
                if message["method"] == "notifications/initialized":
                    self._initialized.set()
                    self._listen()

    def _deliver(self, message: Message, body: bytes, opened: Exchange) -> None:
        """Send a message that gets no answer; if that fails, there is no one to tell."""
        try:
            if version := _version_of(message):
                server = self._session.another(STATELESS)
                named = {"mcp-protocol-version": version}
                reply = self._run(exchange(server, message, named, body), opened)
            else:
                reply = self._in_session(message, body, opened)
            if reply.status >= 400:
                logger.info("the server answered HTTP %s to a notification", reply.status)
        except Stopped:
            pass
        except AuthError as error:
            logger.warning("a message of the client was not delivered: %s", error)

    # To the client

    def _hand_over(self, message: Message) -> None:
        self._write(as_it_is(message) + b"\n")

    def waits(self, why: str) -> None:
        """Tell the client what its requests wait for, until `waits_no_more()`."""
        self._patience.begin(why)

    def waits_no_more(self) -> None:
        self._patience.end()

    def _waiting(self) -> Iterator[Message]:
        """The requests that wait for a login, checked one by one as their client is told."""
        with self._turn:
            opened = [*self._open.values()]
        for each in opened:
            if each.message and each.idle:
                yield each.message

    def _has_session(self) -> bool:
        return self._session.server.settled

    def _refuse(self, number: Any, code: int, text: str) -> None:
        self._hand_over(_error(number, {"code": code, "message": text}))

    # What the server sends on its own

    def _listen(self) -> None:
        with self._turn:
            server = self._session.server
            done = self._listener is not None or self._no_stream is server
            if done or self._ended or not server.settled or not self._initialized.is_set():
                return
            self._listener = listener = self._exchange(auth=self._login.quiet)
        _start(self._heard, server, listener)

    def _heard(self, server: Server, listener: Exchange) -> None:
        try:
            head: Head = self._connection.run(listen(server), math.inf, listener)
            if head.status == 404 and server.session:
                self._session.revived(server, self._run_quietly)  # no browser opens for that
            elif not self._login.has_failed():
                self._no_stream = server  # it offers none; if the login failed, the next call asks
        except Stopped:
            pass
        except RuntimeError:
            if not self._ended:
                raise
        except AuthError as error:
            logger.info("the server's own messages are not listened to: %s", error)
            self._no_stream = server if isinstance(error, BadResponse) else self._no_stream
        finally:
            with self._turn:
                if self._listener is listener:
                    self._listener = None
        if self._session.server is not server:
            self._listen()

    def _stop_listening(self) -> None:
        """Stop the stream of a session that is over; the next call begins another."""
        with self._turn:
            before, self._listener = self._listener, None
        if before:
            before.stop()

    # The end

    def finish(self, seconds: float) -> int:
        """Wait that long for what is under way to be answered or delivered; return how many
        requests were not."""
        with self._turn:
            self._turn.wait_for(
                lambda: not self._running and not self._notifications.unfinished_tasks, seconds
            )
            return self._running

    def close(self, seconds: float = 1.0) -> None:
        """Stop what is under way, and end the session, with the token that there is."""
        with self._turn:
            self._ended, server = True, self._session.end()
            under_way = [*self._open.values(), *([self._listener] if self._listener else [])]
        self._patience.end()
        for each in under_way:
            each.stop()
        if server.session:
            ending = self._exchange(auth=self._login.quiet)
            with suppress(RuntimeError):  # the interpreter is ending
                _start(self._say_farewell, server, ending, seconds).join(seconds)

    def _say_farewell(self, server: Server, ending: Exchange, seconds: float) -> None:
        with suppress(AuthError, Stopped):
            self._connection.run(farewell(server), seconds, ending)


class _Forwarding(Connection):
    """A connection whose client answers the server's requests itself."""

    def _take(self, message: Message, left: float) -> None:
        self._on_message(message)


def _start(work: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True, name="bridge")
    thread.start()
    return thread


def _name(number: Any) -> str:
    """The key for an id: 1 and "1" are different ids."""
    return json.dumps(number)


def _error(number: Any, error: Message) -> Message:
    return {"jsonrpc": "2.0", "id": number, "error": error}


def _version_of(message: Message) -> str:
    """The revision that a message of 2026-07-28 or later names; empty for one of a session."""
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    version = meta.get(_VERSION) if isinstance(meta, dict) else None
    if not isinstance(version, str) or len(version) >= LONGEST_VERSION:
        return ""
    return version if version.isascii() and version.isprintable() else ""
