"""What a client says to the bridge, what the server gets of it, and what comes back."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from mcp_client_auth import MCPAuth
from mcp_client_auth.adapters.rpc import undelivered
from mcp_client_auth.mcp import bridge as module
from mcp_client_auth.mcp import exchange as exchange_module
from mcp_client_auth.mcp.bridge import Bridge
from mcp_client_auth.mcp.upstream import Login
from mcp_client_auth.testing import DemoServer, Settings
from mcp_client_auth.transport.racing import RacingTransport
from tests.support.mcp_stage import Behaviour, Message, Request, Stage, event, sessions

PATIENCE = 60.0
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "host", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
INITIALIZE: Message = {
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {"roots": {}}, "clientInfo": {}},
}
INITIALIZED: Message = {"method": "notifications/initialized"}
HELLO = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "héllo"}}


class Host:
    """The client's side: what it has got, and a wait for more."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.more = threading.Condition()
        self.bridge: Bridge

    def write(self, line: bytes) -> None:
        with self.more:
            self.lines.append(line)
            self.more.notify_all()

    def say(self, message: Message) -> None:
        self.bridge.take(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def got(self, wanted: Callable[[Message], bool]) -> Message:
        def found() -> Message | None:
            return next((each for each in map(json.loads, self.lines) if wanted(each)), None)

        with self.more:
            assert self.more.wait_for(found, PATIENCE), self.lines
            message = found()
        assert message is not None
        return message

    def answer(self, number: Any) -> Message:
        return self.got(lambda each: "method" not in each and each["id"] == number)

    def ask(self, number: Any, method: str = "x", **params: Any) -> Message:
        self.say({"id": number, "method": method, "params": params})
        return self.answer(number)

    def begin(self) -> Message:
        self.say(INITIALIZE)
        answer = self.answer(0)
        self.say(INITIALIZED)
        return answer


@contextmanager
def hosted(url: str, auth: Any = None, **more: Any) -> Iterator[Host]:
    host = Host()
    more.setdefault("error_for", lambda error: undelivered(error, url))
    transport = RacingTransport(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    with httpx.Client(transport=transport, auth=auth) as client:
        host.bridge = Bridge(client, url, host.write, **more)
        yield host
        host.bridge.close()


@contextmanager
def on_stage(behaviour: Behaviour, **more: Any) -> Iterator[tuple[Stage, Host]]:
    with Stage(behaviour) as stage, hosted(stage.url, **more) as host:
        yield stage, host


def wait_for(stage: Stage, wanted: Callable[[Request], bool]) -> Request:
    with stage.turn:
        known = list(stage.requests)
    ended = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if found := next((each for each in known if wanted(each)), None):
            return found
        ended.wait(0.01)
        with stage.turn:
            known = list(stage.requests)
    raise AssertionError(stage.methods)


def fine(request: Request) -> None:
    if request.command == "GET":
        request.reply(405)
    else:
        request.result(ok=1)


def test_a_session_is_begun_as_the_client_begins_it_and_ended_with_it() -> None:
    with on_stage(sessions(fine)) as (stage, host):
        assert host.begin()["result"]["protocolVersion"] == "2025-11-25"
        assert host.ask("a") == {"jsonrpc": "2.0", "id": "a", "result": {"ok": 1}}
        host.bridge.close()
        ended = wait_for(stage, lambda each: each.command == "DELETE")
    begun, initialized, *later = [each for each in stage.requests if each.command == "POST"]
    assert begun.message == {"jsonrpc": "2.0", **INITIALIZE}
    assert "Mcp-Session-Id" not in begun.headers
    assert "Mcp-Protocol-Version" not in begun.headers
    assert initialized.method == "notifications/initialized"
    for each in (initialized, *later, ended):
        assert each.headers["Mcp-Session-Id"] == "session-1"
        assert each.headers["Mcp-Protocol-Version"] == "2025-11-25"


def test_a_request_never_overtakes_that_the_client_is_initialized() -> None:
    late = threading.Event()

    def behaviour(request: Request) -> None:
        if request.method == "notifications/initialized":
            late.wait(0.2)
        inner(request)

    inner = sessions(fine)
    with on_stage(behaviour) as (stage, host):
        host.begin()
        host.ask(1)
    sent = [method for method in stage.methods if method != "GET"]
    assert sent[:3] == ["initialize", "notifications/initialized", "x"]


def test_a_forgotten_session_is_begun_again_as_before_unseen() -> None:
    with on_stage(sessions(fine)) as (stage, host):
        host.begin()
        host.ask(1)
        stage.behaviour = sessions(fine)  # it has restarted
        host.bridge._session.server.session = "session-9"
        assert host.ask(2)["result"] == {"ok": 1}
        assert host.ask(3)["result"] == {"ok": 1}
    begun = [each.message for each in stage.requests if each.method == "initialize"]
    assert begun == [{"jsonrpc": "2.0", **INITIALIZE}] * 2
    assert stage.methods.count("notifications/initialized") == 2
    assert sum(json.loads(line).get("id") == 0 for line in host.lines) == 1


def test_many_requests_find_the_session_forgotten_and_one_begins_it() -> None:
    with on_stage(sessions(fine)) as (stage, host):
        host.begin()
        host.ask("first")
        stage.behaviour = sessions(fine)
        host.bridge._session.server.session = "session-9"
        for number in range(1, 5):  # the stage has a short queue
            host.say({"id": number, "method": "x"})
        for number in range(1, 5):
            assert host.answer(number) == {"jsonrpc": "2.0", "id": number, "result": {"ok": 1}}
    assert stage.methods.count("initialize") == 2


def test_what_the_server_sends_beside_the_answer_and_asks_the_client() -> None:
    def behaviour(request: Request) -> None:
        if request.command == "GET":
            request.reply(405)
        elif "method" in request.message:
            request.stream(event(HELLO), event(sampling), event(request.answer(ok=1)))

    sampling = {"jsonrpc": "2.0", "id": "s", "method": "sampling/createMessage", "params": {}}
    answered = {"jsonrpc": "2.0", "id": "s", "result": {"model": "m"}}

    def in_session(request: Request) -> None:
        if "result" in request.message:
            request.reply(202)
        else:
            inner(request)

    inner = sessions(behaviour)
    with on_stage(in_session) as (stage, host):
        host.begin()
        assert host.ask(1)["result"] == {"ok": 1}
        told = [json.loads(line) for line in host.lines]
        assert HELLO in told
        assert sampling in told
        host.say({"id": "s", "result": {"model": "m"}})
        back = wait_for(stage, lambda each: "result" in each.message)
    assert back.message == answered
    assert back.headers["Mcp-Session-Id"] == "session-1"


def test_the_stream_of_the_server_itself_is_resumed_and_ends_with_the_bridge() -> None:
    def behaviour(request: Request) -> None:
        if request.command != "GET":
            request.result(ok=1)
        elif request.headers.get("Last-Event-ID") == "7":
            request.stream(event(HELLO, "8"))
            stage.over.wait(PATIENCE)
        else:
            request.stream(b"retry: 1\n", event({**HELLO, "params": {}}, "7"))

    with on_stage(sessions(behaviour)) as (stage, host):
        host.begin()
        assert host.got(lambda each: each == HELLO)
        assert host.ask(1)["result"] == {"ok": 1}
    assert sum(each.command == "GET" for each in stage.requests) == 2


def test_a_stream_is_resumed_after_an_event_whose_id_is_not_ascii() -> None:
    resumed: list[bytes] = []

    def behaviour(request: Request) -> None:
        if request.command != "GET":
            request.stream("id: é7\nretry: 1\ndata:\n\n".encode())
        elif last := request.headers.get("Last-Event-ID"):
            resumed.append(last.encode("latin-1"))
            request.stream(event({"jsonrpc": "2.0", "id": 1, "result": {"ok": 1}}))
        else:
            request.reply(405)

    with on_stage(sessions(behaviour)) as (_, host):
        host.begin()
        assert host.ask(1)["result"] == {"ok": 1}
    assert resumed == ["é7".encode()]  # HTML Living Standard §9.2.3: as UTF-8


def test_a_restarted_server_is_noticed_by_the_open_stream() -> None:
    dropped, inner = threading.Event(), [sessions(lambda request: streaming(request))]

    def streaming(request: Request) -> None:
        if request.command == "GET":
            request.stream(b"retry: 1\n: hello\n\n")
            dropped.wait(PATIENCE)
        else:
            request.result(ok=1)

    with on_stage(lambda request: inner[0](request)) as (stage, host):
        host.begin()
        wait_for(stage, lambda each: each.command == "GET")
        inner[0] = sessions(fine, "2025-06-18")
        host.bridge._session.server.session = (
            "session-9"  # a stream that is begun again is refused now
        )
        dropped.set()
        wait_for(stage, lambda each: each is not stage.requests[0] and each.method == "initialize")
        assert host.ask(1)["result"] == {"ok": 1}
    assert stage.requests[-2].headers["Mcp-Protocol-Version"] == "2025-06-18"


def test_a_server_that_has_no_such_stream_keeps_its_session() -> None:
    def behaviour(request: Request) -> None:
        if request.command == "GET":
            request.reply(404)  # as a framework answers where only POST has a route
        else:
            request.result(ok=1)

    ended = threading.Event()
    with on_stage(sessions(behaviour)) as (stage, host):
        host.begin()
        wait_for(stage, lambda each: each.command == "GET")
        while host.bridge._no_stream is None and stage.methods.count("initialize") == 1:
            ended.wait(0.01)
        assert host.ask(1)["result"] == {"ok": 1}
    assert stage.methods.count("initialize") == 1
    assert stage.methods.count("GET") == 1


def test_what_the_open_stream_begins_asks_no_one_to_sign_in() -> None:
    class Asking(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
            request.headers["X-Asking"] = "yes"
            yield request

    streams = iter([200, 404, 405])

    def behaviour(request: Request) -> None:
        if request.command == "GET" and (status := next(streams, 405)) == 200:
            request.stream(b"retry: 1\n\n")
        elif request.command == "GET":
            request.reply(status)
        else:
            request.result(ok=1)

    with Stage(sessions(behaviour)) as stage:
        login = Login(lambda: stage.url, quiet=httpx.Auth())
        with hosted(stage.url, Asking(), login=login) as host:
            host.begin()
            session = host.bridge._session.server
            begun = "GET", "session-2"
            wait_for(stage, lambda each: (each.command, each.headers["Mcp-Session-Id"]) == begun)
            assert host.ask(1)["result"] == {"ok": 1}
            assert host.bridge._session.server is not session
    first, second = (each for each in stage.requests if each.method == "initialize")
    assert first.headers["X-Asking"] == "yes"
    assert "X-Asking" not in second.headers
    asked = [each.method for each in stage.requests if each.headers["X-Asking"]]
    assert asked == ["initialize", "notifications/initialized", "x"]


def test_a_request_of_2026_07_28_has_its_headers_and_no_session() -> None:
    with on_stage(fine) as (stage, host):
        answer = host.ask(1, "tools/call", name="ä tool", arguments={}, _meta=META)
    [request] = stage.requests
    assert answer["result"] == {"ok": 1}
    assert request.headers["Mcp-Protocol-Version"] == "2026-07-28"
    assert request.headers["Mcp-Method"] == "tools/call"
    assert request.headers["Mcp-Name"] == "=?base64?w6QgdG9vbA==?="
    assert request.message["params"] == {"name": "ä tool", "arguments": {}, "_meta": META}


def test_arguments_that_the_server_wants_in_headers_are_there_at_the_second_try() -> None:
    schema = {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}

    def behaviour(request: Request) -> None:
        if request.method == "tools/list":
            request.result(tools=[{"name": "t", "inputSchema": schema}])
        elif request.headers.get("Mcp-Param-Region") != "eu":
            error = {"code": -32020, "message": "no header"}
            body = {"jsonrpc": "2.0", "id": request.message["id"], "error": error}
            request.reply(400, json.dumps(body).encode())
        else:
            request.result(ok=1)

    with on_stage(behaviour) as (stage, host):
        for number in (1, 2):
            answer = host.ask(
                number, "tools/call", name="t", arguments={"region": "eu"}, _meta=META
            )
            assert answer["result"] == {"ok": 1}
    assert stage.methods == ["tools/call", "tools/list", "tools/call", "tools/call"]


def test_a_tool_whose_headers_break_the_rules_is_left_out() -> None:
    broken = {"properties": {"region": {"type": "string", "x-mcp-header": "a b"}}}
    listed = [{"name": "fine", "inputSchema": {}}, {"name": "broken", "inputSchema": broken}]
    with on_stage(lambda request: request.result(tools=listed)) as (_, host):
        assert host.ask(1, "tools/list", _meta=META)["result"]["tools"] == listed[:1]
        assert host.ask(2, "tools/list")["result"]["tools"] == listed  # no rule before 2026-07-28


def test_an_older_server_is_told_to_clients_as_such() -> None:
    with on_stage(sessions(fine)) as (_, host):
        assert host.ask(1, "server/discover", _meta=META)["error"]["code"] == -32601
        assert host.begin()["result"]["protocolVersion"] == "2025-11-25"


@pytest.mark.parametrize("modern", [True, False])
def test_a_cancelled_request_is_cancelled_at_the_server_and_not_answered(modern: bool) -> None:
    begun, gone = threading.Event(), threading.Event()

    def behaviour(request: Request) -> None:
        if request.command == "GET":
            request.reply(405)
            return
        if request.method != "slow":
            request.result(ok=1)
            return
        request.stream(event(HELLO))
        begun.set()
        request.connection.settimeout(PATIENCE)
        if request.connection.recv(1) == b"":  # the client has closed it
            gone.set()

    params: Message = {"_meta": META} if modern else {}
    with on_stage(behaviour if modern else sessions(behaviour)) as (stage, host):
        if not modern:
            host.begin()
        host.say({"id": 1, "method": "slow", "params": params})
        assert begun.wait(PATIENCE)
        host.got(lambda each: each == HELLO)
        host.say({"method": "notifications/cancelled", "params": {"requestId": 1, **params}})
        assert gone.wait(PATIENCE)
        assert host.ask(2, **params)["result"] == {"ok": 1}
    assert ("notifications/cancelled" in stage.methods) is not modern
    assert all(json.loads(line).get("id") != 1 for line in host.lines)


def test_a_request_whose_answer_has_not_begun_is_cancelled_at_a_stateless_server() -> None:
    begun, gone = threading.Event(), threading.Event()

    def behaviour(request: Request) -> None:
        if request.method != "slow":
            request.result(ok=1)
            return
        begun.set()
        request.connection.settimeout(PATIENCE)
        if request.connection.recv(1) == b"":
            gone.set()

    with on_stage(behaviour) as (stage, host):
        host.say({"id": 1, "method": "slow", "params": {"_meta": META}})
        assert begun.wait(PATIENCE)
        host.say({"method": "notifications/cancelled", "params": {"requestId": 1, "_meta": META}})
        assert gone.wait(PATIENCE)
        assert host.ask(2, _meta=META)["result"] == {"ok": 1}
    assert stage.methods == ["slow", "x"]
    assert all(json.loads(line).get("id") != 1 for line in host.lines)


def test_a_request_that_is_cancelled_while_it_waits_for_a_login_is_never_sent() -> None:
    asked, go = threading.Event(), threading.Event()

    class Slow(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
            if b'"slow"' in request.content:
                asked.set()
                go.wait(PATIENCE)
            yield request

    with Stage(fine) as stage, hosted(stage.url, Slow()) as host:
        host.say({"id": 1, "method": "slow", "params": {"_meta": META}})
        assert asked.wait(PATIENCE)
        host.say({"method": "notifications/cancelled", "params": {"requestId": 1, "_meta": META}})
        opened = next(iter(host.bridge._open.values()))
        while not opened.stopped:
            go.wait(0.001)
        go.set()
        host.bridge.finish(PATIENCE)
        assert host.ask(2, _meta=META)["result"] == {"ok": 1}
    assert stage.methods == ["x"]
    assert all(json.loads(line).get("id") != 1 for line in host.lines)


def test_a_request_is_cancelled_although_an_earlier_notification_waits_for_a_login() -> None:
    asked, go = threading.Semaphore(0), threading.Event()

    class Slow(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
            asked.release()
            go.wait(PATIENCE)
            yield request

    with Stage(fine) as stage, hosted(stage.url, Slow()) as host:
        host.say({"method": "notifications/progress", "params": {}})
        host.say({"id": 1, "method": "slow"})
        assert all(asked.acquire(timeout=PATIENCE) for _ in range(2))
        host.say({"method": "notifications/cancelled", "params": {"requestId": 1}})
        go.set()
        assert wait_for(stage, lambda each: each.method == "notifications/cancelled")
        host.bridge.finish(PATIENCE)
    assert "slow" not in stage.methods
    assert host.lines == []


def test_numbers_and_texts_come_through_as_they_are() -> None:
    answer = b'{"jsonrpc":"2.0","id":1,"result":{"n":12345678901234567890123,"s":"\xc3\xa4"}}'

    def behaviour(request: Request) -> None:
        request.reply(200, answer)

    body = b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"n":1.50,"s":"\\ud800"}}'
    with on_stage(behaviour) as (stage, host):
        host.bridge.take(body)
        assert host.answer(1) == json.loads(answer)
    assert stage.requests[0].message["params"] == {"n": 1.5, "s": "\ud800"}
    assert host.lines == [answer + b"\n"]


def test_a_byte_order_mark_before_the_first_message_is_no_part_of_it() -> None:
    with on_stage(fine) as (stage, host):
        host.bridge.take(b'\xef\xbb\xbf{"jsonrpc": "2.0", "id": 1, "method": "x"}')
        assert host.answer(1)["result"] == {"ok": 1}
    assert stage.methods == ["x"]  # which the server could read


def test_half_a_surrogate_pair_costs_no_answer() -> None:
    def behaviour(request: Request) -> None:
        request.reply(200, b'{"jsonrpc":"2.0","id":1,"result":{"s":"\\ud800 \xc3\xa4"}}')

    with on_stage(behaviour) as (stage, host):
        host.bridge.take(b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"s":"\\ud800"}}')
        assert host.answer(1)["result"] == {"s": "\ufffd ä"}
        host.bridge.take(b'{"jsonrpc":"2.0","id":"\\udc00","method":7}')
        assert host.got(lambda each: "error" in each)["id"] == "\udc00"
        host.bridge.take(b'[{"jsonrpc":"2.0","id":"\\udc00","method":"tools/call"}]')
        assert host.answer("\udc00")["error"]
    assert stage.requests[0].message["params"] == {"s": "\ud800"}


def cut(request: Request) -> None:
    request.stream(event(HELLO))


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (lambda request: request.reply(500, b"secret words"), 503),
        (lambda request: request.reply(200, b"no JSON"), 502),
        (lambda request: request.reply(403, b"secret words"), 403),
        (cut, 503),
    ],
    ids=["broken", "no-json", "refused", "cut"],
)
def test_what_goes_wrong_is_an_error_of_that_request_and_the_bridge_lives_on(
    behaviour: Behaviour, code: int
) -> None:
    with on_stage(behaviour) as (stage, host):
        error = host.ask(1)["error"]
        assert error["code"] == code
        assert stage.url in error["message"]
        assert "secret words" not in error["message"]  # a model takes it for our words
        assert error["data"]["source"] == "mcp-client-auth"
        if behaviour is cut:
            assert "may have done what was requested" in error["message"]
        stage.behaviour = fine
        assert host.ask(2)["result"] == {"ok": 1}


@pytest.mark.parametrize("streaming", [False, True], ids=["json", "stream"])
def test_that_an_answer_is_too_large_is_said_to_who_can_request_less(
    streaming: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behaviour(request: Request) -> None:
        answer = request.answer(text="x" * 2000)
        if streaming:
            request.stream(b"data: " + b"x" * 2000)  # and on
        else:
            request.reply(200, json.dumps(answer).encode())

    monkeypatch.setattr(exchange_module, "LARGEST", 1000)
    with on_stage(behaviour) as (_, host):
        error = host.ask(1)["error"]
    assert error["code"] == 502
    assert "is larger than 0 MiB, from" in error["message"]
    assert error["message"].endswith("Request less at once")


def test_a_server_that_is_not_there_is_an_error_of_each_request() -> None:
    with Stage(fine) as stage:
        url = stage.url
    with hosted(url) as host:
        error = host.ask(1)["error"]
        assert error["code"] == 503
        assert "may have done" not in error["message"]  # nothing was sent
        host.say(INITIALIZED)  # has no answer
        assert host.ask(2)["error"]["code"] == 503


def test_without_a_login_each_call_says_so_and_the_next_one_after_a_login_works() -> None:
    with DemoServer(Settings()) as server:
        auth = MCPAuth(server.url, prompt=None, storage="memory", on_failure="rpc")
        with hosted(server.url, auth) as host:
            error = host.ask(1, "tools/list", _meta=META)["error"]
            assert error["code"] == 401
            assert f"mcp-login {server.url}" in error["message"]
            from mcp_client_auth import BrowserPrompt
            from mcp_client_auth.testing import ScriptedBrowser

            browser = ScriptedBrowser()
            prompt = BrowserPrompt(open_url=browser)
            MCPAuth(server.url, prompt=prompt, storage="memory").login()
            browser.join(PATIENCE)
            assert host.ask(2, "tools/list", _meta=META)["result"]["tools"]


class Person(httpx.Auth):
    """Signs in for the messages of one method when the test says so."""

    def __init__(self, method: str) -> None:
        self.method = f'"{method}"'.encode()
        self.asked, self.go = threading.Event(), threading.Event()

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        if self.method in request.content:
            self.asked.set()
            self.go.wait(PATIENCE)
        yield request


def progressing(number: str, method: str) -> Message:
    return {"id": number, "method": method, "params": {"_meta": {"progressToken": number}}}


def until_it_waits(host: Host, number: str) -> None:
    while number not in [each["id"] for each in host.bridge._waiting()]:
        threading.Event().wait(0.001)


def test_while_a_person_signs_in_the_client_is_told() -> None:
    person = Person("slow")
    with Stage(sessions(fine)) as stage, hosted(stage.url, person) as host:
        host.bridge.waits("too early for a log")
        host.bridge.waits_no_more()
        host.begin()
        host.say(progressing("a", "slow"))
        assert person.asked.wait(PATIENCE)
        host.bridge.waits("sign in")
        logged = host.got(lambda each: each.get("method") == "notifications/message")
        shown = host.got(lambda each: each.get("method") == "notifications/progress")
        host.bridge.waits_no_more()
        person.go.set()
        assert host.answer("a")["result"] == {"ok": 1}
    assert logged["params"]["data"] == "sign in"
    assert shown["params"]["progressToken"] == "a"
    assert shown["params"]["message"] == "sign in"
    assert sum("sign in" in line.decode() for line in host.lines) == 2


def test_a_request_that_the_server_has_is_not_told_of_a_login_that_it_does_not_wait_for() -> None:
    arrived, go, person = threading.Event(), threading.Event(), Person("slow")

    def busy(request: Request) -> None:
        if request.method == "busy":
            arrived.set()
            assert go.wait(PATIENCE)
        fine(request)

    with Stage(sessions(busy)) as stage, hosted(stage.url, person) as host:
        host.begin()
        host.say(progressing("at the server", "busy"))
        assert arrived.wait(PATIENCE)
        host.say(progressing("cancelled", "slow"))
        assert person.asked.wait(PATIENCE)
        host.say({"method": "notifications/cancelled", "params": {"requestId": "cancelled"}})
        host.say(progressing("waits", "slow"))
        until_it_waits(host, "waits")
        host.bridge.waits("sign in")
        told = host.got(lambda each: each.get("method") == "notifications/progress")
        host.bridge.waits_no_more()
        go.set()
        person.go.set()
        for number in ("waits", "at the server"):
            assert host.answer(number)["result"] == {"ok": 1}
    assert told["params"]["progressToken"] == "waits"
    assert sum("notifications/progress" in line.decode() for line in host.lines) == 1


def test_one_that_waits_for_a_session_that_waits_for_a_login_is_told() -> None:
    person = Person("notifications/initialized")
    with Stage(sessions(fine)) as stage, hosted(stage.url, person) as host:
        host.begin()
        assert person.asked.wait(PATIENCE)
        host.say(progressing("a", "x"))
        until_it_waits(host, "a")
        host.bridge.waits("sign in")
        told = host.got(lambda each: each.get("method") == "notifications/progress")
        host.bridge.waits_no_more()
        person.go.set()
        assert host.answer("a")["result"] == {"ok": 1}
    assert told["params"]["progressToken"] == "a"


def test_a_client_that_reads_nothing_does_not_hold_up_the_login() -> None:
    with ThreadPoolExecutor(1) as login, on_stage(sessions(fine)) as (_, host):
        host.begin()
        with host.more:  # what is written waits
            login.submit(host.bridge.waits, "sign in").result(PATIENCE)
        assert host.got(lambda each: each.get("params", {}).get("data") == "sign in")
        host.bridge.waits_no_more()


def test_a_hidden_tool_is_neither_listed_nor_called() -> None:
    def behaviour(request: Request) -> None:
        if request.method == "tools/list":
            request.result(tools=[{"name": "add"}, {"name": "drop"}, "odd"], nextCursor="2")
        else:
            request.result(ok=1)

    with on_stage(behaviour, offers=lambda name: name != "drop") as (stage, host):
        listed = host.ask(1, "tools/list")["result"]
        assert listed == {"tools": [{"name": "add"}, "odd"], "nextCursor": "2"}
        assert host.ask(2, "tools/call", name="drop")["error"]["code"] == -32602
        assert host.ask(3, "tools/call", name="add")["result"] == {"ok": 1}
        two = b'"params":{"name":"drop"},"params":{"name":"add"}'
        host.bridge.take(b'{"jsonrpc":"2.0","id":4,"method":"tools/call",' + two + b"}")
        assert host.answer(None)["error"]["code"] == -32700
        host.say({"method": "tools/call", "params": {"name": "drop"}})
        assert host.got(lambda each: each.get("error", {}).get("code") == -32602 and not each["id"])
    assert stage.methods == ["tools/list", "tools/call"]


def test_of_too_many_requests_at_once_the_last_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    go = threading.Event()

    def behaviour(request: Request) -> None:
        go.wait(PATIENCE)
        request.result(ok=1)

    with on_stage(behaviour) as (_, host):
        for number in range(4):
            host.say({"id": number, "method": "x"})
        assert host.answer(3)["error"]["code"] == 503
        go.set()
        for number in range(3):
            assert host.answer(number)["result"] == {"ok": 1}
        host.bridge.finish(PATIENCE)
        assert host.ask(5)["result"] == {"ok": 1}


def test_what_is_on_its_way_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    go, held = threading.Event(), threading.Semaphore(0)

    def behaviour(request: Request) -> None:
        held.release()
        go.wait(PATIENCE)
        request.result(ok=1)

    def say_six(host: Host) -> None:
        for number in range(6):
            host.say({"id": number, "method": "x", "params": {"s": "x" * 400}})

    with on_stage(behaviour) as (stage, host):
        sayer = threading.Thread(target=say_six, args=(host,), daemon=True)
        sayer.start()
        assert all(held.acquire(timeout=PATIENCE) for _ in range(2))
        assert sayer.is_alive()
        assert len(stage.requests) == 2
        go.set()
        for number in range(6):
            assert host.answer(number)["result"] == {"ok": 1}


def test_of_too_much_that_waits_for_an_answer_the_last_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once it is on its way, and without holding up what the client says next."""
    monkeypatch.setattr(module, "MOST_HELD", 1000)
    go = threading.Event()

    def behaviour(request: Request) -> None:
        request.stream(event(HELLO))
        go.wait(PATIENCE)
        request.wfile.write(event(request.answer(ok=1)))

    with on_stage(behaviour) as (_, host):
        for number in range(3):
            host.say({"id": number, "method": "x", "params": {"s": "x" * 400}})
        assert "MiB at once" in host.answer(2)["error"]["message"]
        go.set()
        for number in range(2):
            assert host.answer(number)["result"] == {"ok": 1}
        host.bridge.finish(PATIENCE)
        assert host.ask(3, s="x" * 900)["result"] == {"ok": 1}


def test_notifications_that_wait_for_others_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    person = Person("notifications/progress")

    def say_six(host: Host) -> None:
        for number in range(6):
            host.say({"method": "notifications/progress", "params": {"s": f"{number:400}"}})

    with Stage(sessions(fine)) as stage, hosted(stage.url, person) as host:
        host.begin()
        sayer = threading.Thread(target=say_six, args=(host,), daemon=True)
        sayer.start()
        assert person.asked.wait(PATIENCE)
        sayer.join(0.1)
        assert sayer.is_alive()
        person.go.set()
        sayer.join(PATIENCE)
        host.bridge.finish(PATIENCE)
    said = [each.message for each in stage.requests if each.method == "notifications/progress"]
    assert [int(each["params"]["s"]) for each in said] == [*range(6)]


def test_what_the_client_said_last_is_delivered_before_the_end() -> None:
    person = Person("notifications/cancelled")
    with Stage(sessions(fine)) as stage, hosted(stage.url, person) as host:
        host.begin()
        host.say({"method": "notifications/cancelled", "params": {"requestId": 1}})
        assert person.asked.wait(PATIENCE)
        threading.Timer(0.1, person.go.set).start()
        host.bridge.finish(PATIENCE)
        assert stage.methods[-1] == "notifications/cancelled"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", -32700),
        (b"\xff", -32700),
        (b"[" * 100_000, -32700),
        (b"7", -32600),
        (b"[]", -32600),
        (b'{"method": "x", "id": 1}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1}', -32600),
        (b'{"jsonrpc": "2.0", "method": "x", "id": [1]}', -32600),
    ],
)
def test_a_line_that_is_no_message_is_answered_and_goes_nowhere(line: bytes, code: int) -> None:
    with on_stage(fine) as (stage, host):
        host.bridge.take(line)
        assert host.got(lambda each: "error" in each)["error"]["code"] == code
    assert stage.requests == []


@pytest.mark.parametrize("form", ["%s", "[%s]"])
def test_no_depth_of_a_message_ends_the_bridge(form: str) -> None:
    """What can be read can be nested too deep to be written again."""
    with on_stage(fine) as (_, host):
        for depth in range(900, 1000):
            deep = "[" * depth + "]" * depth
            for text in (f'"id":{deep}', f'"id":{deep},"method":"x"', f'"x":{deep}'):
                host.bridge.take((form % f'{{"jsonrpc":"2.0",{text}}}').encode())
        host.bridge.finish(PATIENCE)
        assert all(json.loads(line)["error"]["code"] in (-32600, -32700) for line in host.lines)
        assert len(host.lines) == 300
        host.bridge.take(form.replace("%s", '{"jsonrpc":"2.0","id":1,"method":"x"}').encode())
        assert host.answer(1)["result"] == {"ok": 1}


def test_the_messages_of_a_batch_are_answered_one_by_one() -> None:
    with on_stage(fine) as (_, host):
        batch = [{"jsonrpc": "2.0", "id": number, "method": "x"} for number in (1, "1")]
        host.bridge.take(json.dumps(batch).encode())
        assert host.answer(1)["result"] == host.answer("1")["result"] == {"ok": 1}
