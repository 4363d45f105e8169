"""`login()`, `alogin()`, `logout()` and the object that they hand out, against a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_client_auth import (
    BrowserPrompt,
    FileStorage,
    Login,
    LoginFailed,
    LoginRequired,
    MemoryStorage,
    UsageError,
    alogin,
    login,
    logout,
)
from mcp_client_auth.credential import key_for
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HEADERS = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(Settings()) as running:
        yield running


@pytest.fixture
def browser() -> Iterator[ScriptedBrowser]:
    scripted = ScriptedBrowser()
    yield scripted
    assert scripted.join(5)


class LogIn:
    """`login` with the arguments of this test."""

    def __init__(self, server: DemoServer, browser: ScriptedBrowser, home: Path) -> None:
        self.url, self.home = server.url, home
        self.arguments: dict[str, Any] = {"prompt": BrowserPrompt(open_url=browser)}

    @property
    def storage(self) -> FileStorage:
        return FileStorage(self.home)

    def __call__(self, **more: Any) -> Login:
        return login(self.url, **{"storage": self.storage, **self.arguments, **more})

    def age(self, seconds: float) -> None:
        """Let the stored token end in so many seconds."""
        stored = self.storage.load(key_for(self.url))
        assert stored
        tokens = replace(stored.tokens, expires_at=time.time() + seconds)
        self.storage.save(replace(stored, tokens=tokens))


@pytest.fixture
def log_in(server: DemoServer, browser: ScriptedBrowser, tmp_path: Path) -> LogIn:
    return LogIn(server, browser, tmp_path / "store")


def test_a_login_makes_clients_that_are_logged_in(log_in: LogIn) -> None:
    with log_in() as me, me.client(trust_env=False) as client:
        answer = client.post(me.url, json=LIST, headers=HEADERS)
        assert len(answer.json()["result"]["tools"]) == 4


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_login_makes_asynchronous_clients(log_in: LogIn, backend: str) -> None:
    me = log_in()

    async def main() -> int:
        async with me.async_client(trust_env=False) as client:
            return (await client.post(me.url, json=LIST, headers=HEADERS)).status_code

    assert anyio.run(main, backend=backend) == 200


def test_the_arguments_of_a_client_are_httpx_own(log_in: LogIn) -> None:
    with log_in().client(timeout=3, headers={"X-Mine": "1"}, trust_env=False) as client:
        assert client.timeout.read == 3
        assert client.headers["X-Mine"] == "1"


def test_a_second_login_returns_at_once(log_in: LogIn, browser: ScriptedBrowser) -> None:
    first = log_in()
    second = log_in(prompt=None)
    assert second.token() == first.token()
    assert browser.visits == 1


def test_a_forced_login_asks_again(log_in: LogIn, browser: ScriptedBrowser) -> None:
    first = log_in()
    assert log_in(force=True).token() != first.token()
    assert browser.visits == 2


def test_with_nobody_to_ask_a_login_is_required(log_in: LogIn) -> None:
    with pytest.raises(LoginRequired) as caught:
        log_in(prompt=None)
    assert caught.value.hint == f"Run: mcp-login {log_in.url}"


def test_the_header_is_for_any_other_client(log_in: LogIn) -> None:
    me = log_in()
    assert me.headers() == {"Authorization": f"Bearer {me.token()}"}


def test_a_token_that_lives_long_enough_is_not_refreshed(log_in: LogIn, server: DemoServer) -> None:
    me = log_in()
    assert me.token(min_valid=3000) == me.token()
    assert server.token_requests("refresh_token") == 0


def test_a_token_that_ends_too_soon_is_refreshed(log_in: LogIn, server: DemoServer) -> None:
    log_in()
    log_in.age(20)
    me = log_in(prompt=None)
    me.token()
    assert server.token_requests("refresh_token") == 1
    assert me.credential.tokens.expires_at
    assert me.credential.tokens.expires_at > time.time() + 3000


def test_the_credential_is_as_it_is_now(log_in: LogIn) -> None:
    me = log_in()
    before = me.credential
    log_in.age(-1)
    later = log_in(prompt=None)
    assert later.credential.generation > before.generation
    assert later.credential == log_in.storage.load(key_for(log_in.url))


def test_its_repr_tells_server_account_scope_and_expiry_and_no_secret(log_in: LogIn) -> None:
    me = log_in(account="work")
    shown = repr(me) + repr(me.auth) + repr(me.credential) + repr(me.credential.tokens)
    for told in (log_in.url, "'work'", "notes:read", "expires_at="):
        assert told in repr(me)
    refresh = me.credential.tokens.refresh_token
    assert refresh
    assert me.token() not in shown
    assert refresh.reveal() not in shown


def test_a_logout_of_the_object_ends_it_here_and_there(log_in: LogIn, server: DemoServer) -> None:
    me = log_in()
    me.logout()
    assert server.count("/revoke") == 2
    assert log_in.storage.load(key_for(log_in.url)) is None
    with pytest.raises(LoginRequired):
        me.token()


def test_logout_says_whether_there_was_a_login(log_in: LogIn) -> None:
    log_in()
    assert logout(log_in.url, storage=log_in.storage).revoked is True
    assert not logout(log_in.url, storage=log_in.storage)


def test_logout_is_of_one_account(log_in: LogIn) -> None:
    log_in(account="mine")
    log_in(account="theirs")
    assert logout(log_in.url, account="mine", storage=log_in.storage)
    assert log_in(account="theirs", prompt=None).token()


def test_leaving_the_context_keeps_the_login(log_in: LogIn) -> None:
    with log_in() as me:
        token = me.token()
    assert log_in(prompt=None).token() == token


def test_wanted_scopes_that_are_there_are_no_reason_to_ask(
    log_in: LogIn, browser: ScriptedBrowser
) -> None:
    log_in(scope="notes:read notes:write")
    log_in(scope=["notes:write"])
    assert browser.visits == 1


def test_wanted_scopes_that_are_lacking_are_asked_for_beside_the_others(
    log_in: LogIn, browser: ScriptedBrowser
) -> None:
    log_in(scope="notes:read")
    me = log_in(scope="notes:write")
    assert set(me.credential.tokens.scope or ()) >= {"notes:read", "notes:write"}
    assert browser.visits == 2


def test_the_address_is_shown_where_a_script_logs_in(
    server: DemoServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = ScriptedBrowser()
    monkeypatch.setattr("mcp_client_auth.prompt.browser.can_open", lambda: True)
    monkeypatch.setattr("mcp_client_auth.prompt.browser.open_url", browser)
    assert login(server.url, storage=MemoryStorage()).token()
    browser.join(5)
    shown = capsys.readouterr()
    assert server.issuer + "/oauth2/authorize?" in shown.err
    assert shown.out == ""


def test_what_is_no_server_url_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        login("mcp.example.com", storage=MemoryStorage())


# alogin


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_alogin_does_not_block_the_loop(
    log_in: LogIn, browser: ScriptedBrowser, backend: str
) -> None:
    browser.delay = 0.2
    ticks = []

    async def tick() -> None:
        while True:
            ticks.append(1)
            await anyio.sleep(0.01)

    async def main() -> Login:
        async with anyio.create_task_group() as group:
            group.start_soon(tick)
            me = await alogin(log_in.url, storage=log_in.storage, **log_in.arguments)
            group.cancel_scope.cancel()
        return me

    assert anyio.run(main, backend=backend).token()
    assert len(ticks) > 5


def test_an_alogin_that_was_cancelled_still_serves_the_next_one(
    log_in: LogIn, browser: ScriptedBrowser
) -> None:
    browser.delay = 0.3

    async def main() -> Login:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(
                alogin(log_in.url, storage=log_in.storage, **log_in.arguments), 0.15
            )
        return await alogin(log_in.url, storage=log_in.storage, **log_in.arguments)

    assert asyncio.run(main()).token()
    assert browser.visits == 1


def test_an_alogin_raises_what_a_login_raises(log_in: LogIn) -> None:
    async def main() -> None:
        with pytest.raises(LoginRequired):
            await alogin(log_in.url, storage=log_in.storage, prompt=None)

    asyncio.run(main())


def test_a_login_that_finds_no_browser_says_so(log_in: LogIn) -> None:
    with pytest.raises(LoginFailed, match="no browser could be opened"):
        log_in(prompt=BrowserPrompt(open_url=lambda url: False))
