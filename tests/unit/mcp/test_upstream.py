"""A bound on what is on its way to the server, and where that is sent."""

from __future__ import annotations

import math
import ssl
import threading

import httpx
import pytest

from mcp_client_auth.mcp.exchange import Head, Read, Send
from mcp_client_auth.mcp.open_exchange import OpenExchange, Stopped
from mcp_client_auth.mcp.upstream import Budget, Exchange, Login, once
from mcp_client_auth.transport.racing import RacingTransport
from tests.support.mcp_stage import Request, Stage

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


def test_what_a_budget_has_no_room_for_now_is_not_taken() -> None:
    budget = Budget(10)
    assert budget.take_now(11)
    assert not budget.take_now(1)
    budget.give(11)
    assert budget.take_now(10)


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


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_within_the_server_is_followed_with_the_same_message_and_remembered(
    status: int,
) -> None:
    """As Starlette sends `/mcp` to `/mcp/` before it asks for a login."""
    asked: list[tuple[str, str, bytes]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path, request.content))
        if request.url.path == "/mcp":
            return httpx.Response(status, headers={"location": "/mcp/"})
        return httpx.Response(202)

    login = Login(lambda: "https://a.example/mcp")
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        for _ in range(2):
            exchange = Exchange(client, login)
            head = exchange.do(Send("POST", {}, b"{}"), 5.0)
            exchange.close()
            assert isinstance(head, Head)
            assert head.status == 202
    assert asked == [("POST", path, b"{}") for path in ("/mcp", "/mcp/", "/mcp/")]


@pytest.mark.parametrize(
    ("method", "led"),
    [
        ("GET", httpx.Response(200, html="<p>How to use this server</p>")),
        ("DELETE", httpx.Response(202)),
        ("POST", httpx.Response(200, html="<p>Please sign in</p>")),
        ("POST", httpx.Response(503)),
        ("POST", httpx.Response(404)),
    ],
)
def test_where_only_this_request_is_led_no_other_message_is_sent(
    method: str, led: httpx.Response
) -> None:
    """As a GET to documentation, or all of them to a page while the server is down."""
    asked: list[str] = []
    away = True

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path == "/page":
            return led
        if away and request.method == method:
            return httpx.Response(302, headers={"location": "/page"})
        return httpx.Response(202)

    login = Login(lambda: "https://a.example/mcp")
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        Exchange(client, login).do(Send(method, {}), 5.0)
        away = False
        Exchange(client, login).do(Send("POST", {}, b"{}"), 5.0)
    assert asked == ["/mcp", "/page", "/mcp"]


def test_a_place_that_moves_on_is_found_from_where_the_login_says() -> None:
    asked: list[str] = []
    moved = {"/mcp": "/v1", "/v1": ""}

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if target := moved.get(request.url.path):
            return httpx.Response(307, headers={"location": target})
        return httpx.Response(202 if request.url.path in moved else 404)

    login = Login(lambda: "https://a.example/mcp")
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:

        def send() -> None:
            Exchange(client, login).do(Send("POST", {}, b"{}"), 5.0)

        send()
        moved["/v1"] = "/v2"
        moved["/v2"] = ""
        for _ in range(2):
            send()
        del moved["/v2"]
        moved["/mcp"] = ""
        for _ in range(2):
            send()
    assert asked == ["/mcp", "/v1", "/v1", "/v2", "/v2", "/v2", "/mcp"]


@pytest.mark.parametrize(
    ("status", "target", "most"),
    [
        (303, "/b/mcp/", 1),
        (307, "https://b.example/b/mcp", 1),
        (307, "http://a.example/b/mcp", 1),
        (307, "/c/mcp", 1),  # which a login to this server does not cover
        (307, "/b/mcp", 6),
        (300, "/b/mcp/", 1),
    ],
)
def test_any_other_redirect_is_the_answer(status: int, target: str, most: int) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, headers={"location": target})

    login = Login(lambda: "https://a.example/b/mcp")
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        exchange = Exchange(client, login)
        head = exchange.do(Send("POST", {}, b"{}"), 5.0)
        exchange.close()
    assert isinstance(head, Head)
    assert head.status == status
    assert {str(each.url) for each in asked} == {"https://a.example/b/mcp"}
    assert len(asked) == most


def test_a_body_that_was_stopped_has_not_come_to_its_end() -> None:
    def behaviour(request: Request) -> None:
        request.stream(b": open\n\n")
        stage.over.wait(PATIENCE)

    transport = RacingTransport(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    with Stage(behaviour) as stage, httpx.Client(transport=transport) as client:
        opened = OpenExchange(client, stage.url)
        opened.do(Send("GET", {}), math.inf)
        assert opened.do(Read(), math.inf) == b": open\n\n"
        stopping = threading.Timer(0.2, opened.stop)  # while it is read
        stopping.start()
        with pytest.raises(Stopped):
            opened.do(Read(), math.inf)
        stopping.join()
        opened.close()
