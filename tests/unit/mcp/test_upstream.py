"""A bound on what is on its way to the server, and where that is sent."""

from __future__ import annotations

import threading

import httpx

from mcp_client_auth.mcp.exchange import Send
from mcp_client_auth.mcp.upstream import Budget, Exchange, Login, once

PATIENCE = 60.0


def test_a_budget_waits_for_what_was_given_back() -> None:
    budget, taken = Budget(10), threading.Event()
    budget.take(7)

    def take() -> None:
        budget.take(4)
        taken.set()

    threading.Thread(target=take, daemon=True).start()
    assert not taken.wait(0.05)
    budget.give(7)
    assert taken.wait(PATIENCE)


def test_what_is_larger_than_the_budget_goes_alone() -> None:
    budget = Budget(10)
    budget.take(11)
    budget.give(11)
    budget.take(1)


def test_it_is_called_once() -> None:
    calls: list[int] = []
    call = once(lambda: calls.append(1))
    call()
    call()
    assert calls == [1]


def test_each_message_is_sent_to_where_the_login_says_and_told_as_sent() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(202)

    places, sent = iter(["https://a.example/mcp", "https://b.example/mcp"]), list[int]()
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        for _ in range(2):
            exchange = Exchange(client, Login(lambda: next(places)), lambda: sent.append(1))
            exchange.do(Send("POST", {}, b"{}"), 5.0)
            exchange.close()
    assert asked == ["https://a.example/mcp", "https://b.example/mcp"]
    assert sent == [1, 1]
