"""Requests of clients that speak HTTP, what the server gets of them, and what comes back."""

from __future__ import annotations

import json
import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import httpx
import pytest

from mcp_client_auth import MCPAuth
from mcp_client_auth.adapters.rpc import undelivered
from mcp_client_auth.errors import LoginFailed
from mcp_client_auth.mcp import patience as patience_module
from mcp_client_auth.mcp.events import EventReader
from mcp_client_auth.mcp.exchange import LARGEST
from mcp_client_auth.mcp.patience import Patience
from mcp_client_auth.mcp.relay import Relay
from mcp_client_auth.mcp.serving import Serving
from mcp_client_auth.mcp.upstream import MOST_BYTES, Budget, Login
from mcp_client_auth.testing import DemoServer, Settings
from mcp_client_auth.transport.racing import RacingTransport
from tests.support.mcp_stage import Behaviour, Message, Request, Stage, event, sessions

PATIENCE: Final = 60.0
HELLO = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "héllo"}}
CALL: Message = {"jsonrpc": "2.0", "id": 1, "method": "x"}
NOTICE: Message = {"jsonrpc": "2.0", "method": "notifications/x"}


@contextmanager
def relayed(url: str, auth: Any = None, **more: Any) -> Iterator[httpx.Client]:
    """A client of the listener in front of the server at `url`."""
    transport = RacingTransport(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    serving = Serving("127.0.0.1", 0, largest=LARGEST, budget=Budget(MOST_BYTES))
    with httpx.Client(transport=transport, auth=auth) as upstream:
        more.setdefault("error_for", lambda error: undelivered(error, url))
        relays = more.pop("relays", [])
        relay = Relay(upstream, url, Login(lambda: url, quiet=auth), **more)
        relays.append(relay)
        serving.start(lambda *head: None, relay)
        here = f"http://{serving.name}/"
        with serving, httpx.Client(base_url=here, trust_env=False, timeout=PATIENCE) as client:
            yield client


@contextmanager
def on_stage(behaviour: Behaviour, **more: Any) -> Iterator[tuple[Stage, httpx.Client]]:
    with Stage(behaviour) as stage, relayed(stage.url, **more) as client:
        yield stage, client


def fine(request: Request) -> None:
    request.result(ok=1)


def test_a_session_is_the_clients_own_and_several_have_theirs() -> None:
    with on_stage(sessions(fine)) as (stage, client):
        begun = [client.post("", json={**CALL, "method": "initialize"}) for _ in range(2)]
        named = [each.headers["Mcp-Session-Id"] for each in begun]
        assert named == ["session-1", "session-2"]
        for session in named:
            answer = client.post("", json=CALL, headers={"Mcp-Session-Id": session})
            assert answer.json() == {"jsonrpc": "2.0", "id": 1, "result": {"ok": 1}}
            assert stage.requests[-1].headers["Mcp-Session-Id"] == session
        assert client.delete("", headers={"Mcp-Session-Id": named[0]}).status_code == 200
        again = client.post("", json=CALL, headers={"Mcp-Session-Id": named[0]})
        assert again.status_code == 404  # which tells a client to begin a new one
        done = client.post("", json=NOTICE, headers={"Mcp-Session-Id": named[1]})
        assert (done.status_code, done.content) == (202, b"")


def test_a_body_passes_byte_by_byte() -> None:
    sent = b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"n":1.50,"s":"\\ud800"}}'
    got = b'{"jsonrpc":"2.0","id":1,"result":{"n":12345678901234567890123,"s":"\xc3\xa4"}}'
    bodies: list[bytes] = []

    def seen(request: Request) -> None:
        bodies.append(json.dumps(request.message).encode())
        request.reply(200, got)

    with on_stage(seen) as (_, client):
        answer = client.post("", content=sent, headers={"Content-Type": "application/json"})
        assert answer.content == got
        assert json.loads(bodies[0]) == json.loads(sent)


def test_no_credential_and_no_cookie_passes_in_either_direction() -> None:
    def behaviour(request: Request) -> None:
        request.result(("Set-Cookie", "a=b"), ("WWW-Authenticate", "Bearer"), ok=1)

    own = {"Authorization": "Bearer of-the-listener", "Cookie": "c=d", "X-Own": "1"}
    with on_stage(behaviour) as (stage, client):
        answer = client.post("", json=CALL, headers=own)
    assert not {"set-cookie", "www-authenticate"} & answer.headers.keys()
    sent = {name.lower() for name in stage.requests[0].headers}
    assert not {"authorization", "cookie", "x-own"} & sent


def test_a_stream_comes_as_it_is_sent_and_is_resumed_by_the_client() -> None:
    go = threading.Event()

    def behaviour(request: Request) -> None:
        if request.command == "GET":
            request.stream(event(request_message, request.headers["Last-Event-ID"]))
            return
        request.stream(b"retry: 10\n", event(HELLO, "7"))
        go.wait(PATIENCE)
        request.stream(event(request.answer(ok=1)))

    request_message = {"jsonrpc": "2.0", "id": 1, "result": {"resumed": True}}
    with on_stage(behaviour) as (stage, client):
        with client.stream("POST", "", json=CALL) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            got, pieces = b"", answer.iter_raw()
            while not got.endswith(b"\n\n"):
                got += next(pieces)
            assert got == b"retry: 10\n" + event(HELLO, "7")
        resumed = client.get("", headers={"Last-Event-ID": "7", "Accept": "text/event-stream"})
        go.set()
        assert resumed.content == event(request_message, "7")
    assert stage.requests[1].headers["Accept"] == "text/event-stream"


def cut(request: Request) -> None:
    request.head(200, "text/event-stream", ("Content-Length", "9999"))
    request.wfile.write(event(HELLO))


def test_a_stream_that_breaks_at_the_server_breaks_at_the_client() -> None:
    with (
        on_stage(cut) as (_, client),
        client.stream("POST", "", json=CALL) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        answer.read()


def ask(raw: socket.socket, client: httpx.Client, headers: dict[str, str]) -> None:
    """Sends CALL by hand: how it is read, and when it is hung up, is the test's."""
    raw.settimeout(PATIENCE)
    raw.connect((client.base_url.host, client.base_url.port))
    asked = client.build_request("POST", "", json=CALL, headers=headers)
    head = "".join(f"{name}: {text}\r\n" for name, text in asked.headers.items())
    raw.sendall(f"POST / HTTP/1.1\r\n{head}\r\n".encode() + asked.read())


@pytest.mark.parametrize("streaming", [False, True], ids=["before", "within"])
def test_a_client_that_hangs_up_ends_it_at_the_server(streaming: bool) -> None:
    begun, gone = threading.Event(), threading.Event()

    def behaviour(request: Request) -> None:
        if streaming:
            request.stream(event(HELLO))
        begun.set()
        request.connection.settimeout(PATIENCE)
        if request.connection.recv(1) == b"":
            gone.set()

    with on_stage(behaviour) as (_, client):
        with socket.socket() as raw:
            ask(raw, client, {})
            assert begun.wait(PATIENCE)
            if streaming:
                assert raw.recv(1)
        assert gone.wait(PATIENCE)


@pytest.mark.parametrize(
    ("behaviour", "code", "status"),
    [
        (lambda request: request.connection.close(), 503, 503),
        (lambda request: request.reply(307, b"", ("Location", "https://x.example")), 502, 502),
        (lambda request: request.reply(401, b"words"), 403, 403),
    ],
    ids=["broken", "redirect", "refused"],
)
def test_a_request_gets_an_error_of_json_rpc_and_the_rest_a_status(
    behaviour: Behaviour, code: int, status: int
) -> None:
    with on_stage(behaviour) as (stage, client):
        answer = client.post("", json={**CALL, "id": "a"})
        assert answer.status_code == 200
        assert answer.json()["id"] == "a"
        assert answer.json()["error"]["code"] == code
        assert stage.url in answer.json()["error"]["message"]
        for other in (client.post("", json=NOTICE), client.get(""), client.post("", json=[])):
            assert other.status_code == status
            assert other.json()["id"] is None
            assert not {"www-authenticate", "location"} & other.headers.keys()


def test_what_the_server_refuses_by_itself_is_handed_on() -> None:
    def behaviour(request: Request) -> None:
        request.reply(400, b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32600}}')

    with on_stage(behaviour) as (_, client):
        answer = client.post("", json=CALL)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32600


def test_that_a_server_has_only_the_older_transport_is_said_to_who_runs_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with on_stage(lambda request: request.reply(405)) as (_, client):
        assert client.post("", json={**CALL, "method": "initialize"}).status_code == 405
    assert "use the bridge over stdio" in caplog.text


def test_of_a_refusal_without_end_a_part_is_handed_on() -> None:
    def behaviour(request: Request) -> None:
        request.reply(500, b"x" * 1_000_000)

    with on_stage(behaviour) as (_, client):
        assert len(client.post("", json=CALL).content) == 64 * 1024


def test_an_answer_that_takes_too_long_is_said() -> None:
    never = threading.Event()

    def late(request: Request) -> None:
        never.wait(PATIENCE)

    with on_stage(late, timeout=0.1) as (_, client):
        error = client.post("", json=CALL).json()["error"]
        never.set()
    assert error["code"] == 503


def test_without_a_login_a_call_says_so_and_the_next_one_after_a_login_works() -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "host", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    listing = {**CALL, "method": "tools/list", "params": {"_meta": meta}}
    spoken = {
        "Accept": "application/json, text/event-stream",
        "Mcp-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/list",
    }
    with DemoServer(Settings()) as server:
        auth = MCPAuth(server.url, prompt=None, storage="memory", on_failure="rpc")
        with relayed(server.url, auth) as client:
            error = client.post("", json=listing, headers=spoken).json()["error"]
            assert error["code"] == 401
            assert f"mcp-login {server.url}" in error["message"]
            assert client.get("").status_code == 405
            from mcp_client_auth import BrowserPrompt
            from mcp_client_auth.testing import ScriptedBrowser

            browser = ScriptedBrowser()
            MCPAuth(server.url, prompt=BrowserPrompt(open_url=browser), storage="memory").login()
            browser.join(PATIENCE)
            answer = client.post("", json=listing, headers=spoken)
            assert answer.json()["result"]["tools"], answer.text


class Person(httpx.Auth):
    """Signs in when the test says so, and then there is a login; `fails`: or there is none."""

    def __init__(self) -> None:
        self.asked, self.go, self.fails = threading.Semaphore(0), threading.Event(), False

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        self.asked.release()
        assert self.go.wait(PATIENCE)
        if self.fails:
            raise LoginFailed("the person has closed the page")
        yield request


SPOKEN = {
    "Accept": "application/json, text/event-stream",
    "Mcp-Protocol-Version": "2025-11-25",
    "Mcp-Session-Id": "s",
}
PROGRESS: Message = {**CALL, "params": {"_meta": {"progressToken": "t"}}}


def tell(relay: Relay, why: str = "sign in") -> None:
    """Until each client has been told that waits and can be told."""
    before = {each: each.patience._count for each in [*relay._open]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patience_module, "_EVERY", 0.01)
        relay.waits(why)
        while any(each.patience._count < count + 2 for each, count in before.items()):
            threading.Event().wait(0.001)
        relay.waits_no_more()


def told_while(
    behaviour: Behaviour, message: Message, spoken: dict[str, str] = SPOKEN, *, fails: bool = False
) -> tuple[httpx.Response, list[Message]]:
    """What a client is answered whose request waits for a person; the events of it, if it is a
    stream."""
    person, relays = Person(), list[Relay]()
    person.fails = fails
    with on_stage(behaviour, auth=person, relays=relays) as (_, client):
        stream = ThreadPoolExecutor(1).submit(client.post, "", json=message, headers=spoken)
        assert person.asked.acquire(timeout=PATIENCE)
        tell(relays[0])
        person.go.set()
        answer = stream.result(PATIENCE)
    events = EventReader(LARGEST).feed(answer.content)
    return answer, [json.loads(text) for text in events]


def streamed(request: Request) -> None:
    request.stream(event(HELLO, "7"), event(request.answer(ok=1), "8"))


def pretty(request: Request) -> None:
    request.reply(200, json.dumps(request.answer(ok=1), indent=1).replace("\n", "\r\n").encode())


@pytest.mark.parametrize("behaviour", [fine, streamed, pretty])
def test_a_client_is_told_in_the_stream_of_its_answer_that_a_person_signs_in(
    behaviour: Behaviour,
) -> None:
    answer, events = told_while(behaviour, PROGRESS)
    assert answer.headers["Content-Type"] == "text/event-stream"
    log = events[0]
    assert (log["method"], log["params"]["data"]) == ("notifications/message", "sign in")
    assert events[-1] == {"jsonrpc": "2.0", "id": 1, "result": {"ok": 1}}
    assert (HELLO in events) == (behaviour is streamed)


def test_it_gets_the_progress_that_it_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    person, relays = Person(), list[Relay]()
    with (
        on_stage(fine, auth=person, relays=relays) as (_, client),
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(client.post, "", json=CALL, headers=SPOKEN)
        assert person.asked.acquire(timeout=PATIENCE)
        relays[0].waits("sign in")
        monkeypatch.setattr(patience_module, "_EVERY", 0.01)  # of one that comes meanwhile
        with client.stream("POST", "", json={**PROGRESS, "id": 2}, headers=SPOKEN) as answer:
            told = EventReader(LARGEST)
            events = (json.loads(text) for piece in answer.iter_raw() for text in told.feed(piece))
            for _ in range(2):
                progress = next(events)
                assert progress["method"] == "notifications/progress"
                assert progress["params"]["progressToken"] == "t"
            relays[0].waits_no_more()
            person.go.set()
            assert [*events][-1]["result"] == {"ok": 1}
        waiting.result(PATIENCE)


@pytest.mark.parametrize(
    "body",
    [
        '{"jsonrpc": "2.0", "id": 2, "result": {}}',
        '[{"jsonrpc": "2.0", "id": 1, "result": {}}]',
        '\ufeff{"jsonrpc": "2.0", "id": 1, "result": {}}',
    ],
)
def test_what_a_server_says_oddly_is_the_clients_to_judge(body: str) -> None:
    _, [log, told] = told_while(lambda request: request.reply(200, body.encode()), CALL)
    assert log["params"]["data"] == "sign in"
    assert told == json.loads(body.lstrip("\ufeff"))


def test_a_failure_after_that_is_an_error_in_the_stream() -> None:
    def nothing(request: Request) -> None:
        request.reply(404, b"no session")

    def unnamed(request: Request) -> None:
        request.reply(400, b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32600}}')

    failed, closed = told_while(fine, CALL, fails=True)[1], told_while(nothing, CALL)[1]
    for [log, told] in (failed, closed, told_while(unnamed, CALL)[1]):
        assert log["params"]["data"] == "sign in"
        assert told["id"] == 1
        assert "error" in told


@pytest.mark.parametrize(
    ("message", "spoken"),
    [
        ({**PROGRESS, "method": "initialize"}, SPOKEN),  # the id of its session is in a header
        (PROGRESS, {**SPOKEN, "Accept": "application/json"}),
        (CALL, {"Accept": SPOKEN["Accept"]}),  # it has no session, and wants no log
    ],
)
def test_one_that_cannot_be_told_waits(message: Message, spoken: dict[str, str]) -> None:
    answer, _ = told_while(fine, message, spoken)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["result"] == {"ok": 1}


def test_a_request_that_the_server_has_is_not_told_of_a_login_that_it_does_not_wait_for() -> None:
    """The status may be what counts: 404 lets a client begin a session again."""

    def gone(request: Request) -> None:
        arrived.set()
        assert go.wait(PATIENCE)
        request.reply(404, b"no session")

    arrived, go, relays = threading.Event(), threading.Event(), list[Relay]()
    with on_stage(gone, relays=relays) as (_, client), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, "", json=PROGRESS, headers=SPOKEN)
        assert arrived.wait(PATIENCE)
        tell(relays[0])
        go.set()
        assert answer.result(PATIENCE).status_code == 404


def test_one_that_is_answered_as_it_is_told_leaves_no_thread_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def late(patience: Patience, why: str, *, later: bool = False) -> None:
        person.go.set()
        assert answer.result(PATIENCE).json()["result"] == {"ok": 1}
        begin(patience, why, later=later)
        told.append(patience)

    begin, told = Patience.begin, list[Patience]()
    person, relays = Person(), list[Relay]()
    monkeypatch.setattr(Patience, "begin", late)
    with on_stage(fine, auth=person, relays=relays) as (_, client), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, "", json=CALL, headers=SPOKEN)
        assert person.asked.acquire(timeout=PATIENCE)
        relays[0].waits("sign in")
    [patience] = told
    if thread := patience._thread:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_client_that_hangs_up_while_a_person_signs_in_is_in_no_ones_way() -> None:
    person, relays = Person(), list[Relay]()
    with on_stage(fine, auth=person, relays=relays) as (stage, client):
        with socket.socket() as gone:
            ask(gone, client, SPOKEN)
            assert person.asked.acquire(timeout=PATIENCE)
        other = httpx.Client(base_url=client.base_url, trust_env=False, timeout=PATIENCE)
        with other, ThreadPoolExecutor(1) as pool:
            stays = pool.submit(other.post, "", json={**CALL, "id": 2}, headers=SPOKEN)
            assert person.asked.acquire(timeout=PATIENCE)
            tell(relays[0])
            person.go.set()
            events = EventReader(LARGEST).feed(stays.result(PATIENCE).content)
        assert [json.loads(text).get("id") for text in events] == [None, 2]
        assert [request.message["id"] for request in stage.requests] == [2]


def test_a_client_that_reads_nothing_holds_up_neither_the_login_nor_the_others() -> None:
    person, relays, events = Person(), list[Relay](), queue.Queue[Message]()

    def listen(client: httpx.Client) -> None:
        told = EventReader(LARGEST)
        with client.stream("POST", "", json={**CALL, "id": 2}, headers=SPOKEN) as answer:
            for piece in answer.iter_raw():
                for text in told.feed(piece):
                    events.put(json.loads(text))

    with (
        ThreadPoolExecutor(2) as pool,
        on_stage(fine, auth=person, relays=relays) as (_, client),
        socket.socket() as deaf,
    ):
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ask(deaf, client, SPOKEN)
        assert person.asked.acquire(timeout=PATIENCE)
        pool.submit(relays[0].waits, "more than a socket takes " * 1_000_000).result(PATIENCE)
        assert deaf.recv(1, socket.MSG_PEEK)  # it is told, and reads nothing of it
        listening = pool.submit(listen, client)
        assert person.asked.acquire(timeout=PATIENCE)
        pool.submit(relays[0].waits, "sign in").result(PATIENCE)
        assert events.get(timeout=PATIENCE)["params"]["data"] == "sign in"
        pool.submit(relays[0].waits_no_more).result(PATIENCE)
        person.go.set()
        assert events.get(timeout=PATIENCE)["result"] == {"ok": 1}
        listening.result(PATIENCE)


CANCELLED: Message = {
    "jsonrpc": "2.0",
    "method": "notifications/cancelled",
    "params": {"requestId": 1},
}


def test_a_request_that_is_cancelled_while_it_waits_for_a_login_is_never_sent() -> None:
    person, relays = Person(), list[Relay]()
    others: list[tuple[Message, dict[str, str]]] = [
        ({**CALL, "method": "of another client"}, {**SPOKEN, "Mcp-Session-Id": "another"}),
        ({**CALL, "method": "without a session"}, {"Accept": SPOKEN["Accept"]}),
        ({**CALL, "id": "1", "method": "of another id"}, SPOKEN),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, SPOKEN),
        (CANCELLED, SPOKEN),
    ]
    with (
        on_stage(fine, auth=person, relays=relays) as (stage, client),
        ThreadPoolExecutor(6) as pool,
    ):
        answers = []
        for message, headers in [(CALL, SPOKEN), *others]:
            answers.append(pool.submit(client.post, "", json=message, headers=headers))
            assert person.asked.acquire(timeout=PATIENCE)
        person.go.set()
        given_up, *wanted = [each.result(PATIENCE) for each in answers]
    assert (given_up.status_code, given_up.content) == (202, b"")
    assert all(each.json()["result"] == {"ok": 1} for each in wanted)
    sent = [json.dumps(each.message) for each in stage.requests]
    assert sorted(sent) == sorted(json.dumps(message) for message, _ in others)


def test_one_that_is_cancelled_after_its_client_was_told_ends_its_stream() -> None:
    person, relays = Person(), list[Relay]()
    with (
        on_stage(fine, auth=person, relays=relays) as (stage, client),
        ThreadPoolExecutor(2) as pool,
    ):
        given_up = pool.submit(client.post, "", json=PROGRESS, headers=SPOKEN)
        assert person.asked.acquire(timeout=PATIENCE)
        tell(relays[0])
        told = pool.submit(client.post, "", json=CANCELLED, headers=SPOKEN)
        assert person.asked.acquire(timeout=PATIENCE)
        tell(relays[0], "still")
        person.go.set()
        answer = given_up.result(PATIENCE)
        told.result(PATIENCE)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert "sign in" in answer.text
    assert "still" not in answer.text
    assert stage.methods == ["notifications/cancelled"]


def test_a_header_that_is_not_ascii_passes_byte_by_byte() -> None:
    with on_stage(fine) as (stage, client):
        client.post("", json=CALL, headers={b"Mcp-X": "é".encode(), b"Mcp-Y": b"\xe9"})
    assert stage.requests[0].headers["Mcp-X"].encode("latin-1") == "é".encode()
    assert stage.requests[0].headers["Mcp-Y"].encode("latin-1") == b"\xe9"


LISTED = [{"name": "add"}, {"name": "drop"}]


def listing(request: Request) -> None:
    if request.message.get("id") == 1:
        request.result(tools=LISTED, nextCursor="2")
    elif request.message.get("id") == 2:
        two = json.dumps(request.answer(tools=LISTED), indent=1).replace("\n", "\ndata: ")
        request.stream(
            b"id: 1\nretry: 5\ndata:\n\n",
            b": alive\n\n",
            event(HELLO, "2"),
            f"data: {two}\n\n".encode(),
            b"id: 3\ndata:\n\n",
        )
    else:
        request.result(ok=1)


def test_a_hidden_tool_is_neither_listed_nor_called() -> None:
    with on_stage(listing, offers=lambda name: name != "drop") as (stage, client):
        listed = client.post("", json={**CALL, "id": 1}).json()["result"]
        assert listed == {"tools": [{"name": "add"}], "nextCursor": "2"}
        events = client.post("", json={**CALL, "id": 2}).text
        assert "drop" not in events
        read = EventReader(LARGEST)
        told = [json.loads(text) for text in read.feed(events.encode())]
        assert told == [HELLO, {"jsonrpc": "2.0", "id": 2, "result": {"tools": [{"name": "add"}]}}]
        assert (read.last_id, read.retry) == ("3", 0.005)
        called: Message = {**CALL, "method": "tools/call", "params": {"name": "drop"}}
        assert client.post("", json=called).json()["error"]["code"] == -32602
        assert client.post("", json=[NOTICE, called]).status_code == 400
        whole, deep = json.dumps(called)[:-1], "[" * 100_000 + "]" * 100_000
        for rest in ('"params":{"name":"add"}', f'"n":{"9" * 5000}', f'"n":{deep}'):
            kind = {"Content-Type": "application/json"}
            answer = client.post("", content=f"{whole},{rest}}}", headers=kind)
            assert answer.json()["error"]["code"] == -32700
        called["params"] = {"name": "add"}
        assert client.post("", json={**called, "id": 3}).json()["result"] == {"ok": 1}
    assert stage.methods == ["x", "x", "tools/call"]
