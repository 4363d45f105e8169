"""The session of a client, and how another takes its place."""

from __future__ import annotations

import threading
from typing import Any

from mcp_client_auth.mcp.exchange import Plan, Reply
from mcp_client_auth.mcp.introduced import Introduced
from mcp_client_auth.protocol.flow import HttpResponse

PATIENCE = 60.0
URL = "https://mcp.example.com/mcp"
HELLO: dict[str, Any] = {"jsonrpc": "2.0", "id": 0, "method": "initialize"}


def reply(session: str = "s", **result: Any) -> Reply:
    response = HttpResponse(200, URL, (("mcp-session-id", session),))
    return Reply(response, {"jsonrpc": "2.0", "id": 0, "result": result})


class Bench:
    """`replies` are the server's answers to what is sent to begin a session again."""

    def __init__(self, *replies: Reply) -> None:
        self.replies, self.sent, self.changes = [*replies], list[bytes](), 0
        self.introduced = Introduced(URL, self._run, self._changed)

    def _run(self, plan: Plan[Reply]) -> Reply:
        step = next(plan)
        self.sent.append(step.body)  # type: ignore[union-attr]
        return self.replies.pop(0)

    def _changed(self) -> None:
        self.changes += 1

    def begin(self) -> None:
        server = self.introduced.another()
        self.introduced.begun(server, HELLO, b"hello", reply("one", protocolVersion="2025-11-25"))


def test_a_client_that_was_let_in_has_a_session() -> None:
    bench = Bench()
    bench.begin()
    assert bench.introduced.server.session == "one"
    assert bench.introduced.server.version == "2025-11-25"
    assert bench.changes == 1


def test_a_client_that_was_not_let_in_has_none() -> None:
    bench = Bench()
    for odd in (reply(), reply(protocolVersion=7), Reply(HttpResponse(400, URL, ()))):
        bench.introduced.begun(bench.introduced.another(), HELLO, b"hello", odd)
    assert not bench.introduced.server.settled
    assert bench.changes == 0
    assert bench.introduced.revived(bench.introduced.server) is None


def test_a_lost_session_is_begun_again_as_the_client_has_begun_it_and_once() -> None:
    bench = Bench(reply("two", protocolVersion="2025-06-18"), reply())
    bench.begin()
    lost, found = bench.introduced.server, list[Any]()
    askers = [
        threading.Thread(target=lambda: found.append(bench.introduced.revived(lost)))
        for _ in range(4)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(PATIENCE)
    assert found == [bench.introduced.server] * 4
    assert bench.introduced.server.session == "two"
    assert bench.sent[0] == b"hello"
    assert b"notifications/initialized" in bench.sent[1]
    assert len(bench.sent) == 2


def test_a_version_that_no_header_can_say_is_none() -> None:
    bench = Bench()
    bench.introduced.begun(
        bench.introduced.another(), HELLO, b"", reply(protocolVersion="2025\r\nX: y")
    )
    assert bench.introduced.server.version == ""


def test_after_the_end_none_is_begun() -> None:
    bench = Bench()
    bench.begin()
    assert bench.introduced.end() is bench.introduced.server
    assert bench.introduced.revived(bench.introduced.server) is None
    assert bench.sent == []
