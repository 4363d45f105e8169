"""Sessions over HTTP+SSE, the transport of MCP 2024-11-05: one stream brings every message, and
one endpoint accepts them. To a plan, each looks like a session of streamable HTTP; its id is made
here.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urldefrag, urljoin

from ..errors import AuthError, BadResponse, Unavailable
from ..origin import same_origin, split
from .events import EventReader
from .exchange import ENDED, LARGEST, SESSION, Head, Plan, Read, Send, body_of, is_stream
from .messages import Message, answers, as_it_is, read_messages

if TYPE_CHECKING:
    from .open_exchange import OpenExchange

_FIRST_EVENT: Final = 30.0
_SHORT: Final = 64 * 1024
_LONGEST_URL: Final = 8192
_JSON: Final = {"content-type": "application/json"}


class OlderSession:
    """One session. A thread carries out `stream` as long as the session lasts, and others each
    `carry` a message."""

    def __init__(self, identity: str, stream: OpenExchange) -> None:
        self.identity, self.ended = identity, False
        self._url, self._stream = stream.url, stream
        self._connected: Future[None] = Future()
        self._begun: Future[Head] = Future()
        self._refusal = b""
        self._endpoint = ""
        self._awaited: dict[str, Future[bytes]] = {}  # by the ids of the requests

    def stream(self, headers: dict[str, str]) -> Plan[None]:
        """What the server sends, until it ends the stream: the endpoint, then messages."""
        events = EventReader(LARGEST)
        head: Head = yield Send("GET", {**headers, "accept": "text/event-stream"})
        _settle(self._connected, None)
        if not is_stream(head):
            self._refusal = yield from body_of(head)
            named = {name: value for name, value in head.headers.items() if name != SESSION}
            _settle(self._begun, Head(head.status, named))  # without a session's id: none has begun
            return
        while piece := (yield Read()):
            for text in events.feed(piece):
                for message in read_messages(text):
                    if not self._answered(message):
                        yield message
            if events.endpoint and not self._endpoint:
                self._endpoint = endpoint_of(self._url, events.endpoint)
                _settle(self._begun, Head(200, {SESSION: self.identity}))

    def begin(self, by: OpenExchange, left: float) -> Head:
        """Wait for the endpoint, or for what the server answers instead of a stream.

        A person may have to sign in first. After that the first event is due.
        """
        until = time.monotonic() + left
        while not by.wait_for(self._connected, until + self._stream.waited - time.monotonic()):
            if until + self._stream.waited <= time.monotonic():
                raise self._late()
        by.excuse(self._stream.waited)
        if not by.wait_for(self._begun, min(left, _FIRST_EVENT)):
            raise BadResponse("the server's event stream does not begin with an endpoint")
        by.give(self._refusal)
        return self._begun.result()

    def carry(self, step: Send, by: OpenExchange, left: float) -> Head:
        """Send a request of a plan, if this transport has one like it."""
        if step.method == "DELETE":
            self.end()
            return Head(200, {})
        if step.method == "GET":  # its messages come over the one stream that there is
            return Head(405, {})
        if self.ended:
            return Head(404, {})
        until = time.monotonic() + left - by.waited
        answer = self._await(step.wanted)
        try:
            headers = {name: value for name, value in step.headers.items() if name != SESSION}
            sent = by.do(replace(step, url=self._endpoint, headers=headers), left)
            head = cast("Head", sent)
            if not 200 <= head.status < 300 or answer is None:
                return head
            if (refusal := self._refused(head, step.wanted, by, left)) is not None:
                by.give(refusal)
                return head
            by.close()
            if not by.wait_for(answer, until + by.waited - time.monotonic()):
                raise self._late()
            by.give(answer.result())
            return Head(200, {**_JSON, SESSION: self.identity})
        finally:
            self._awaited.pop(_name(step.wanted), None)

    def _refused(self, head: Head, number: Any, by: OpenExchange, left: float) -> bytes | None:
        """The body if it answers the message at once, as the error of a login does; or None."""
        if "json" not in head.headers.get("content-type", ""):
            return None
        body = b""
        while len(body) <= _SHORT and (piece := by.do(Read(), left)):
            body += cast("bytes", piece)
        try:
            messages = read_messages(body.decode())
        except (BadResponse, UnicodeDecodeError):
            return None
        return body if any(answers(each, number) for each in messages) else None

    def end(self, why: AuthError | None = None) -> None:
        """End it: each thread that waits for an answer gets an error; the next message begins a
        session of its own."""
        self.ended = True
        self._stream.stop()
        told = f": {why.summary}" if why else ""
        summary = f"the event stream ended before the answer{told}"
        lost = Unavailable(summary, url=self._url, code="stream_ended", hint=ENDED)
        _settle(self._connected, why or lost)
        _settle(self._begun, why or lost)
        for answer in list(self._awaited.values()):
            _settle(answer, lost)

    def _late(self) -> Unavailable:
        return Unavailable("no answer in time", url=self._url, code="timeout", hint=ENDED)

    def _await(self, number: Any) -> Future[bytes] | None:
        if number is None:
            return None
        answer = self._awaited[_name(number)] = Future()
        if self.ended:  # meanwhile
            self.end()
        return answer

    def _answered(self, message: Message) -> bool:
        """Whether it is a response, which only the thread that waits for it gets."""
        if "method" in message:
            return False
        if waiting := self._awaited.get(_name(message.get("id"))):
            _settle(waiting, as_it_is(message))
        return True


def endpoint_of(url: str, said: str) -> str:
    """Where the messages go, as the stream at `url` says: only within the origin, because they
    carry the login."""
    try:
        target = urldefrag(urljoin(url, said.strip())).url
        near = same_origin(url, target) and len(target) <= _LONGEST_URL
        fine = near and "@" not in split(target).netloc
    except ValueError:
        fine = False
    if not fine:
        raise BadResponse(
            "the endpoint that the server names is not a URL within its origin", url=url
        )
    return target


def _settle(future: Future[Any], value: object) -> None:
    """Set a value or an error, unless one is set already or the thread that waited was stopped."""
    with suppress(InvalidStateError):
        if isinstance(value, AuthError):
            future.set_exception(value)
        else:
            future.set_result(value)


def _name(number: Any) -> str:
    """The key for an id: 1 and "1" are different ids."""
    return json.dumps(number)
