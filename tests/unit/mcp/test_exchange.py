"""The plans of streamable HTTP, driven by hand: what is sent, and what is made of what comes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from mcp_client_auth.errors import AuthError, BadResponse, Refused, Unavailable
from mcp_client_auth.mcp.exchange import (
    HANDSHAKES,
    LARGEST,
    STATELESS,
    Head,
    Plan,
    Read,
    Send,
    Server,
    Wait,
    call,
    exchange,
    farewell,
    header_value,
    listen,
)
from mcp_client_auth.mcp.messages import ServerError, notification, request

URL = "https://mcp.example/mcp"
JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream; charset=utf-8"}
Message = dict[str, Any]


@dataclass
class Played:
    """How a plan went: `sent` and `waited` in order, `told` beside the answer, its end."""

    sent: list[Send] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    told: list[Message] = field(default_factory=list)
    result: Any = None
    left: list[Any] = field(default_factory=list)

    @property
    def bodies(self) -> list[Message]:
        return [json.loads(send.body) for send in self.sent if send.body]


def play(plan: Plan[Any], *gives: Any) -> Played:
    """Give the plan one thing after the other: a `Head` for a `Send`, bytes for a `Read`."""
    played, left = Played(), list(gives)
    step = next(plan)
    try:
        while True:
            given: Any = None
            if isinstance(step, dict):
                played.told.append(step)
            elif isinstance(step, Wait):
                played.waited.append(step.seconds)
            else:
                if isinstance(step, Send):
                    played.sent.append(step)
                given = left.pop(0) if left else b""
                fitting = Head if isinstance(step, Send) else bytes
                assert isinstance(given, fitting | AuthError), (step, given)
            step = plan.throw(given) if isinstance(given, AuthError) else plan.send(given)
    except StopIteration as end:
        played.result, played.left = end.value, left
    return played


def modern() -> Server:
    return Server(URL, {"name": "test", "version": "1"}, settled=True)


def legacy(session: str = "s-1") -> Server:
    return Server(URL, {"name": "test", "version": "1"}, "2025-11-25", True, session)


def answer(number: Any = 1, **result: Any) -> Message:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def failure(code: int, number: Any = 1, **data: Any) -> Message:
    error = {"code": code, "message": "no", **({"data": data} if data else {})}
    return {"jsonrpc": "2.0", "id": number, "error": error}


def body(*messages: Message) -> bytes:
    return json.dumps(messages[0] if len(messages) == 1 else messages).encode()


def event(message: Message | str, identity: str = "") -> bytes:
    text = message if isinstance(message, str) else json.dumps(message)
    return f"{f'id: {identity}' if identity else ':'}\ndata: {text}\n\n".encode()


def json_of(message: Message, status: int = 200, **headers: str) -> tuple[Head, bytes, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Head(status, {**JSON, **named}), body(message), b""


CUT = Unavailable("the connection broke")
NOTE = notification("notifications/message")


# 2026-07-28


def test_a_stateless_server_is_sent_one_request_that_says_everything() -> None:
    server = Server(URL, {"name": "test", "version": "1"})
    played = play(call(server, "tools/call", {"name": "add"}), *json_of(answer(ok=1)))
    [sent], [message] = played.sent, played.bodies
    assert played.result == {"ok": 1}
    assert (sent.method, server.settled) == ("POST", True)
    assert sent.headers["accept"] == "application/json, text/event-stream"
    assert sent.headers["mcp-protocol-version"] == STATELESS == "2026-07-28"
    assert (sent.headers["mcp-method"], sent.headers["mcp-name"]) == ("tools/call", "add")
    assert "mcp-session-id" not in sent.headers
    meta = message["params"].pop("_meta")
    assert message["params"] == {"name": "add"}
    assert meta == {
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [  # the examples of the specification, and an address
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("a\r\nX-Evil: 1", "=?base64?YQ0KWC1FdmlsOiAx?="),
        ("", ""),
    ],
)
def test_a_value_is_made_fit_for_a_header(text: str, value: str) -> None:
    assert header_value(text) == value


def test_a_stateless_stream_that_breaks_is_not_resumed() -> None:
    plan = exchange(modern(), request(1, "tools/call", {}))
    with pytest.raises(Unavailable, match="ended before the answer") as caught:
        play(plan, Head(200, SSE), event(NOTE, "7"), CUT)
    assert caught.value.code == "stream_ended"


@pytest.mark.parametrize(
    "error", [failure(-32020), failure(-32021), failure(-32022, supported=["2031-01-01"])]
)
def test_an_error_of_that_revision_is_no_reason_for_a_handshake(error: Message) -> None:
    server = Server(URL, {})
    with pytest.raises(ServerError) as caught:
        play(call(server, "tools/list", {}), *json_of(error, 400))
    assert (caught.value.rpc_code, caught.value.status) == (error["error"]["code"], 400)


# the revisions before it

WELCOME = answer(2, protocolVersion="2025-06-18", capabilities={}, serverInfo={})


@pytest.mark.parametrize(
    "first",
    [
        json_of(failure(-32000, None), 400),
        json_of(failure(-32600), 200),
        json_of(failure(-32022, supported=["2025-06-18"]), 400),
        (Head(400, {}), b""),
        (Head(405, {"content-type": "text/html"}), b"<html>", b""),
        (Head(500, {}), b"oops", b""),
    ],
)
def test_an_older_server_gets_its_handshake_and_the_request_again(first: tuple[Any, ...]) -> None:
    server = Server(URL, {"name": "test", "version": "1"})
    gives = [
        *first,
        *json_of(WELCOME, mcp_session_id="abc"),
        *(Head(202, {}), b""),
        *json_of(answer(3, ok=1)),
    ]
    played = play(call(server, "tools/list", {}), *gives)
    assert played.result == {"ok": 1}
    assert [each.get("method") for each in played.bodies] == [
        "tools/list",
        "initialize",
        "notifications/initialized",
        "tools/list",
    ]
    greeting, initialized, again = played.sent[1:]
    named = [name for name in greeting.headers if name.startswith("mcp-")]
    assert named == []
    assert played.bodies[1]["params"]["protocolVersion"] in HANDSHAKES
    for send in (initialized, again):
        assert send.headers["mcp-session-id"] == "abc"
        assert send.headers["mcp-protocol-version"] == "2025-06-18"
        assert "mcp-method" not in send.headers
    assert "_meta" not in played.bodies[3]["params"]


@pytest.mark.parametrize(("status", "kind"), [(401, Refused), (403, Refused), (503, Unavailable)])
def test_a_refusal_or_an_outage_tells_nothing_of_the_revision(
    status: int, kind: type[AuthError]
) -> None:
    server = Server(URL, {})
    with pytest.raises(kind):
        play(call(server, "tools/list", {}), Head(status, {"retry-after": "7"}), b"")
    assert not server.settled


@pytest.mark.parametrize(
    "welcome",
    [
        json_of(answer(2, protocolVersion="1999-01-01")),
        json_of(answer(2)),
        json_of(answer(2, protocolVersion=["2025-11-25"])),
        json_of(WELCOME, mcp_session_id="a b"),
        json_of(WELCOME, mcp_session_id="a\x7f"),
        json_of(WELCOME, mcp_session_id="é"),
        json_of(WELCOME, mcp_session_id="x" * 2000),
    ],
)
def test_a_welcome_that_breaks_the_standard_ends_it(welcome: tuple[Any, ...]) -> None:
    with pytest.raises(BadResponse):
        play(call(Server(URL, {}), "tools/list", {}), Head(400, {}), b"", *welcome)


@pytest.mark.parametrize(
    "lost", [(Head(404, {}), b""), (Head(400, {}), b"Bad Request: no valid session ID", b"")]
)
def test_a_session_that_the_server_has_forgotten_is_begun_again_once(lost: tuple[Any, ...]) -> None:
    server, plan = legacy("old"), None
    again = answer(2, protocolVersion="2025-11-25")
    new = [*json_of(again, mcp_session_id="new"), Head(202, {}), b""]
    plan = call(server, "tools/call", {"name": "add"})
    played = play(plan, *lost, *new, *json_of(answer(3, ok=1)))
    assert played.result == {"ok": 1}
    sessions = [send.headers.get("mcp-session-id") for send in played.sent]
    assert sessions == ["old", None, "new", "new"]
    again["id"] = 5
    new = [*json_of(again, mcp_session_id="newer"), Head(202, {}), b""]
    with pytest.raises(BadResponse, match=r"404|400"):
        play(call(server, "tools/call", {}), *lost, *new, *lost)


def test_an_answer_that_knows_no_such_method_is_not_about_the_session() -> None:
    unknown = json_of(failure(-32601), 404)
    with pytest.raises(ServerError):
        play(call(legacy("old"), "prompts/list", {}), *unknown)


def test_a_404_tells_of_a_lost_session_only_where_there_was_a_stream() -> None:
    """Some servers that have none answer so, and the session would be begun again for ever."""
    assert play(listen(legacy()), Head(404, {})).result.status == 405
    assert play(listen(legacy()), Head(200, SSE), b"", Head(404, {})).result.status == 404


def test_a_session_is_ended_once() -> None:
    server = legacy("old")
    [sent] = play(farewell(server), Head(405, {})).sent
    assert (sent.method, sent.headers["mcp-session-id"]) == ("DELETE", "old")
    assert server.session == ""


# streams


def stream(*gives: Any, server: Server | None = None) -> Played:
    plan = exchange(server or legacy(), request(1, "tools/call", {}))
    return play(plan, Head(200, SSE), *gives)


def test_messages_come_before_the_answer_and_nothing_is_read_behind_it() -> None:
    ping = request(9, "ping", {})
    pieces = [event(NOTE), event(ping) + event(answer(2)) + event(answer(1, ok=1)), b"never"]
    played = stream(*pieces)
    assert played.result.message == answer(1, ok=1)
    assert played.told == [NOTE, ping, answer(2)]
    assert played.left == [b"never"]


@pytest.mark.parametrize("number", [True, 1.5, "x", [1], None])
def test_an_answer_to_another_id_is_not_ours(number: Any) -> None:
    with pytest.raises(Unavailable, match="ended before the answer"):
        stream(event(answer(number)), b"")


def test_an_error_without_an_id_is_ours() -> None:
    assert stream(event(failure(-32700, None))).result.message["error"]["code"] == -32700


def test_a_batch_is_read_message_by_message() -> None:
    played = stream(event(json.dumps([NOTE, answer(1, ok=1)])))
    assert played.told == [NOTE]
    assert played.result.message == answer(1, ok=1)


@pytest.mark.parametrize("text", ["{", "7", "{}", '[{"jsonrpc": "2.0"}, 7]', '{"jsonrpc": "1.0"}'])
def test_an_event_that_is_no_message_ends_it(text: str) -> None:
    with pytest.raises(BadResponse):
        stream(event(text))


@pytest.mark.parametrize("broken", [CUT, b""])
def test_a_stream_that_breaks_is_resumed_where_it_was(broken: Any) -> None:
    half = b"id: 9\ndata: {"
    rest = event(NOTE, "8") + event(answer(1, ok=1), "9")
    played = stream(event(NOTE, "7") + half, broken, Head(200, SSE), rest)
    assert played.result.message == answer(1, ok=1)
    assert [(send.method, send.headers.get("last-event-id")) for send in played.sent] == [
        ("POST", None),
        ("GET", "7"),
    ]
    resumed = played.sent[1].headers
    assert (resumed["accept"], resumed["mcp-session-id"]) == ("text/event-stream", "s-1")
    assert resumed["mcp-protocol-version"] == "2025-11-25"
    assert played.waited == [0.5]


def test_the_server_says_how_long_to_wait_but_not_how_short() -> None:
    gives = [b"retry: 2500\n" + event("", "1"), b"", Head(200, SSE)]
    assert stream(*gives, event(answer())).waited == [2.5]
    gives[0] = b"retry: 0\n" + event("", "1")
    assert stream(*gives, event(answer())).waited == [0.1]


def test_a_server_that_restarts_is_tried_again_for_a_while() -> None:
    played = stream(event(NOTE, "7"), CUT, Unavailable("refused"), Head(200, SSE), event(answer()))
    assert played.waited == [0.5, 1.0]
    with pytest.raises(Unavailable, match="the connection broke") as caught:
        stream(event(NOTE, "7"), *[CUT] * 6)
    assert caught.value.code == "stream_ended"
    assert "look before you try again" in caught.value.hint


def test_an_outage_is_waited_out_and_a_refusal_is_not() -> None:
    played = stream(event(NOTE, "7"), b"", Head(503, {}), Head(200, SSE), event(answer()))
    assert played.waited == [0.5, 1.0]
    with pytest.raises(Unavailable, match="ended before the answer"):
        stream(event(NOTE, "7"), b"", Head(405, {}))


def test_an_outage_lasts_as_long_as_the_server_says() -> None:
    busy = Head(429, {"retry-after": "7"})
    played = stream(event(NOTE, "7"), b"", busy, Head(200, SSE), event(answer()))
    assert played.waited == [0.5, 7.0]
    assert play(listen(legacy()), busy, Head(405, {})).waited == [7.0]


def test_progress_gives_more_tries() -> None:
    polls = [each for n in range(20) for each in (Head(200, SSE), event("", str(n)), b"")]
    played = stream(event(NOTE, "7"), b"", *polls, Head(200, SSE), event(answer()))
    assert played.result.message == answer()
    assert len(played.waited) == 21


@pytest.mark.parametrize("identity", ["", "a\x07b"])
def test_without_an_id_that_can_be_sent_nothing_is_resumed(identity: str) -> None:
    with pytest.raises(Unavailable, match="ended before the answer"):
        stream(event(NOTE, identity), b"")


# other answers


@pytest.mark.parametrize("status", [200, 202, 204])
def test_what_has_no_answer_needs_none(status: int) -> None:
    played = play(exchange(legacy(), NOTE), Head(status, {}), b"")
    assert (played.result.status, played.result.message) == (status, None)


def test_of_a_stream_that_answers_a_notification_nothing_is_read() -> None:
    played = play(exchange(legacy(), NOTE), Head(200, SSE), b"never")
    assert played.left == [b"never"]


def test_a_request_that_is_only_accepted_is_broken() -> None:
    with pytest.raises(BadResponse, match="an empty body"):
        play(call(modern(), "tools/list", {}), Head(202, {}), b"")


def test_an_answer_to_another_request_is_refused() -> None:
    with pytest.raises(BadResponse, match="another request"):
        play(call(modern(), "tools/list", {}), *json_of(answer(2)))


def test_a_page_and_a_redirect_are_named() -> None:
    page = Head(200, {"content-type": "text/html"})
    with pytest.raises(BadResponse, match="an HTML page"):
        play(call(modern(), "tools/list", {}), page, b"<html>", b"")
    with pytest.raises(BadResponse, match=r"redirect to https://other\.example/"):
        play(call(modern(), "x", {}), Head(307, {"location": "https://other.example/"}), b"")


@pytest.mark.parametrize("result", [None, 7, "text", []])
def test_a_result_is_an_object(result: Any) -> None:
    with pytest.raises(BadResponse, match="object"):
        play(call(modern(), "x", {}), *json_of({"jsonrpc": "2.0", "id": 1, "result": result}))


@pytest.mark.parametrize("error", ["text", {}, {"code": True, "message": 7}, {"code": "x"}])
def test_an_error_of_any_shape_is_an_error(error: Any) -> None:
    with pytest.raises(ServerError) as caught:
        play(call(modern(), "x", {}), *json_of({"jsonrpc": "2.0", "id": 1, "error": error}))
    assert caught.value.rpc_code == 0


def test_a_servers_words_are_quoted_and_cut() -> None:
    told = {"code": -1, "message": "no\x1b[31m\n" + "x" * 5000, "data": {"a": 1}}
    with pytest.raises(ServerError) as caught:
        play(call(modern(), "x", {}), *json_of({"jsonrpc": "2.0", "id": 1, "error": told}))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    assert caught.value.data == {"a": 1}


def test_a_body_without_end_is_read_up_to_its_limit() -> None:
    piece = b"x" * (1024 * 1024)
    with pytest.raises(BadResponse, match="32 MiB"):
        play(call(modern(), "x", {}), Head(200, JSON), *[piece] * (LARGEST // len(piece) + 1))
    played = play(exchange(modern(), request(1, "x", {})), Head(404, {}), *[piece] * 9)
    assert len(played.result.response.body) <= 64 * 1024
    assert len(played.left) == 8


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br", "x"])
def test_a_compression_that_was_not_asked_for_is_refused(encoding: str) -> None:
    head = Head(200, {**JSON, "content-encoding": encoding})
    with pytest.raises(BadResponse, match="compressed"):
        play(call(modern(), "x", {}), head, b"{}")


def test_ids_are_not_used_twice() -> None:
    server = modern()
    ids = [server.request("x", {})["id"] for _ in range(5)]
    assert len(set(ids)) == 5


def test_read_shows_what_a_plan_wants_next() -> None:
    plan = exchange(modern(), request(1, "x", {}))
    assert isinstance(next(plan), Send)
    assert isinstance(plan.send(Head(200, JSON)), Read)
