"""Streamable HTTP as plans without I/O: what to send, and what to make of what comes.

A plan is a generator. It yields what its driver is to do (`Send`, `Read`, `Wait`) and is resumed
with the result; it also yields each message of the server that is not the answer. A driver throws
`Unavailable` into it when a connection breaks. No step knows an HTTP library, so a driver that
blocks and one on an event loop can carry out the same plan.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from ..errors import BadResponse, Refused, Unavailable
from ..protocol.document import described
from ..protocol.flow import HttpResponse
from ..protocol.oauth_error import is_passing, unavailable
from ..protocol.times import retry_after
from ..secret import quoted
from .events import EventReader
from .messages import (
    HEADER_MISMATCH,
    LACKS_CAPABILITY,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
    Message,
    ServerError,
    answers,
    encoded,
    error_of,
    notification,
    read_messages,
    request,
)

STATELESS: Final = "2026-07-28"
HANDSHAKES: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
SESSION: Final = "mcp-session-id"
LARGEST: Final = 32 * 1024 * 1024  # of one message
_SHOWN: Final = 64 * 1024  # of a body that is not an MCP answer, to say what it is
_BOTH: Final = "application/json, text/event-stream"
_STREAM: Final = "text/event-stream"
_TRIES: Final = 5  # to resume a stream, in a row without an event
_SHORTEST: Final = 0.1
_LONGEST_PAUSE: Final = 30.0
_LONGEST_ID: Final = 1024
_NOT_THERE: Final = "Check the URL. The server speaks neither streamable HTTP nor HTTP+SSE there"
ENDED: Final = "The server may have done what was requested; look before you try again"
_INFLATED: Final = ("", "identity", "gzip", "deflate")  # by libraries that keep them small
_META: Final = "io.modelcontextprotocol/"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request to the server, after closing what is open. The driver returns the `Head`.

    `wanted`: the id of the message whose answer is waited for. `url`: where to, if not to the
    server's own URL.
    """

    method: str
    headers: Mapping[str, str]
    body: bytes = b""
    wanted: Any = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class BeginOlder:
    """Begin a session over HTTP+SSE, the transport of MCP 2024-11-05. The driver returns a `Head`
    with the session's id, or the head of an answer that is not a stream."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Read:
    """Return the next piece of the body, empty at its end."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait that many seconds."""

    seconds: float


class Head(NamedTuple):
    """Status and headers of an answer; names are in lower case."""

    status: int
    headers: Mapping[str, str]


class Reply(NamedTuple):
    """What came of a message: its answer, or if there is none, the response as far as read."""

    response: HttpResponse
    message: Message | None = None

    @property
    def status(self) -> int:
        return self.response.status


Step: TypeAlias = Send | BeginOlder | Read | Wait
Plan: TypeAlias = Generator[Step | Message, Any, T]


@dataclass(slots=True)
class Server:
    """What a client knows of a server. `version` is the revision that is spoken, and `settled`
    whether the server has agreed to it; `session` is the id that it gave, or empty."""

    url: str
    client: Mapping[str, str]
    version: str = STATELESS
    settled: bool = False
    session: str = ""
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def stateless(self) -> bool:
        return self.version == STATELESS

    def headers(self) -> dict[str, str]:
        """The headers of every request (2025-11-25, basic, “Protocol Version Header”)."""
        version = {"mcp-protocol-version": self.version} if self.version else {}
        return {**version, **({SESSION: self.session} if self.session else {})}

    def request(self, method: str, params: Message) -> Message:
        """A request with an id of its own; from 2026-07-28 on it also describes the client."""
        if self.stateless:
            meta = {
                f"{_META}protocolVersion": self.version,
                f"{_META}clientInfo": dict(self.client),
                f"{_META}clientCapabilities": {},
            }
            params = {**params, "_meta": {**params.get("_meta", {}), **meta}}
        return request(next(self.numbers), method, params)


def call(
    server: Server, method: str, params: Message, headers: Mapping[str, str] | None = None
) -> Plan[Message]:
    """The result of a request, after a handshake if the server requires one.

    Raises `ServerError` for an error of JSON-RPC, `Unavailable`, `BadResponse` or `Refused`.
    """
    revived = False
    while True:
        message = server.request(method, params)
        reply = yield from exchange(server, message, headers)
        if not server.settled and (version := _older(server, reply)):
            yield from handshake(server, version)
        elif is_lost(server, reply) and not revived:
            revived = True
            yield from handshake(server, server.version)
        else:
            result = result_of(reply)
            server.settled = True
            return result


def exchange(
    server: Server,
    message: Message,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Plan[Reply]:
    """Send one message of any kind, and read until its answer, or until the end if it has none.

    `body`: the message as its author wrote it, to be handed on unchanged. A stream that breaks is
    resumed if that is possible (2025-11-25, basic, “Resumability”).
    """
    sent = {"content-type": "application/json", "accept": _BOTH, **server.headers()}
    method, params = message.get("method"), message.get("params")
    if server.stateless and isinstance(method, str):  # that, transports, “Standard Request Headers”
        name = params.get("name", params.get("uri")) if isinstance(params, dict) else None
        sent["mcp-method"] = method
        sent |= {"mcp-name": header_value(name)} if isinstance(name, str) else {}
    wanted = message.get("id") if "method" in message else None
    send = Send("POST", {**sent, **(headers or {})}, body or encoded(message), wanted)
    head: Head = yield send
    if not is_stream(head):
        reply = yield from _reply(server, head, wanted)
        older = method == "initialize" and reply.message is None and _may_be_older(head.status)
        return (yield from _over_older(server, send, reply)) if older else reply
    response = HttpResponse(head.status, server.url, tuple(head.headers.items()))
    answer = None if wanted is None else (yield from _streamed(server, head, wanted))
    return Reply(response, answer)


def _over_older(server: Server, send: Send, refused: Reply) -> Plan[Reply]:
    """The answer to an `initialize` over HTTP+SSE; `refused` if the server does not speak that
    (2025-11-25, transports, “Backwards Compatibility”)."""
    head: Head = yield BeginOlder(server.headers())
    if session := head.headers.get(SESSION) if 200 <= head.status < 300 else None:
        head = yield replace(send, headers={**send.headers, SESSION: session})
    reply = yield from _reply(server, head, send.wanted)
    return reply if session or reply.message or is_passing(head.status) else refused


def _may_be_older(status: int) -> bool:
    return 400 <= status < 500 and status not in (401, 403) and not is_passing(status)


def handshake(server: Server, version: str) -> Plan[Message]:
    """Begin a session (2025-11-25, basic, “Lifecycle”); returns the server's own introduction."""
    server.version, server.session = "", ""
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": dict(server.client)}
    reply = yield from exchange(server, server.request("initialize", params))
    result = result_of(reply)
    chosen = result.get("protocolVersion")
    if chosen not in HANDSHAKES:
        raise BadResponse(
            f"the server speaks an unknown revision of MCP: {quoted(str(chosen), 40)}",
            url=server.url,
        )
    begin(server, reply, chosen)
    yield from exchange(server, notification("notifications/initialized"))
    return result


def begin(server: Server, reply: Reply, version: str) -> None:
    """Record the session that a handshake has led to, and the revision."""
    session = reply.response.header(SESSION)
    visible = session.isascii() and session.isprintable() and " " not in session
    if not visible or len(session) > _LONGEST_ID:
        raise BadResponse("the server's session id cannot be one", url=server.url)
    server.version, server.session, server.settled = version, session, True


def listen(server: Server) -> Plan[Head]:
    """What the server sends on its own (2025-11-25, transports, “Listening for Messages”), over
    as many connections as it takes. Ends with the answer that is not a stream. If that is a 404,
    there was a stream before it, and the session is lost."""
    events, failures, begun = EventReader(LARGEST), 0, False
    while True:
        wait = 0.0
        with suppress(Unavailable):
            events.restart()
            known = events.last_id if events.last_id.isprintable() else ""
            resuming = {"last-event-id": known} if known else {}
            head: Head = yield Send("GET", {"accept": _STREAM, **resuming, **server.headers()})
            if not is_stream(head) and not is_passing(head.status):
                # some frameworks answer as if they did not know the path
                return head if begun or head.status != 404 else Head(405, head.headers)
            begun |= is_stream(head)
            wait = _wait_of(head)
            while is_stream(head) and (piece := (yield Read())):
                failures = 0
                for text in events.feed(piece):
                    yield from read_messages(text)
        pause = min(2.0**failures, _LONGEST_PAUSE) if events.retry is None else events.retry
        failures = min(failures + 1, 10)
        yield Wait(max(pause, wait, _SHORTEST))


def farewell(server: Server) -> Plan[None]:
    """End the session, which the server may refuse (2025-11-25, basic, “Session Management”)."""
    if server.session:
        yield Send("DELETE", server.headers())
        server.session = ""


def is_lost(server: Server, reply: Reply) -> bool:
    """Whether the server has forgotten the session: a 404, or a 400 that is about it."""
    code, _, _ = error_of(reply.message) or (0, "", None)
    if not server.session or code == METHOD_NOT_FOUND:
        return False
    about = b"session" in reply.response.body.lower()
    return reply.status == 404 or (reply.status == 400 and about)


def result_of(reply: Reply) -> Message:
    """The result in a reply; raises the error that it is otherwise."""
    response, message = reply
    if error := error_of(message):
        code, text, data = error
        said = quoted(text, 300) if text else "without a text"
        raise ServerError(
            f"the server answered with the error {code}: {said}",
            url=response.url,
            status=response.status,
            rpc_code=code,
            description=quoted(text, 300)[1:-1] if text else "",
            data=data,
        )
    if message is not None:
        result = message.get("result")
        if isinstance(result, dict):
            return result
        raise BadResponse("the result must be a JSON object", url=response.url)
    status, what = response.status, f"HTTP {response.status} with {described(response)}"
    if is_passing(status):
        raise _passing(response)
    if status in (401, 403):
        raise Refused(f"the server refused: {what}", url=response.url, status=status)
    hint = _NOT_THERE if status in (404, 405) else ""
    summary = f"expected an MCP message, got {what}"
    raise BadResponse(summary, url=response.url, status=status, hint=hint)


def _passing(response: HttpResponse) -> Unavailable:
    """A gateway may give up on a server that goes on; if it names a time, nothing was done."""
    error = unavailable(response)
    return error if response.status == 429 or error.retry_after else error.advised(ENDED)


def _older(server: Server, reply: Reply) -> str:
    """The revision whose handshake to try after the first answer; empty if that is not from a
    server older than 2026-07-28 (that revision, transports, “Backward Compatibility”)."""
    error, status = error_of(reply.message), reply.status
    code, _, data = error or (0, "", None)
    if code == UNSUPPORTED_VERSION and isinstance(data, dict):
        listed = data.get("supported")
        supported = listed if isinstance(listed, list) else []
        return next((version for version in HANDSHAKES if version in supported), "")
    modern = code in (HEADER_MISMATCH, LACKS_CAPABILITY) or (
        code == METHOD_NOT_FOUND and status == 404
    )
    passing = is_passing(status) and status != 500
    fine = reply.message is not None and error is None
    return "" if fine or modern or passing or status in (401, 403) else HANDSHAKES[0]


def header_value(text: str) -> str:
    """Encode the value of a header (2026-07-28, transports, “Value Encoding”)."""
    sentinel = text.startswith("=?base64?") and text.endswith("?=")
    plain = text.isascii() and text.isprintable() and text == text.strip()
    if plain and not sentinel:
        return text
    from base64 import b64encode

    return f"=?base64?{b64encode(text.encode('utf-8', 'replace')).decode()}?="


def is_stream(head: Head) -> bool:
    kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    return 200 <= head.status < 300 and kind == _STREAM


def _wait_of(head: Head) -> float:
    """The seconds that the server asks us to wait (RFC 9110 §10.2.3)."""
    response = HttpResponse(head.status, "", tuple(head.headers.items()))
    return (retry_after(response) or 0.0) if is_passing(head.status) else 0.0


def body_of(head: Head) -> Plan[bytes]:
    """The whole body of a message; of anything else, as much as it takes to say what it is."""
    encoding = head.headers.get("content-encoding", "").strip().lower()
    if encoding not in _INFLATED:
        raise BadResponse("the answer is compressed, although that was not asked for")
    fine, body = 200 <= head.status < 300, bytearray()
    limit = LARGEST if fine else _SHOWN
    while len(body) <= limit and (piece := (yield Read())):
        body += piece
    if fine and len(body) > limit:
        raise BadResponse(f"the answer is larger than {limit >> 20} MiB", code="too_large")
    return bytes(body[:limit])


def _reply(server: Server, head: Head, wanted: object) -> Plan[Reply]:
    """The reply, with the answer if the body is JSON and has one."""
    body = yield from body_of(head)
    response = HttpResponse(head.status, server.url, tuple(head.headers.items()), body)
    if wanted is None or "json" not in head.headers.get("content-type", "").lower():
        return Reply(response)
    try:
        messages = read_messages(body.decode("utf-8-sig"))
    except (BadResponse, UnicodeDecodeError):
        return Reply(response)
    answer = next((each for each in messages if answers(each, wanted)), None)
    for each in messages:
        if "method" in each:
            yield each
    if answer is None and messages and 200 <= head.status < 300:
        raise BadResponse("the answer is to another request", url=server.url)
    return Reply(response, answer)


def _streamed(server: Server, begun: Head, wanted: object) -> Plan[Message]:
    """The answer among the messages of a stream, over as many connections as it takes."""
    events, left = EventReader(LARGEST), _TRIES
    head: Head | None = begun
    while True:
        broken, before, wait = None, events.last_id, 0.0
        try:
            if head is None:
                events.restart()
                resuming = {"accept": _STREAM, "last-event-id": events.last_id}
                head = yield Send("GET", {**resuming, **server.headers()})
                if is_passing(head.status):
                    wait = min(_wait_of(head), _LONGEST_PAUSE)
                    raise unavailable(HttpResponse(head.status, server.url))
            refused = not is_stream(head)
            while not refused and (piece := (yield Read())):
                for text in events.feed(piece):
                    for message in read_messages(text):
                        if answers(message, wanted):
                            return message
                        yield message
        except Unavailable as error:
            broken, refused = error, False
        left = left if events.last_id == before else _TRIES
        resumable = events.last_id and events.last_id.isprintable() and not server.stateless
        if refused or not resumable or not left:
            why = f": {broken.summary}" if broken else ""
            summary = f"the event stream ended before the answer{why}"
            raise Unavailable(summary, url=server.url, code="stream_ended", hint=ENDED)
        pause = 2.0 ** (_TRIES - left - 1) if events.retry is None else events.retry
        yield Wait(max(pause, wait, _SHORTEST))
        head, left = None, left - 1
