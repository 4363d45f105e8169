from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from mcp_client_auth.errors import BadResponse
from mcp_client_auth.events import Event
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse, run
from mcp_client_auth.protocol.probe import (
    ServerAnswer,
    ask_server,
    probe_request,
    read_answer,
    redirect_target,
)
from mcp_client_auth.protocol.urls import ServerUrl
from tests.support.protocol_samples import SERVER_URL, Web, answer, html

ORIGIN = "https://mcp.example.com"
SLASHED = SERVER_URL + "/"
CHALLENGED = answer(b"", 401, www_authenticate='Bearer resource_metadata="https://a/m"')
MESSAGE = answer({"jsonrpc": "2.0", "id": 1, "result": {}})


def redirect(location: str, status: int = 307) -> HttpResponse:
    return answer(b"", status, location=location)


def ask(pages: Mapping[str, Any], url: str = SERVER_URL, **more: Any) -> tuple[ServerAnswer, Web]:
    web = Web(pages)
    return run(ask_server(ServerUrl(url), **more), web), web


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("location", [SLASHED, "/mcp/", "mcp/", "//mcp.example.com:443/mcp/"])
def test_a_redirect_is_followed_with_the_same_method_and_body(status: int, location: str) -> None:
    web = Web(
        {
            SERVER_URL: redirect(location, status),
            SLASHED: CHALLENGED,
            "https://mcp.example.com:443/mcp/": CHALLENGED,
        }
    )
    events: list[Event] = []
    found = run(ask_server(SERVER_URL), web, events.append)
    assert found.url in (SLASHED, "https://mcp.example.com:443/mcp/")
    assert (found.status, found.led_to) == (401, "")
    assert found.challenge
    assert [request.method for request in web.requests] == ["POST", "POST"]
    assert len({request.body for request in web.requests}) == 1
    assert json.loads(web.requests[1].body)["method"] == "initialize"
    assert [(event.name, event.status) for event in events] == [("notice", status)]


@pytest.mark.parametrize(
    "location",
    [
        "https://www.example.com/mcp",
        "http://mcp.example.com/mcp",
        "https://mcp.example.com:8443/mcp",
        "//evil.example/mcp",
        "https://mcp.example.com.evil.example/mcp",
    ],
)
def test_a_redirect_off_the_origin_is_remembered_and_not_followed(location: str) -> None:
    found, web = ask({SERVER_URL: redirect(location)})
    assert web.asked == [SERVER_URL]
    assert (found.url, found.status) == (SERVER_URL, 307)
    assert found.led_to == ("https:" + location if location.startswith("//") else location)
    assert not found.requires_authorization


@pytest.mark.parametrize(
    "location",
    [
        "",
        "https://user:pw@mcp.example.com/mcp/",
        "ftp://mcp.example.com/mcp/",
        "javascript:alert(1)",
        "https://[::1/mcp",
        "https://mcp.example.com:0/mcp/",
        "https://mcp.example.com/ m c p",
        "https://mcp.example.com/\x1b[2J",
    ],
)
def test_what_is_no_place_to_go_to_is_not_gone_to(location: str) -> None:
    found, web = ask({SERVER_URL: redirect(location)})
    assert web.asked == [SERVER_URL]
    assert (found.url, found.led_to) == (SERVER_URL, "")


def test_a_fragment_is_not_a_part_of_the_endpoint() -> None:
    assert redirect_target(answer(b"", 308, SERVER_URL, location="/x#top")) == ORIGIN + "/x"


@pytest.mark.parametrize(("status", "led"), [(299, False), (300, True), (399, True), (400, False)])
def test_a_location_leads_on_from_a_redirect_only(status: int, led: bool) -> None:
    target = redirect_target(answer(b"", status, SERVER_URL, location="/x"))
    assert target == (ORIGIN + "/x" if led else "")


def test_see_other_asks_for_something_else_and_is_not_followed() -> None:
    found, web = ask({SERVER_URL: redirect("/welcome", 303), ORIGIN + "/welcome": html()})
    assert web.asked == [SERVER_URL]
    assert (found.url, found.led_to) == (SERVER_URL, ORIGIN + "/welcome")


def test_five_redirects_are_followed_and_no_more() -> None:
    steps = [f"{ORIGIN}/{number}" for number in range(7)]
    pages = {here: redirect(there) for here, there in pairwise(steps)}
    found, _ = ask({**pages, steps[5]: CHALLENGED}, steps[0])
    assert found.url == steps[5]
    with pytest.raises(BadResponse, match="more than 5 times") as caught:
        ask({**pages, steps[6]: CHALLENGED}, steps[0])
    assert caught.value.code == "redirects"


def test_a_loop_ends() -> None:
    with pytest.raises(BadResponse, match="redirected"):
        ask({SERVER_URL: redirect(SLASHED), SLASHED: redirect(SERVER_URL)})


@pytest.mark.parametrize(
    "page", [html(), html(403), html(401), html(404), answer({"ok": True}), answer(b"", 405)]
)
def test_a_redirect_to_something_else_does_not_move_the_endpoint(page: HttpResponse) -> None:
    login = ORIGIN + "/login"
    found, _ = ask({SERVER_URL: redirect("/login", 302), login: page})
    assert (found.url, found.led_to) == (SERVER_URL, login)
    assert not found.requires_authorization


@pytest.mark.parametrize("end", [CHALLENGED, answer(b"", 401), MESSAGE, answer({}, 400)])
def test_a_redirect_to_the_slash_or_to_a_server_moves_it(end: HttpResponse) -> None:
    assert ask({SERVER_URL: redirect(SLASHED), SLASHED: end})[0].url == SLASHED


@pytest.mark.parametrize("status", [404, 405])
@pytest.mark.parametrize("get", [CHALLENGED, answer(b"", content_type="text/event-stream")])
def test_a_server_of_the_older_transport_answers_a_get(status: int, get: HttpResponse) -> None:
    def server(request: HttpRequest) -> HttpResponse:
        said = answer(b"", status) if request.method == "POST" else get
        return replace(said, url=request.url)

    found = run(ask_server(SERVER_URL), server)
    assert (found.url, found.status) == (SERVER_URL, get.status)


@pytest.mark.parametrize("get", [html(), html(401), answer(b"", 403), answer({}, 404)])
def test_any_other_answer_to_a_get_says_nothing(get: HttpResponse) -> None:
    def server(request: HttpRequest) -> HttpResponse:
        return answer(b"", 405) if request.method == "POST" else get

    assert run(ask_server(SERVER_URL), server).status == 405


class Signer:
    """Signs with the URL, and is asked for a nonce by the first answer."""

    def __init__(self, *, nonce: bool = False) -> None:
        self.nonce = nonce

    def headers(self, method: str, url: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer for {url}"}

    def take_nonce(self, response: HttpResponse) -> bool:
        asked, self.nonce = self.nonce, False
        return asked


def test_a_token_follows_within_its_directory_with_a_proof_of_its_own_for_each_url() -> None:
    pages = {SERVER_URL: redirect(SLASHED), SLASHED: MESSAGE}
    found, web = ask(pages, signer=Signer(nonce=True))
    assert found.url == SLASHED
    assert web.asked == [SERVER_URL, SERVER_URL, SLASHED]
    sent = [request.headers["Authorization"] for request in web.requests]
    assert sent == [f"Bearer for {url}" for url in web.asked]


def test_a_token_does_not_follow_out_of_its_directory() -> None:
    old, new = ORIGIN + "/v1/mcp", ORIGIN + "/v2/mcp"
    found, web = ask({old: redirect(new), new: MESSAGE}, old, signer=Signer())
    assert web.asked == [old]
    assert (found.url, found.led_to) == (old, new)


def test_it_begins_where_redirects_led_before() -> None:
    found, web = ask({SLASHED: MESSAGE}, signer=Signer(), start=SLASHED)
    assert web.asked == [SLASHED]
    assert (found.url, found.led_to) == (SLASHED, "")


OPEN = {
    "a result": MESSAGE,
    "a batch": answer([{"jsonrpc": "2.0", "id": 1, "result": {}}]),
    "a stream": answer(b"", content_type="text/event-stream; charset=utf-8"),
    "no such method": answer({"jsonrpc": "2.0", "id": 1, "error": {"code": -32601}}, 404),
    "no such version": answer(
        {"jsonrpc": "2.0", "error": {"code": -32022, "data": {"supported": ["2026-07-28"]}}}, 400
    ),
}
NOT_OPEN = {
    "a page": html(),
    "a document": answer({"status": "ok"}),
    "nothing": answer(b""),
    "an empty list": answer([]),
    "another error": answer({"jsonrpc": "2.0", "id": 1, "error": {"code": -32000}}, 400),
    "a strange error": answer({"jsonrpc": "2.0", "id": 1, "error": "no"}, 400),
    "a refusal of the method": answer({"jsonrpc": "2.0", "error": {"code": -32601}}, 403),
    "a refusal": answer({"jsonrpc": "2.0", "id": 1, "result": {}}, 403),
    "a choice": answer({"jsonrpc": "2.0", "id": 1, "result": {}}, 300),
    "a refusal in a success": answer(
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32001, "message": "Unauthorized"}}
    ),
    "old JSON-RPC": answer({"jsonrpc": "1.0", "id": 1}),
    "a challenge": CHALLENGED,
}


@pytest.mark.parametrize("response", OPEN.values(), ids=OPEN)
def test_an_mcp_message_shows_an_open_server(response: HttpResponse) -> None:
    assert read_answer(SERVER_URL, response).open is True


@pytest.mark.parametrize("response", NOT_OPEN.values(), ids=NOT_OPEN)
def test_nothing_else_does(response: HttpResponse) -> None:
    assert read_answer(SERVER_URL, response).open is False


@pytest.mark.parametrize("rpc", ["2.0", "1.0"])
def test_an_error_is_a_refusal_of_an_mcp_server_only_in_its_protocol(rpc: str) -> None:
    said = {"jsonrpc": rpc, "id": 1, "error": {"code": -32001, "message": "Unauthorized"}}
    assert read_answer(SERVER_URL, answer(said)).refuses is (rpc == "2.0")


@pytest.mark.parametrize(
    ("response", "kind"),
    [(MESSAGE, "message"), (html(), "page"), (answer({"status": "ok"}), "other")],
)
def test_what_has_answered_is_a_message_a_page_or_something_else(
    response: HttpResponse, kind: str
) -> None:
    assert read_answer(SERVER_URL, response).kind == kind


def test_a_403_has_a_challenge_only_where_a_token_was_sent() -> None:
    response = answer(b"", 403, www_authenticate='Bearer error="insufficient_scope", scope="a"')
    assert read_answer(SERVER_URL, response).challenge is None
    found = read_answer(SERVER_URL, response, with_token=True)
    assert found.challenge
    assert found.requires_authorization


def test_the_request_is_the_same_with_a_proof_and_without() -> None:
    bare, proved = probe_request(SERVER_URL), probe_request(SERVER_URL, {"DPoP": "x"})
    assert (bare.body, bare.method) == (proved.body, proved.method)
    assert {**bare.headers, "DPoP": "x"} == proved.headers
