"""The scripted browser against the demo server, foreign pages and a callback of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from mcp_client_auth.testing import Decision, DemoServer, ScriptedBrowser

LOGIN = """<form action="/consent" method="post"><input type="hidden" name="prompt" value="login">
<input required type="text" name="login"><input type="password" name="password">
<button type="submit">Sign-in</button></form><a href="/abort">[ Cancel ]</a>"""
CONSENT = """<form action="/agreed" method="POST"><input type="hidden" name="prompt"
value="consent"/><button autofocus type="submit">Continue</button></form>"""


class Place:
    """A server of pages by path, which notes what it is asked."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, str]] = {}
        self.seen: list[tuple[str, str, dict[str, list[str]]]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _handler(place: Place) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                place.answer(self, urlsplit(self.path).query)

            def do_POST(self) -> None:
                place.answer(self, self.rfile.read(int(self.headers["Content-Length"])).decode())

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def answer(self, handler: BaseHTTPRequestHandler, sent: str) -> None:
        path = urlsplit(handler.path).path
        self.seen.append((handler.command, path, parse_qs(sent)))
        status, body = self.pages.get(path, (404, ""))
        handler.send_response(status)
        if 300 <= status < 400:
            handler.send_header("Location", body)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body.encode())


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    place.pages["/callback"] = (200, "You may close this page.")
    thread = threading.Thread(target=place.server.serve_forever, args=(0.01,))
    thread.start()
    yield place
    place.server.shutdown()
    place.server.server_close()
    thread.join()


def authorization_url(server: DemoServer, redirect_uri: str) -> str:
    client = {"redirect_uris": [redirect_uri], "client_name": "Browser test"}
    answer = httpx.post(f"{server.issuer}/oauth2/register", json=client, trust_env=False)
    asked = {
        "response_type": "code",
        "client_id": answer.json()["client_id"],
        "redirect_uri": redirect_uri,
        "state": "s",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
        "resource": server.url,
    }
    return f"{server.issuer}/oauth2/authorize?{urlencode(asked)}"


@pytest.mark.parametrize(("decision", "answer"), [("allow", "code"), ("deny", "error")])
def test_a_decision_arrives_at_the_callback(
    mcp_auth_server: DemoServer, place: Place, decision: Decision, answer: str
) -> None:
    browser = ScriptedBrowser(decision)
    assert browser(authorization_url(mcp_auth_server, f"{place.url}/callback")) is True
    assert browser.join(60)
    assert browser.error is None
    ((_, path, query),) = place.seen
    assert (path, query["state"]) == ("/callback", ["s"])
    assert answer in query
    assert [page.status for page in browser.pages] == [200, 200]
    assert browser.last_page == (200, f"{place.url}/callback", "You may close this page.")
    assert browser.visits == 1


def test_who_ignores_the_page_never_opens_it(place: Place) -> None:
    browser = ScriptedBrowser("ignore")
    browser(f"{place.url}/callback")
    assert browser.join(60)
    assert (browser.visits, browser.pages, place.seen) == (1, [], [])


def test_who_is_late_opens_the_page_when_they_decide(
    mcp_auth_server: DemoServer, place: Place
) -> None:
    browser = ScriptedBrowser("late")
    browser(authorization_url(mcp_auth_server, f"{place.url}/callback"))
    assert not browser.join(0.05)
    assert browser.pages == []
    browser.decision = "deny"
    assert browser.join(60)
    assert "error" in place.seen[0][2]


def test_who_answers_twice_brings_the_same_answer_again(
    mcp_auth_server: DemoServer, place: Place
) -> None:
    browser = ScriptedBrowser("twice")
    browser(authorization_url(mcp_auth_server, f"{place.url}/callback"))
    assert browser.join(60)
    (first, second) = place.seen
    assert first == second
    assert browser.error is None


def test_what_a_browser_sends_is_not_logged(
    mcp_auth_server: DemoServer, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    browser = ScriptedBrowser()
    url = authorization_url(mcp_auth_server, f"{place.url}/callback")
    caplog.clear()
    browser(url)
    assert browser.join(60)
    assert not [record for record in caplog.records if record.name.startswith("http")]


def test_the_fixture_allows(
    mcp_auth_server: DemoServer, mcp_person: ScriptedBrowser, place: Place
) -> None:
    mcp_person(authorization_url(mcp_auth_server, f"{place.url}/callback"))
    mcp_person.join(60)
    assert "code" in place.seen[0][2]


def test_a_login_page_is_filled_in_and_a_consent_page_confirmed(place: Place) -> None:
    place.pages |= {
        "/login": (200, LOGIN),
        "/consent": (200, CONSENT),
        "/agreed": (303, f"{place.url}/callback?code=1"),
    }
    browser = ScriptedBrowser()
    browser.visit(f"{place.url}/login")
    assert [path for _, path, _ in place.seen] == ["/login", "/consent", "/agreed", "/callback"]
    assert place.seen[1][2] == {"prompt": ["login"], "login": ["ada"], "password": ["ada"]}
    assert place.seen[2][2] == {"prompt": ["consent"]}


def test_a_page_without_a_button_to_say_no_is_left_by_its_link(place: Place) -> None:
    place.pages |= {"/login": (200, LOGIN), "/abort": (302, f"{place.url}/callback?error=no")}
    browser = ScriptedBrowser("deny")
    browser.visit(f"{place.url}/login")
    assert [path for _, path, _ in place.seen] == ["/login", "/abort", "/callback"]


def test_a_redirect_without_a_page_is_followed_and_fetched_once(place: Place) -> None:
    place.pages["/authorize"] = (302, f"{place.url}/callback?code=1")
    browser = ScriptedBrowser()
    browser.visit(f"{place.url}/authorize?redirect_uri={place.url}/callback")
    assert [path for _, path, _ in place.seen] == ["/authorize", "/callback"]
    assert len(browser.pages) == 1


def test_what_goes_wrong_is_kept_and_not_raised(place: Place) -> None:
    browser = ScriptedBrowser()
    browser("http://127.0.0.1:1/")
    assert browser.join(60)
    assert isinstance(browser.error, httpx.ConnectError)
    assert browser.last_page is None


@pytest.mark.parametrize(("path", "code"), [("/callback", 0), ("/nowhere", 1)])
def test_the_command_ends_with_zero_when_the_visit_ended_well(
    place: Place, path: str, code: int
) -> None:
    command = [sys.executable, "-W", "error", "-m", "mcp_client_auth.testing.browser"]
    done = subprocess.run([*command, place.url + path], timeout=30, check=False)
    assert done.returncode == code
