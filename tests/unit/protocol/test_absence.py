from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth.errors import AuthError, BadResponse, LoginFailed, Unavailable
from mcp_client_auth.protocol.challenge import Challenge
from mcp_client_auth.protocol.discovery import discover
from mcp_client_auth.protocol.flow import HttpResponse, run
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.probe import ask_server
from mcp_client_auth.protocol.urls import ServerUrl
from tests.support.protocol_samples import (
    RESOURCE_PLACE,
    ROOT_PLACE,
    SERVER_URL,
    Web,
    answer,
    html,
    refused,
)
from tests.support.snapshots import as_text, is_reviewed

ORIGIN = "https://mcp.example.com"
MESSAGE = answer({"jsonrpc": "2.0", "id": 1, "result": {}})
CHALLENGED = answer(b"", 401, www_authenticate="Bearer")
GONE = answer(b"gone", 404)


class Site(Web):
    """A POST or GET is answered by `POST url` or `GET url`, else by URL, else by `otherwise`."""

    def __init__(self, otherwise: HttpResponse, pages: dict[str, HttpResponse | AuthError]) -> None:
        super().__init__(pages)
        self._otherwise = otherwise

    def __call__(self, request: Any) -> HttpResponse:
        pages = self._pages
        named = pages.get(f"{request.method} {request.url}")
        page = named or pages.get(request.url) or self._otherwise
        self._pages = {request.url: page}
        try:
            return super().__call__(request)
        finally:
            self._pages = pages


def end(
    otherwise: HttpResponse = GONE,
    url: str = SERVER_URL,
    options: Options | None = None,
    pages: Mapping[str, HttpResponse | AuthError] | None = None,
) -> tuple[AuthError, Site]:
    """How a login ends that finds nothing; the pages are named by `POST url` or by URL."""
    site = Site(otherwise, dict(pages or {}))
    server_url = ServerUrl(url)
    reply = run(ask_server(server_url), site)
    with pytest.raises(AuthError) as caught:
        run(discover(server_url, reply, options or Options()), site)
    return caught.value, site


def test_a_path_without_an_endpoint_is_said_to_be_none() -> None:
    error, _ = end()
    assert isinstance(error, BadResponse)
    assert (error.code, error.status) == ("no_endpoint", 404)


@pytest.mark.parametrize(
    ("typed", "works"),
    [
        (ORIGIN, ORIGIN + "/mcp"),
        (ORIGIN + "/", ORIGIN + "/mcp/"),
        (ORIGIN + "/", ORIGIN + "/sse"),
        (ORIGIN + "/mpc", ORIGIN + "/sse/"),
        (ORIGIN + "/mcp", ORIGIN + "/mcp/"),
        (ORIGIN + "/mcp/", ORIGIN + "/mcp"),
        (ORIGIN + "/api", ORIGIN + "/api/mcp"),
        (ORIGIN + "/api/server", ORIGIN + "/api/server/"),
    ],
)
@pytest.mark.parametrize("otherwise", [GONE, html(404), answer(b"", 405)])
def test_the_path_that_works_is_named(typed: str, works: str, otherwise: HttpResponse) -> None:
    error, _ = end(otherwise, typed, pages={works: CHALLENGED})
    assert error.hint == f"The MCP server is at {works}: use that URL"


def test_a_path_that_works_is_named_where_it_is_redirected_to() -> None:
    moved = answer(b"", 307, location="/mcp/")
    pages = {f"POST {ORIGIN}/mcp": moved, f"POST {ORIGIN}/mcp/": CHALLENGED}
    assert f"{ORIGIN}/mcp/" in end(url=ORIGIN, pages=pages)[0].hint


def test_a_server_that_refuses_in_json_rpc_is_named_too() -> None:
    refusal = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32001, "message": "Unauthorized"}}
    assert f"{ORIGIN}/mcp" in end(url=ORIGIN, pages={f"{ORIGIN}/mcp": answer(refusal)})[0].hint


def test_an_older_server_is_found_by_a_get() -> None:
    pages = {f"POST {ORIGIN}/sse": answer(b"", 405), f"GET {ORIGIN}/sse": CHALLENGED}
    assert f"{ORIGIN}/sse" in end(url=ORIGIN, pages=pages)[0].hint


@pytest.mark.parametrize("place", [ORIGIN + "/mcp/", ORIGIN + "/mcp"])
def test_a_server_that_redirects_to_itself_without_tls_is_named_with_tls(place: str) -> None:
    typed = ORIGIN + ("/mcp" if place.endswith("/") else "/mcp/")
    moved = answer(b"", 307, location=place.replace("https:", "http:"))
    error, _ = end(url=typed, pages={f"POST {typed}": moved, f"POST {place}": CHALLENGED})
    assert error.code == "redirected"
    assert error.hint == f"The MCP server is at {place}: use that URL"


def test_an_open_server_nearby_is_named_too() -> None:
    assert f"{ORIGIN}/mcp" in end(url=ORIGIN, pages={f"POST {ORIGIN}/mcp": MESSAGE})[0].hint


@pytest.mark.parametrize(
    "page", [html(401), html(), answer(b"", 403), answer(b"", 302, location="/login")]
)
def test_a_page_nearby_is_not_named(page: HttpResponse) -> None:
    assert "Check the URL" in end(url=ORIGIN, pages={f"POST {ORIGIN}/mcp": page})[0].hint


def test_a_fault_on_the_way_changes_nothing() -> None:
    error, site = end(url=ORIGIN, pages={f"POST {ORIGIN}/mcp": Unavailable("no answer")})
    assert error.code == "no_endpoint"
    assert site.asked[-1] == ORIGIN + "/mcp"


def test_few_paths_are_tried_and_none_twice() -> None:
    _, site = end(url=ORIGIN + "/api/v1")
    posts = [request.url for request in site.requests if request.method == "POST"]
    assert len(posts) == len(set(posts)) <= 7


@pytest.mark.parametrize("page", [MESSAGE, answer(b"", content_type="text/event-stream")])
def test_an_open_server_requires_no_login(page: HttpResponse) -> None:
    error, site = end(pages={SERVER_URL: page})
    assert isinstance(error, LoginFailed)
    assert error.code == "login_not_required"
    assert site.asked == [SERVER_URL, RESOURCE_PLACE, ROOT_PLACE]


def test_a_server_that_protects_some_calls_only_is_logged_in_to() -> None:
    site = Site(GONE, {SERVER_URL: MESSAGE, RESOURCE_PLACE: answer({"resource": SERVER_URL})})
    reply = run(ask_server(SERVER_URL), site)
    with pytest.raises(BadResponse, match="authorization_servers"):
        run(discover(SERVER_URL, reply, Options()), site)


@pytest.mark.parametrize(
    "page",
    [
        html(),
        answer(b"<!-- x --><head></head>", content_type="text/html; charset=utf-8"),
        answer(b"<?xml version='1.0'?><html/>", content_type="application/xhtml+xml"),
        answer(b"\xef\xbb\xbf\n<!DOCTYPE HTML>"),
    ],
)
def test_a_web_page_is_called_one(page: HttpResponse) -> None:
    error, _ = end(pages={SERVER_URL: page})
    assert error.code == "not_an_mcp_server"
    assert error.summary == end(pages={SERVER_URL: html()})[0].summary


@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_what_is_no_page_either_is_not_called_one(kind: str) -> None:
    error, _ = end(pages={SERVER_URL: answer({"ok": True}, content_type=kind)})
    assert error.code == "not_an_mcp_server"
    assert error.summary != end(pages={SERVER_URL: html()})[0].summary


@pytest.mark.parametrize("wall", [html(403), answer(b"Forbidden", 403), html(401)])
def test_a_wall_in_front_of_everything_is_seen_as_one(wall: HttpResponse) -> None:
    error, site = end(wall)
    assert error.code == "in_front"
    assert site.asked[:3] == [SERVER_URL, RESOURCE_PLACE, ROOT_PLACE]
    assert bool(site.asked[3:]) == (wall.status == 200)  # a site may have a server elsewhere


def test_a_site_that_answers_every_path_with_its_page_does_not_hide_the_server() -> None:
    error, _ = end(html(), ORIGIN, pages={ORIGIN + "/mcp": CHALLENGED})
    assert error.code == "not_an_mcp_server"
    assert f"The MCP server is at {ORIGIN}/mcp" in error.hint


def test_another_login_that_a_wall_asks_for_is_named() -> None:
    basic = answer(b"<html>401", 401, content_type="text/html", www_authenticate="Basic realm=x")
    error, _ = end(basic)
    assert error.code == "in_front"
    assert "“Basic”" in error.summary


def test_a_site_with_a_page_for_each_address_is_called_a_web_page_and_no_firewall() -> None:
    error, _ = end(html(200), url=ORIGIN)
    assert error.code == "in_front"
    assert error.summary.startswith(end(pages={ORIGIN: html()}, url=ORIGIN)[0].summary)


def test_the_mcp_server_of_such_a_site_is_named() -> None:
    error, _ = end(html(200), url=ORIGIN, pages={f"POST {ORIGIN}/mcp": CHALLENGED})
    assert error.hint == f"The MCP server is at {ORIGIN}/mcp: use that URL"


def test_who_typed_the_usual_path_is_not_told_to_use_it() -> None:
    assert end(url=ORIGIN + "/mcp")[0].hint == "Check the URL"
    assert end(url=ORIGIN + "/notes")[0].hint == "Check the URL: most servers are at /mcp"


def test_a_403_of_the_server_alone_is_no_wall() -> None:
    assert end(pages={SERVER_URL: html(403)})[0].code == "no_challenge"


def test_a_401_without_a_page_is_no_wall() -> None:
    site = Site(answer({"error": "unauthorized"}, 401), {SERVER_URL: html(401)})
    reply = run(ask_server(SERVER_URL), site)
    assert run(discover(SERVER_URL, reply, Options()), site).server.source == "defaults"


def test_a_redirect_off_the_origin_is_told_where_it_led() -> None:
    error, _ = end(pages={SERVER_URL: answer(b"", 308, location="https://www.example.com/mcp")})
    assert error.code == "redirected"
    assert "https://www.example.com/mcp" in error.summary


def test_a_redirect_to_a_page_is_told_with_the_page() -> None:
    pages = {SERVER_URL: answer(b"", 302, location="/login"), ORIGIN + "/login": html()}
    error, _ = end(pages=pages)
    assert error.code == "not_an_mcp_server"
    assert f"{ORIGIN}/login" in error.summary


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_down_is_unavailable(status: int) -> None:
    down = answer(b"", status, retry_after="7")
    error, _ = end(pages={SERVER_URL: down})
    assert isinstance(error, Unavailable)
    assert error.retry_after == 7.0


@pytest.mark.parametrize("status", [400, 402, 403, 406, 415])
def test_any_other_answer_is_told_with_its_status(status: int) -> None:
    error, _ = end(pages={SERVER_URL: answer(b"", status)})
    assert error.code == "no_challenge"
    assert str(status) in error.summary


@pytest.mark.parametrize("status", [200, 302, 400, 403, 404, 405])
def test_nothing_is_invented_without_a_401(status: int) -> None:
    own = {"issuer": ORIGIN, "token_endpoint": ORIGIN + "/token"}
    place = ORIGIN + "/.well-known/oauth-authorization-server"
    _, site = end(pages={SERVER_URL: answer(b"", status), place: answer(own)})
    assert place not in site.asked


def test_nothing_is_invented_where_a_document_was_of_no_use() -> None:
    site = Site(GONE, {SERVER_URL: CHALLENGED, RESOURCE_PLACE: answer({"name": "x"})})
    reply = run(ask_server(SERVER_URL), site)
    with pytest.raises(BadResponse) as caught:
        run(discover(SERVER_URL, reply, Options(resource=SERVER_URL)), site)
    assert caught.value.code == "no_resource_metadata"
    assert ("Options.issuer", None) in caught.value.remedy
    assert site.asked == [SERVER_URL, RESOURCE_PLACE, ROOT_PLACE]


def test_a_named_place_without_a_document_is_what_is_told_of() -> None:
    challenge = Challenge("bearer", {"resource_metadata": RESOURCE_PLACE})
    with pytest.raises(BadResponse) as caught:
        run(discover(SERVER_URL, refused(challenge), Options()), Web({}))
    assert caught.value.code == "no_resource_metadata"


@pytest.mark.parametrize("status", [200, 403, 404])
def test_a_pinned_issuer_needs_nothing_of_the_server(status: int) -> None:
    issuer = "https://auth.example.com"
    document = {"issuer": issuer, "token_endpoint": issuer + "/token"}
    place = issuer + "/.well-known/oauth-authorization-server"
    site = Site(GONE, {SERVER_URL: answer(b"", status), place: answer(document)})
    reply = run(ask_server(SERVER_URL), site)
    found = run(discover(SERVER_URL, reply, Options(issuer=issuer)), site)
    assert (found.server.issuer, found.resource) == (issuer, SERVER_URL)


def test_what_people_read_is_what_was_reviewed() -> None:
    basic = answer(b"", 401, content_type="text/html", www_authenticate="Basic realm=x")
    away = answer(b"", 308, location="https://www.example.com/mcp")
    to_page = {SERVER_URL: answer(b"", 302, location="/login"), ORIGIN + "/login": html()}
    named = {ORIGIN + "/mcp": CHALLENGED}
    ends: dict[str, dict[str, Any]] = {
        "nothing at all": {},
        "another path works": {"url": ORIGIN, "pages": named},
        "no login is required": {"pages": {SERVER_URL: MESSAGE}},
        "a web page": {"pages": {SERVER_URL: html()}},
        "a web page, a server beside it": {
            "url": ORIGIN,
            "otherwise": html(),
            "pages": named,
        },
        "a web page everywhere": {"url": ORIGIN, "otherwise": html(200)},
        "JSON that is no message": {
            "pages": {SERVER_URL: answer({}, content_type="application/json")}
        },
        "a wall": {"otherwise": html(403)},
        "another login": {"otherwise": basic},
        "a redirect to another origin": {"pages": {SERVER_URL: away}},
        "a redirect to a page": {"pages": to_page},
        "a refusal": {"pages": {SERVER_URL: answer(b"", 402)}},
        "out of order": {"pages": {SERVER_URL: answer(b"", 503)}},
    }
    told = as_text({name: end(**scene)[0] for name, scene in ends.items()})
    is_reviewed(Path(__file__).with_name("snapshots") / "absence.txt", told)
