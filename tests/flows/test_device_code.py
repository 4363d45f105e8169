"""A login with a code on another device, over real sockets and with a scripted clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from mcp_client_auth import (
    AuthorizationDenied,
    BrowserPrompt,
    ClientMetadataDocument,
    DeviceCode,
    DevicePrompt,
    InsecureUrl,
    LoginFailed,
    LoginRequired,
    MCPAuth,
    MemoryStorage,
    Options,
    Refused,
    Unavailable,
    UsageError,
    login,
)
from mcp_client_auth.prompt.base import Invitation
from mcp_client_auth.prompt.device import DeviceVisit
from mcp_client_auth.protocol.device import DeviceAuthorization
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings
from mcp_client_auth.testing.device_endpoint import DEVICE_PATH
from tests.support.grants_scene import HEADERS, LIST

pytestmark = pytest.mark.slow

SETTINGS = Settings(device_authorization=True, device_interval=1)


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(SETTINGS) as server:
        yield server


def by_device(
    server: DemoServer, show: Callable[[Invitation], None] | None = None, **more: Any
) -> Any:
    def allow(asked: Invitation) -> None:
        server.decide_device("allow")

    arguments = {"storage": MemoryStorage(), "prompt": DevicePrompt(show or allow), **more}
    return login(server.url, grant=DeviceCode(), **arguments)


def call(server: DemoServer, auth: MCPAuth) -> int:
    with httpx.Client(auth=auth, timeout=20, trust_env=False) as client:
        return client.post(server.url, headers=HEADERS, json=LIST).status_code


def test_a_person_elsewhere_types_the_code_and_this_program_is_logged_in(
    server: DemoServer,
) -> None:
    shown: list[Invitation] = []

    def show(asked: Invitation) -> None:
        shown.append(asked)
        ScriptedBrowser().visit(asked.direct)

    me = by_device(server, show)
    assert call(server, me.auth) == 200
    (asked,) = shown
    assert asked.server == server.url
    assert asked.code in asked.direct
    assert server.token_requests("device_code") == 1
    assert server.token_requests("authorization_code") == 0


def test_a_registration_that_was_forgotten_is_made_anew_once(server: DemoServer) -> None:
    storage = MemoryStorage()
    first = by_device(server, storage=storage).credential.client.client_id
    server.forget_clients()
    me = by_device(server, storage=storage, force=True)
    assert me.credential.client.client_id != first
    assert call(server, me.auth) == 200
    assert server.count("/oauth2/register") == 2


def test_a_bare_mcpauth_finds_the_login_and_refreshes_it(server: DemoServer) -> None:
    storage = MemoryStorage()
    kept = by_device(server, storage=storage).credential
    aged = replace(kept.tokens, expires_at=kept.tokens.issued_at)
    storage.save(replace(kept, tokens=aged))
    assert call(server, MCPAuth(server.url, storage=storage, prompt=None)) == 200
    assert server.token_requests("refresh_token") == 1


def test_the_registration_has_the_grant_and_serves_the_next_login(server: DemoServer) -> None:
    storage = MemoryStorage()
    by_device(server, storage=storage)
    by_device(server, storage=storage, force=True)
    assert server.count("/register") == 1
    assert len(storage.list()) == 1


def test_a_registration_of_a_browser_login_serves_the_device_too(server: DemoServer) -> None:
    storage = MemoryStorage()
    prompt = BrowserPrompt(open_url=ScriptedBrowser())
    login(server.url, storage=storage, prompt=prompt)
    by_device(server, storage=storage, force=True)
    assert server.count("/register") == 1


@pytest.mark.parametrize("place", ["registration", "authorization"])
def test_offline_access_that_is_refused_is_left_out_once(place: Any) -> None:
    with DemoServer(replace(SETTINGS, refuse_offline_access=place)) as server:
        assert call(server, by_device(server).auth) == 200


@pytest.mark.parametrize("code", ["invalid_client", "unauthorized_client"])
def test_a_metadata_document_that_is_refused_is_replaced_by_a_registration_once(code: str) -> None:
    document = ClientMetadataDocument("https://app.example.com/client.json")
    with DemoServer(replace(SETTINGS, client_id_metadata_documents=True)) as server:
        body = f'{{"error": "{code}"}}'.encode()
        server.fail_next(DEVICE_PATH, 400, body=body)
        me = by_device(server, client=document)
        assert call(server, me.auth) == 200
        assert me.credential.client.kind == "dynamic"


def test_a_denial_ends_the_wait(server: DemoServer) -> None:
    with pytest.raises(AuthorizationDenied):
        by_device(server, lambda asked: (server.decide_device("deny"), None)[1])


def test_a_code_that_nobody_types_runs_out() -> None:
    settings = Settings(device_authorization=True, device_interval=1, device_code_seconds=3)
    with (
        DemoServer(settings) as server,
        pytest.raises(LoginFailed, match="while the code was valid"),
    ):
        by_device(server, lambda asked: None)


def test_the_persons_time_is_the_callers_even_when_the_code_lives_longer(
    server: DemoServer,
) -> None:
    with pytest.raises(LoginFailed, match=r"within 2\.5 s") as caught:
        by_device(server, lambda asked: None, options=Options(login_timeout=2.5))
    assert caught.value.code == "timeout"
    assert server.token_requests("device_code") in (1, 2)


def test_close_ends_the_wait(server: DemoServer) -> None:
    waiting = threading.Event()
    auth = MCPAuth(
        server.url,
        storage=MemoryStorage(),
        grant=DeviceCode(),
        prompt=DevicePrompt(lambda asked: waiting.set()),
    )
    ended: list[Exception] = []

    def run() -> None:
        try:
            auth.session.log_in()
        except LoginFailed as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert waiting.wait(60)
    auth.close()
    thread.join(60)
    assert [getattr(error, "code", "") for error in ended] == ["aborted"]


def test_a_passing_fault_does_not_end_the_wait(server: DemoServer) -> None:
    def show(asked: Invitation) -> None:
        server.fail_next("/oauth2/token", 502, body=b"<html>")
        server.decide_device("allow")

    me = by_device(server, show)
    assert call(server, me.auth) == 200


def test_a_token_endpoint_that_asks_to_wait_is_not_said_to_be_the_persons_delay() -> None:
    settings = Settings(device_authorization=True, device_interval=1, device_code_seconds=3)
    with DemoServer(settings) as server:

        def show(asked: Invitation) -> None:
            server.fail_next("/oauth2/token", 429, headers=[("Retry-After", "600")])
            server.decide_device("allow")

        with pytest.raises(Unavailable) as caught:
            by_device(server, show)
    assert caught.value.retry_after == 600
    assert "in 10 min" in caught.value.hint


def test_without_a_prompt_the_hint_is_the_command_with_its_option(server: DemoServer) -> None:
    auth = MCPAuth(server.url, storage=MemoryStorage(), grant=DeviceCode())
    with pytest.raises(LoginRequired, match="--device"):
        call(server, auth)


def test_a_browser_prompt_cannot_show_a_code(server: DemoServer) -> None:
    with pytest.raises(UsageError):
        MCPAuth(server.url, grant=DeviceCode(), prompt=BrowserPrompt())


def test_a_server_that_does_not_offer_it_is_told_so_before_a_registration() -> None:
    with DemoServer() as server:
        with pytest.raises(Refused, match="device code"):
            by_device(server)
        assert server.count("/register") == 0


def test_login_shows_link_and_code_on_stderr(
    server: DemoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    def decide() -> None:
        while not server.decide_device("allow"):
            time.sleep(0.01)

    threading.Thread(target=decide, daemon=True).start()
    login(server.url, grant=DeviceCode(), storage=MemoryStorage())
    told = capsys.readouterr()
    assert "/oauth2/device" in told.err
    assert told.out == ""


@pytest.mark.parametrize(
    "link",
    ["http://evil.example/d", "javascript:alert(1)", "file:///etc/passwd", "https://a@b.example/"],
)
@pytest.mark.parametrize("which", ["verification_uri", "verification_uri_complete"])
def test_a_link_that_nobody_should_open_is_not_shown(link: str, which: str) -> None:
    shown: list[Invitation] = []
    blank = dict.fromkeys(("server", "client", "resource", "scope", "device_code"))
    links = {"verification_uri": "https://fine.example", which: link}
    fields: dict[str, Any] = {**blank, "user_code": "A", **links}
    asked = DeviceAuthorization(**fields)
    visit = DeviceVisit(Invitation("s", "a", "", ""), shown.append)
    with pytest.raises(InsecureUrl):
        visit.show(asked)
    assert shown == []
