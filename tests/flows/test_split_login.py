"""A login in two halves: the person returns to a page of the caller's own application."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_client_auth import (
    AuthorizationDenied,
    BadResponse,
    ClientMetadataDocument,
    FileStorage,
    InsufficientScope,
    Login,
    LoginFailed,
    MemoryStorage,
    Options,
    PendingLogin,
    PreRegistered,
    Storage,
    TokenRefused,
    UsageError,
    abegin_login,
    afinish_login,
    begin_login,
    finish_login,
)
from mcp_client_auth.credential import key_for
from mcp_client_auth.testing import DemoServer, RegisteredClient, Settings
from tests.support.app_browser import CALLBACK, AppBrowser
from tests.support.codes import coded
from tests.support.key_samples import pem, public_pem
from tests.support.session_world import DOWN, ISSUER, SERVER, World

HERE = ["127.0.0.1"]
DAY = 86_400.0
KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.fixture
def world() -> World:
    return World()


class App:
    """An application with users, at a test server."""

    def __init__(self, world: World, storage: Storage | None = None) -> None:
        self.world, self.storage = world, storage or MemoryStorage()

    def begin(self, account: str = "ada", **more: Any) -> PendingLogin:
        usual = {"redirect_uri": CALLBACK, "storage": self.storage, "transport": self.world}
        return begin_login(SERVER, account=account, **{**usual, **more})

    def consent(self, pending: PendingLogin, *, allow: bool = True) -> str:
        query = self.world.authorization.consent(pending.url, allow=allow)
        return f"{pending.request.redirect_uri}?{query}"

    def finish(self, pending: PendingLogin, callback: str = "", **more: Any) -> Login:
        callback = callback or self.consent(pending)
        usual = {"binding": pending.binding, "transport": self.world}
        return finish_login(pending, callback, **{**usual, **more})

    def log_in(self, account: str = "ada", **more: Any) -> Login:
        return self.finish(self.begin(account, **more))


@pytest.fixture
def app(world: World) -> App:
    return App(world)


@pytest.mark.parametrize("server", [Settings(challenge_scope=True)], indirect=True)
def test_another_process_finishes_what_one_has_begun(server: DemoServer, tmp_path: Path) -> None:
    browser = AppBrowser()
    pending = begin_login(
        server.url,
        redirect_uri=CALLBACK,
        account="ada",
        storage=FileStorage(tmp_path),
        allow_private_servers=HERE,
    )
    kept, cookie, state = pending.seal(KEY), pending.binding, pending.state
    callback = browser.sign_in(pending.url)
    there = PendingLogin.unseal(kept, KEY, account="ada", state=state)
    assert there.binding == ""
    with finish_login(there, callback, binding=cookie, storage=FileStorage(tmp_path)) as me:
        assert [tool.name for tool in me.tools()][:1] == ["whoami"]
    assert FileStorage(tmp_path).load(key_for(server.url, "ada"))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_twins_do_not_block_an_event_loop(backend: str, app: App) -> None:
    async def both() -> Login:
        usual: Any = {"transport": app.world, "storage": app.storage}
        pending = await abegin_login(SERVER, redirect_uri=CALLBACK, **usual)
        callback = app.consent(pending)
        return await afinish_login(pending, callback, binding=pending.binding, **usual)

    assert anyio.run(both, backend=backend).server == SERVER


def test_nothing_waits_between_the_halves(app: App) -> None:
    before = set(threading.enumerate())
    waiting = [app.begin(f"user {number}") for number in range(20)]
    assert set(threading.enumerate()) <= before
    assert len({pending.state for pending in waiting}) == 20
    assert all(app.finish(pending) for pending in waiting)


def test_all_users_share_one_registration(app: App) -> None:
    for account in ("ada", "bob"):
        app.log_in(account)
    app.log_in("eve", redirect_uri="https://app.example:8443/oauth/callback")
    asked = app.world.authorization.registrations
    uris = [each["redirect_uris"] for each in asked]
    assert {each["application_type"] for each in asked} == {"web"}
    assert uris == [[CALLBACK], ["https://app.example:8443/oauth/callback"]]
    app.log_in("joe")
    assert len(app.world.authorization.registrations) == 2


def test_a_login_is_finished_once_where_its_storage_is_known(app: App) -> None:
    pending = app.begin()
    callback = app.consent(pending)
    app.finish(pending, callback)
    with pytest.raises(LoginFailed, check=coded("spent")):
        app.finish(pending, callback)
    assert len(app.world.forms) == 1


def test_without_a_storage_the_authorization_server_decides_how_often(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", "memory")
    pending = app.begin(storage=None, account="default")
    callback = app.consent(pending)
    app.finish(pending, callback, storage=MemoryStorage())
    with pytest.raises(TokenRefused, check=coded("invalid_grant")):
        app.finish(pending, callback, storage=MemoryStorage())


def test_of_many_who_finish_a_login_at_once_one_does(app: App) -> None:
    pending = app.begin()
    callback, outcomes = app.consent(pending), list[str]()

    def finish() -> None:
        try:
            app.finish(pending, callback)
            outcomes.append("done")
        except LoginFailed as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=finish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", *["spent"] * 7]


def test_a_login_that_comes_back_late_is_refused(app: App) -> None:
    pending = app.begin(options=Options(login_timeout=0))
    with pytest.raises(LoginFailed, check=coded("expired")):
        app.finish(pending)
    assert app.world.forms == []
    with pytest.raises(LoginFailed, check=coded("expired")):
        app.finish(replace(app.begin(), expires_at=1.0))


def test_a_login_that_nothing_waits_for_is_kept_for_a_day_at_most(app: App) -> None:
    before = time.time()
    pending = app.begin(options=Options(login_timeout=300 * DAY))
    assert before + DAY <= pending.expires_at <= time.time() + DAY


def test_a_denied_login_is_over(app: App) -> None:
    pending = app.begin()
    with pytest.raises(AuthorizationDenied):
        app.finish(pending, app.consent(pending, allow=False))
    with pytest.raises(LoginFailed, check=coded("spent")):
        app.finish(pending)


def test_a_step_up_keeps_what_was_granted_and_what_is_in_use(app: App) -> None:
    me = app.log_in()
    error = InsufficientScope("more", requested=("read", "write"))
    more = app.begin(scope=error.scope)
    assert app.finish(more).scope == ("read", "write")
    assert me.auth.session.refresh().tokens.scope == ("read", "write")
    app.world.authorization.granting = lambda asked: asked[:1]
    with pytest.raises(InsufficientScope):
        app.log_in(scope=["read", "write", "delete"])
    kept = app.storage.load(key_for(SERVER, "ada"))
    assert kept
    assert kept.tokens.scope == ("read", "write")


def test_a_login_that_the_server_does_not_accept_leaves_the_one_in_use(
    app: App, short_waits: None
) -> None:
    app.log_in()
    before = app.storage.load(key_for(SERVER, "ada"))
    pending = app.begin()
    app.world.authorization.refuses_fresh = True
    with pytest.raises(TokenRefused, check=coded("invalid_token")):
        app.finish(pending)
    assert app.storage.load(key_for(SERVER, "ada")) == before


def test_a_registration_that_the_server_has_forgotten_is_made_again(app: App) -> None:
    app.log_in()
    app.world.authorization.known.clear()
    pending = app.begin("bob")
    with pytest.raises(TokenRefused, check=coded("invalid_client")):
        app.finish(pending)
    app.log_in("bob")
    assert len(app.world.authorization.registrations) == 2


def test_a_response_that_could_not_be_exchanged_is_not_sent_again(app: App) -> None:
    pending = app.begin()
    callback = app.consent(pending)
    app.world.faults = [DOWN]
    with pytest.raises(type(DOWN)):
        app.finish(pending, callback)
    with pytest.raises(LoginFailed, check=coded("spent")):
        app.finish(pending, callback)


def test_a_metadata_document_is_the_client_of_a_web_application_too(app: App) -> None:
    url, server = "https://app.example/client.json", app.world.authorization
    metadata = server.metadata() | {"client_id_metadata_document_supported": True}
    server.metadata = lambda: metadata  # type: ignore[method-assign]
    server.known.add(url)
    pending = app.begin(client=ClientMetadataDocument(url, (CALLBACK,)))
    there = PendingLogin.unseal(pending.seal(KEY), KEY, account="ada", state=pending.state)
    me = app.finish(there, app.consent(pending), binding=pending.binding, storage=app.storage)
    assert me.credential.client.client_id == url
    assert server.registrations == []


def test_a_client_that_signs_with_a_key_is_passed_to_both_halves(tmp_path: Path) -> None:
    client = RegisteredClient(
        "app", None, "private_key_jwt", (CALLBACK,), public_key=public_pem("P-256")
    )
    identity = PreRegistered("app", key=pem("P-256"), redirect_uris=(CALLBACK,))
    storage = FileStorage(tmp_path)
    with DemoServer(Settings(clients=(client,), registration=False)) as server:
        pending = begin_login(
            server.url,
            redirect_uri=CALLBACK,
            client=identity,
            storage=storage,
            allow_private_servers=lambda url: url == server.url,
        )
        callback = AppBrowser().sign_in(pending.url)
        there = PendingLogin.unseal(pending.seal(KEY), KEY, state=pending.state)
        me = finish_login(
            there, callback, binding=pending.binding, storage=storage, client=identity
        )
        assert me.auth.session.key.client == "app"
        assert me.auth.session.refresh()


def test_bound_tokens_and_pushed_requests_survive_the_way(tmp_path: Path) -> None:
    settings = Settings(dpop="required", dpop_nonces="both", require_pushed_requests=True)
    with DemoServer(settings) as server:
        storage = FileStorage(tmp_path)
        pending = begin_login(
            server.url, redirect_uri=CALLBACK, storage=storage, allow_private_servers=HERE
        )
        callback = AppBrowser().sign_in(pending.url)
        there = PendingLogin.unseal(pending.seal(KEY), KEY, state=pending.state)
        with finish_login(there, callback, binding=pending.binding, storage=storage) as me:
            assert me.credential.tokens.bound
            assert me.tools()


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example/callback",
        "https://app.example/callback?next=1",
        "https://app.example/callback#x",
        "https://user@app.example/callback",
        "https://{issuer}.app.example/callback",
        "app.example/callback",
        "javascript:alert(1)",
        "",
        None,
    ],
)
def test_a_page_that_cannot_take_a_response_is_a_usage_error(uri: Any, app: App) -> None:
    with pytest.raises(UsageError):
        app.begin(redirect_uri=uri)
    assert app.world.sent == []


def test_a_client_that_is_not_registered_for_the_page_is_a_usage_error(app: App) -> None:
    client = PreRegistered("app", redirect_uris=("https://app.example/other",))
    with pytest.raises(UsageError, match="not registered for the redirect URI"):
        app.begin(client=client)


def test_the_storage_that_keeps_count_is_needed_to_finish(app: App) -> None:
    pending = app.begin()
    there = PendingLogin.unseal(pending.seal(KEY), KEY, account="ada", state=pending.state)
    with pytest.raises(UsageError, match="a storage of its own"):
        app.finish(there, app.consent(pending), binding=pending.binding)


@pytest.mark.parametrize("kept", [None, "a sealed text"])
def test_what_was_kept_has_to_be_unsealed(kept: Any) -> None:
    with pytest.raises(UsageError, match=r"pending is .*PendingLogin\.unseal"):
        finish_login(kept, "code=x", binding="x")


def test_another_client_does_not_finish_a_login(app: App) -> None:
    pending = app.begin()
    with pytest.raises(UsageError, match="was begun with the client"):
        app.finish(pending, client=PreRegistered("another"))


def test_a_fault_is_told_before_the_browser_is_sent_away(app: App) -> None:
    app.world.authorization.metadata = lambda: {"issuer": ISSUER}  # type: ignore[method-assign]
    with pytest.raises(BadResponse, match="token_endpoint"):
        app.begin()
