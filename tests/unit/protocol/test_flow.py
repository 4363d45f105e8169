from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from mcp_client_auth.errors import Unavailable
from mcp_client_auth.events import Event, Listener
from mcp_client_auth.protocol.flow import Flow, HttpRequest, HttpResponse, arun, run, send
from tests.support.protocol_samples import PLANTED, Script, answer

Drive = Callable[[Flow[Any], Script, Listener | None], Any]
FIRST, SECOND = HttpRequest("GET", "https://a/1"), HttpRequest("GET", "https://a/2")


def blocking(flow: Flow[Any], script: Script, on_event: Listener | None) -> Any:
    return run(flow, script, on_event)


def on_asyncio(flow: Flow[Any], script: Script, on_event: Listener | None) -> Any:
    return anyio.run(arun, flow, script.later, on_event)


def on_trio(flow: Flow[Any], script: Script, on_event: Listener | None) -> Any:
    return anyio.run(arun, flow, script.later, on_event, backend="trio")


@pytest.fixture(params=[blocking, on_asyncio, on_trio])
def drive(request: pytest.FixtureRequest) -> Drive:
    driver: Drive = request.param
    return driver


def two_requests(closed: list[bool]) -> Flow[list[int]]:
    try:
        yield Event("request")
        one = yield from send(FIRST)
        yield Event("challenge", status=one.status)
        yield Event("notice")
        two = yield from send(SECOND)
        return [one.status, two.status]
    finally:
        closed.append(True)


def test_each_request_is_resumed_with_its_response(drive: Drive) -> None:
    script, events, closed = Script(answer(status=401), answer(status=200)), list[Event](), [False]
    assert drive(two_requests(closed), script, events.append) == [401, 200]
    assert script.requests == [FIRST, SECOND]
    assert [event.name for event in events] == ["request", "challenge", "notice"]
    assert closed[-1]


def recovering() -> Flow[str]:
    try:
        yield from send(FIRST)
    except Unavailable as error:
        yield Event("notice", detail=error.summary)
        response = yield from send(SECOND)
        return f"{error.summary}, then {response.status}"
    return "no error"


def test_an_error_of_the_transport_is_thrown_into_the_flow(drive: Drive) -> None:
    events: list[Event] = []
    script = Script(Unavailable("gone"), answer(status=204))
    assert drive(recovering(), script, events.append) == "gone, then 204"
    assert [event.detail for event in events] == ["gone"]


def test_an_error_that_the_flow_does_not_want_comes_out(drive: Drive) -> None:
    closed = [False]
    with pytest.raises(Unavailable):
        drive(two_requests(closed), Script(Unavailable("gone")), None)
    assert closed[-1]


class Broken(Script):
    def __call__(self, request: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError


def test_a_fault_of_the_driver_closes_the_flow(drive: Drive) -> None:
    closed = [False]
    with pytest.raises(ZeroDivisionError):
        drive(two_requests(closed), Broken(), None)
    assert closed[-1]


def test_a_listener_that_fails_costs_nothing(
    drive: Drive, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(event: Event) -> None:
        raise ZeroDivisionError

    script = Script(answer(), answer())
    assert drive(two_requests([]), script, fails) == [200, 200]
    assert "the on_event listener failed on request" in caplog.text


def test_a_flow_without_requests_has_a_value(drive: Drive) -> None:
    def nothing() -> Flow[str]:
        yield Event("notice")
        return "done"

    assert drive(nothing(), Script(), None) == "done"


def test_a_request_cannot_be_resumed_without_a_response() -> None:
    flow = send(FIRST)
    next(flow)
    with pytest.raises(TypeError, match="response"):
        flow.send(None)


def test_events_are_logged_at_debug(drive: Drive, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mcp_client_auth")
    drive(two_requests([]), Script(answer(status=401), answer()), None)
    assert "challenge 401" in caplog.text


def test_headers_are_found_in_any_case() -> None:
    response = HttpResponse(
        401, "https://a", (("WWW-Authenticate", "A"), ("www-authenticate", "B"))
    )
    assert response.header_values("Www-Authenticate") == ["A", "B"]
    assert response.header("www-authenticate") == "A, B"
    assert response.header("x") == ""


def test_neither_request_nor_response_shows_headers_or_body() -> None:
    request = HttpRequest("POST", "https://a", {"Authorization": PLANTED}, PLANTED.encode())
    response = HttpResponse(200, "https://a", (("X", PLANTED),), PLANTED.encode())
    assert PLANTED not in f"{request!r} {response!r} {request} {response}"


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_flow_runs_on_an_asynchronous_client_of_the_callers(library: str, backend: str) -> None:
    http: Any = pytest.importorskip(library)

    def answered(request: Any) -> Any:
        return http.Response(int(request.url.path[1:]) + 200, json={})

    async def drive() -> list[int]:
        async with http.AsyncClient(transport=http.MockTransport(answered)) as client:

            async def transport(request: HttpRequest) -> HttpResponse:
                given = await client.request(request.method, request.url, content=request.body)
                return HttpResponse(given.status_code, str(given.url), (), given.content)

            return await arun(two_requests([]), transport)

    assert anyio.run(drive, backend=backend) == [201, 202]
