"""What is told to a client that waits, how often, and to whom."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from mcp_client_auth.mcp import patience as module
from mcp_client_auth.mcp.patience import Patience

PATIENCE = 60.0
LEVEL = "io.modelcontextprotocol/logLevel"


def waiting(**meta: Any) -> dict[str, Any]:
    return {"id": 1, "method": "x", "params": {"_meta": meta}}


class Client:
    def __init__(self, *requests: dict[str, Any], session: bool = False) -> None:
        self.told: list[dict[str, Any]] = []
        self.more = threading.Condition()
        self.patience = Patience(self._say, lambda: requests, lambda: session)

    def _say(self, message: dict[str, Any]) -> None:
        with self.more:
            self.told.append(message)
            self.more.notify_all()

    def got(self, count: int) -> list[dict[str, Any]]:
        with self.more:
            assert self.more.wait_for(lambda: len(self.told) >= count, PATIENCE)
            return [each["params"] for each in self.told]


def test_progress_grows_until_the_wait_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.001)
    client = Client(waiting(progressToken=7), waiting())
    client.patience.begin("sign in")
    told = client.got(3)
    thread = client.patience._thread
    client.patience.end()
    assert thread
    thread.join(PATIENCE)
    assert {each["progressToken"] for each in told} == {7}
    assert {each["message"] for each in told} == {"sign in"}
    steps = [each["progress"] for each in told]
    assert sorted(set(steps)) == steps
    assert steps[-1] < 0.01  # what the server says of its own progress is more
    count = len(client.told)
    client.patience.begin("again")
    assert client.got(count + 1)[count]["message"] == "again"
    client.patience.end()


@pytest.mark.parametrize(
    ("meta", "session", "logged"),
    [
        ({}, True, True),
        ({}, False, False),
        ({LEVEL: "info"}, False, True),
        ({LEVEL: "error"}, False, False),
        ({LEVEL: 7}, False, False),
    ],
)
def test_a_log_is_told_once_to_a_client_that_takes_one(
    monkeypatch: pytest.MonkeyPatch, meta: dict[str, Any], session: bool, logged: bool
) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.001)
    client = Client(waiting(**meta), session=session)
    client.patience.begin("sign in")
    while client.patience._count < 3:
        threading.Event().wait(0.001)
    client.patience.end()
    assert [each["params"]["data"] for each in client.told] == ["sign in"] * logged


def test_a_client_that_reads_late_gets_the_last_of_what_it_missed() -> None:
    client = Client(session=True)
    with client.more:
        client.patience.begin("sign in")
        while not client.patience._count:
            threading.Event().wait(0.001)
        for why in ("signed out", "sign in there"):
            client.patience.begin(why)
    told = client.got(2)
    client.patience.end()
    assert [each["data"] for each in told] == ["sign in", "sign in there"]


@pytest.mark.parametrize("params", [None, [], {"_meta": 7}, {"_meta": {"progressToken": [1]}}])
def test_a_request_without_a_token_gets_no_progress(params: Any) -> None:
    client = Client({"id": 1, "method": "x", "params": params}, waiting(progressToken="t"))
    client.patience.begin("sign in")
    [told] = client.got(1)
    client.patience.end()
    assert told["progressToken"] == "t"
