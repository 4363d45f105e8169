"""A real browser: it clicks through the consent page and lands on ours."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, urlsplit

import pytest

from mcp_client_auth import (
    AuthorizationDenied,
    BrowserPrompt,
    Credential,
    FileStorage,
    LoginFailed,
    MemoryStorage,
    Options,
    login,
)
from mcp_client_auth.doctor.formats.html import html
from mcp_client_auth.testing import DemoServer
from tests.support.codes import coded
from tests.support.doctor_reports import HOSTILE
from tests.support.doctor_reports import told as reports_told
from tests.support.web_app import WebApp

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
SHOTS = os.environ.get("MCP_CLIENT_AUTH_SCREENSHOTS", "")
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        yield chromium
        chromium.close()


class Person:
    """Logs in on a thread of his own; the test has the browser."""

    def __init__(
        self, url: str, options: Options | None = None, prompt: BrowserPrompt | None = None
    ) -> None:
        self.url: Future[str] = Future()
        self.result: Future[Credential] = Future()
        self._arguments = (url, options)
        self._prompt = prompt or BrowserPrompt(open_url=self._opened)
        threading.Thread(target=self._log_in, daemon=True).start()

    def _opened(self, url: str) -> bool:
        self.url.set_result(url)
        return True

    def _log_in(self) -> None:
        url, options = self._arguments
        prompt = self._prompt
        try:
            me = login(url, account="work", storage=MemoryStorage(), prompt=prompt, options=options)
            self.result.set_result(me.credential)
        except Exception as error:
            self.result.set_exception(error)


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_click_on_allow_ends_on_a_page_that_names_server_and_account(
    browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    with DemoServer() as server, browser.new_context(color_scheme=scheme) as context:
        asked: list[str] = []
        context.on("request", lambda request: asked.append(request.url))
        person, page = Person(server.url), context.new_page()
        page.goto(person.url.result(60))
        shot(page, f"consent-{scheme}")
        page.get_by_role("button", name="Allow").click()
        page.wait_for_url("http://127.0.0.1:*/callback/**")
        text = page.inner_text("body")
        shot(page, f"signed-in-{scheme}")
        assert server.url in text
        assert "work" in text
        assert "close" in text
        assert person.result.result(60).key.account == "work"
        assert page.title()
        assert all(url.startswith("http://127.0.0.1:") for url in asked)


def test_the_short_address_leads_to_the_sign_in_page_once(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: Future[str] = Future()

    def opened(url: str) -> bool:
        given.set_result(url)
        return True

    monkeypatch.setattr("mcp_client_auth.environment.Machine.browser_is_here", True)
    monkeypatch.setattr("mcp_client_auth.prompt.open_browser.open_url", opened)
    with DemoServer() as server, browser.new_context() as context:
        person = Person(server.url, prompt=BrowserPrompt())
        page, other = context.new_page(), context.new_page()
        short = given.result(60)
        assert "state=" not in short
        page.goto(short)
        other.goto(short)
        shot(other, "already-opened")
        assert "Already opened" in other.inner_text("h1")
        assert "/oauth2/authorize?" in page.url
        page.get_by_role("button", name="Allow").click()
        page.wait_for_url("http://127.0.0.1:*/callback/**")
        person.result.result(60)


def test_two_users_of_a_web_application_come_back_from_another_site(
    browser: Browser, tmp_path: Path
) -> None:
    """Each with a browser of their own, which sends its session's cookie with the way back."""
    own = {"MCP_CLIENT_AUTH_HOME": str(tmp_path), "SESSION_KEY": "signs this test's sessions"}
    with (
        DemoServer() as server,
        WebApp("django_app.py", server.url, {**os.environ, **own}, host="localhost") as app,
        browser.new_context() as ada,
        browser.new_context() as bob,
    ):
        for context, name in ((ada, "ada"), (bob, "bob")):
            page = context.new_page()
            page.goto(app.at(0, f"/enter/{name}"))
            page.goto(app.at(0, "/"))
            page.get_by_role("button", name="connect", exact=True).click()
            page.get_by_role("button", name="Allow").click()
            page.wait_for_url(app.at(1, "/oauth/callback?**"))
            assert "is connected" in page.inner_text("body")
            page.goto(app.at(0, "/whoami"))
            assert "login_name" in page.inner_text("body")
        stolen = ada.new_page()
        stolen.goto(app.at(0, "/"))
        stolen.get_by_role("button", name="connect", exact=True).click()
        state = parse_qs(urlsplit(stolen.url).query)["state"][0]
        other = bob.new_page()
        other.goto(app.at(1, f"/oauth/callback?code=x&state={state}"))
        assert "not the login that was begun" in other.inner_text("body")
        assert [len(FileStorage(tmp_path).list(account=name)) for name in ("ada", "bob")] == [1, 1]


def test_a_click_on_deny_ends_on_a_page_that_says_so(browser: Browser) -> None:
    with DemoServer() as server, browser.new_context() as context:
        person, page = Person(server.url), context.new_page()
        page.goto(person.url.result(60))
        page.get_by_role("button", name="Deny").click()
        page.wait_for_url("http://127.0.0.1:*/callback/**")
        shot(page, "denied")
        assert "not granted" in page.inner_text("body").lower()
        with pytest.raises(AuthorizationDenied):
            person.result.result(60)


def test_an_exchange_that_fails_is_not_shown_as_a_success(browser: Browser) -> None:
    with DemoServer() as server, browser.new_context() as context:
        person, page = Person(server.url), context.new_page()
        page.goto(person.url.result(60))
        server.fail_next("/oauth2/token", 400, body=b'{"error": "invalid_grant"}')
        page.get_by_role("button", name="Allow").click()
        page.wait_for_url("http://127.0.0.1:*/callback/**")
        shot(page, "failed")
        assert "signed in" not in page.inner_text("body").lower()
        with pytest.raises(Exception, match="invalid_grant"):
            person.result.result(60)


def test_a_person_who_never_answers_ends_the_wait(browser: Browser) -> None:
    with DemoServer() as server:
        person = Person(server.url, Options(login_timeout=0.5))
        with pytest.raises(LoginFailed, check=coded("timeout")):
            person.result.result(60)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_doctors_page_is_shown_as_it_is_styled(
    browser: Browser, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    """Its policy lets its own style through and nothing else, and Chromium has no complaint."""
    told = dict(reports_told())
    file = tmp_path / "doctor.html"
    file.write_text(html([told["hostile"], told["others"]], "2026-11-29"), "utf-8")
    with browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 844}) as seen:
        page = seen.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(file.as_uri())
        shot(page, f"doctor-{scheme}")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(244, 245, 247)" if scheme == "light" else "rgb(14, 16, 19)")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert HOSTILE in page.inner_text("main")
    assert complaints == []
