"""`MCPAuth.login()` and `alogin()`: the person signs in before a host's clock runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import httpx
import pytest

from mcp_client_auth import (
    BrowserPrompt,
    FileStorage,
    Login,
    LoginRequired,
    MCPAuth,
    MemoryStorage,
    alogin,
    login,
)
from mcp_client_auth.testing import DemoServer, ScriptedBrowser

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
Begin: TypeAlias = Callable[..., Login]


@pytest.fixture
def browser() -> Iterator[ScriptedBrowser]:
    scripted = ScriptedBrowser()
    yield scripted
    assert scripted.join(60)


def in_a_loop(backend: str) -> Begin:
    def begin(auth: MCPAuth, **how: Any) -> Login:
        async def main() -> Login:
            return await auth.alogin(**how)

        return anyio.run(main, backend=backend)

    return begin


@pytest.fixture(params=["blocking", "asyncio", "trio"])
def begin(request: pytest.FixtureRequest) -> Begin:
    return MCPAuth.login if request.param == "blocking" else in_a_loop(request.param)


def test_the_object_is_logged_in_and_its_requests_ask_no_one(
    begin: Begin, shared: DemoServer, browser: ScriptedBrowser, storage: MemoryStorage
) -> None:
    auth = MCPAuth(shared.url, storage=storage, prompt=BrowserPrompt(open_url=browser))
    me = begin(auth)
    assert me.auth is auth
    shared.clear_requests()
    assert httpx.post(shared.url, json=LIST, auth=auth).status_code == 200
    assert [each.status for each in shared.requests] == [200]
    assert begin(auth).token() == me.token()
    assert browser.visits == 1
    begin(auth, force=True)
    assert browser.visits == 2


def test_a_login_that_is_stored_is_found_without_a_person(
    begin: Begin, shared: DemoServer, browser: ScriptedBrowser, tmp_path: Path
) -> None:
    prompt = BrowserPrompt(open_url=browser)
    first = MCPAuth(shared.url, storage=FileStorage(tmp_path), prompt=prompt).login()
    second = MCPAuth(shared.url, storage=FileStorage(tmp_path), prompt=None)
    assert begin(second).token() == first.token()
    assert browser.visits == 1


def test_if_no_one_can_sign_in_it_says_so_in_every_mode(
    begin: Begin, shared: DemoServer, storage: MemoryStorage
) -> None:
    auth = MCPAuth(shared.url, storage=storage, prompt=None, on_failure="rpc")
    with pytest.raises(LoginRequired):
        begin(auth)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, browser: ScriptedBrowser) -> ScriptedBrowser:
    """The browser of this machine."""
    monkeypatch.setattr("mcp_client_auth.prompt.open_browser.can_open", lambda: True)
    monkeypatch.setattr("mcp_client_auth.prompt.open_browser.open_url", browser)
    monkeypatch.setattr("mcp_client_auth.prompt.browser_prompt.open_url", browser, raising=False)
    return browser


def test_the_person_is_talked_to_by_a_login_and_not_by_a_request(
    begin: Begin,
    shared: DemoServer,
    opened: ScriptedBrowser,
    storage: MemoryStorage,
    capsys: pytest.CaptureFixture[str],
) -> None:
    auth = MCPAuth(shared.url, storage=storage)
    begin(auth)
    assert shared.issuer + "/oauth2/authorize?" in capsys.readouterr().err
    shared.revoke_everything()
    assert httpx.post(shared.url, json=LIST, auth=auth).status_code == 200
    assert opened.visits == 2
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("waits", [False, True])
def test_the_login_of_a_script_can_be_handed_to_a_host(
    waits: bool, shared: DemoServer, browser: ScriptedBrowser, storage: MemoryStorage
) -> None:
    how: dict[str, Any] = {
        "storage": storage,
        "prompt": BrowserPrompt(open_url=browser),
        "on_failure": "rpc",
    }
    me = asyncio.run(alogin(shared.url, **how)) if waits else login(shared.url, **how)
    me.auth.session.prompt = None  # no one can sign in any more
    me.logout()
    answer = httpx.post(shared.url, json=LIST, auth=me.auth)
    assert answer.json()["error"]["data"]["code"] == "login_required"
