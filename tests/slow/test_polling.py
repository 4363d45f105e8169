"""A device code beside a browser, over real sockets: who wins, and what becomes of the other."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from mcp_client_auth import (
    AuthorizationDenied,
    BrowserPrompt,
    Event,
    HttpTransport,
    Login,
    LoginFailed,
    MCPAuth,
    MemoryStorage,
    Options,
    login,
)
from mcp_client_auth.prompt.base import Invitation
from mcp_client_auth.prompt.paste import query_of
from mcp_client_auth.prompt.race import FirstAnswer
from mcp_client_auth.protocol.authorization import AuthorizationRequest
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.testing import DemoServer, Held, ScriptedBrowser, Settings
from tests.support.visiting import signed_in

OFFERED = Settings(device_authorization=True, device_interval=1)
PATIENCE = 60.0
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HEADERS = {"Accept": "application/json, text/event-stream"}


@dataclass
class Desk:
    """A code desk; `then` is what the person does who sees the code."""

    then: Callable[[Invitation], object] = lambda asked: None
    shown: list[Invitation] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    spoke: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def show_code(self, asked: Invitation) -> None:
        self.shown.append(asked)
        self.then(asked)
        self.spoke.set()

    def no_code(self, why: str) -> None:
        self.said.append(why)
        self.ended.set()


class LogIn:
    """A login with a browser that opens when `after` is over, or (None) never."""

    def __init__(self, server: DemoServer, desk: Desk) -> None:
        self.server, self.desk = server, desk
        self.browser, self.events = ScriptedBrowser(), list[Event]()
        self.storage = MemoryStorage()
        self.url = ""

    def __call__(
        self, after: Callable[[float], object] | None = None, sources: Any = (), **more: Any
    ) -> Login:
        def open_url(url: str) -> bool:
            if after is None:
                return False
            assert after(PATIENCE)
            return self.browser(url)

        prompt = BrowserPrompt(open_url, sources=sources, device=self.desk)
        arguments = {"storage": self.storage, "on_event": self.events.append, **more}
        return login(self.server.url, prompt=prompt, **arguments)

    @property
    def asked(self) -> dict[str, int]:
        """How often tokens were asked for, by grant type."""
        kinds = ("authorization_code", "device_code")
        return {kind: self.server.token_requests(kind) for kind in kinds}

    @property
    def notices(self) -> list[str]:
        return [event.detail for event in self.events if event.name == "notice"]


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[DemoServer]:
    with DemoServer(getattr(request, "param", OFFERED)) as server:
        yield server


@pytest.fixture
def log_in(server: DemoServer) -> Iterator[LogIn]:
    log_in = LogIn(server, Desk())
    yield log_in
    assert log_in.browser.join(PATIENCE)
    until(nobody_polls)


def nobody_polls() -> bool:
    return "device code" not in [thread.name for thread in threading.enumerate()]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def works(me: Login) -> bool:
    with httpx.Client(auth=me.auth, timeout=PATIENCE, trust_env=False) as client:
        return client.post(me.url, headers=HEADERS, json=LIST).status_code == 200


def test_a_callback_wins_and_nobody_asks_for_the_code_any_longer(log_in: LogIn) -> None:
    me = log_in(after=log_in.desk.spoke.wait)
    assert works(me)
    assert log_in.asked["authorization_code"] == 1
    assert log_in.desk.said == []
    until(nobody_polls)
    assert log_in.server.decide_device("allow") == 1  # the code lives on, and nobody asks for it


def test_a_pasted_answer_wins(log_in: LogIn) -> None:
    @contextmanager
    def paste(request: AuthorizationRequest, race: FirstAnswer) -> Iterator[None]:
        def run() -> None:
            assert log_in.desk.spoke.wait(PATIENCE)
            assert race.offer(query_of(signed_in(request.url), request))

        thread = threading.Thread(target=run)
        thread.start()
        yield
        thread.join()

    assert works(log_in(sources=[paste]))
    assert log_in.asked["authorization_code"] == 1


def test_a_device_wins_with_a_person_who_types_its_code(log_in: LogIn) -> None:
    log_in.desk.then = lambda asked: ScriptedBrowser().visit(asked.direct)
    me = log_in()
    assert works(me)
    assert log_in.asked == {"authorization_code": 0, "device_code": 1}
    (asked,) = log_in.desk.shown
    assert (asked.server, asked.account) == (log_in.server.url, "default")
    told = [event.name for event in log_in.events if event.number > 9]
    assert told == ["sign-in", "token", "authorized-request", "answer"]


def test_what_a_device_won_is_kept_and_renewed_as_any_login(log_in: LogIn) -> None:
    log_in.desk.then = lambda asked: log_in.server.decide_device("allow")
    held = log_in().credential
    assert held == log_in.storage.load(held.key)
    assert held.requested == held.tokens.scope
    assert held.resource == log_in.server.url
    aged = replace(held.tokens, expires_at=held.tokens.issued_at)
    log_in.storage.save(replace(held, tokens=aged))
    assert works(login(log_in.server.url, storage=log_in.storage, prompt=None))
    assert log_in.server.token_requests("refresh_token") == 1


@pytest.mark.parametrize(
    "server",
    [
        Settings(device_authorization=True, device_interval=1, dpop="required", dpop_nonces="as"),
        Settings(device_authorization=True, device_interval=1, require_pushed_requests=True),
    ],
    ids=["bound to a key", "pushed"],
    indirect=True,
)
@pytest.mark.parametrize("winner", ["device", "browser"])
def test_both_ways_serve_the_same_login(log_in: LogIn, winner: str) -> None:
    if winner == "device":
        log_in.desk.then = lambda asked: log_in.server.decide_device("allow")
    me = log_in(after=log_in.desk.spoke.wait if winner == "browser" else None)
    assert works(me)
    assert me.credential.tokens.bound == (log_in.server.settings.dpop == "required")


def test_a_denial_on_the_device_ends_the_login(log_in: LogIn) -> None:
    log_in.desk.then = lambda asked: log_in.server.decide_device("deny")
    with pytest.raises(AuthorizationDenied):
        log_in()
    assert log_in.storage.list() == []


@pytest.mark.parametrize("code", ["unauthorized_client", "invalid_client", "invalid_scope"])
def test_a_refused_client_loses_the_code_and_neither_login_nor_registration(
    log_in: LogIn, code: str
) -> None:
    refusal = json.dumps({"error": code}).encode()
    log_in.server.fail_next("/device_authorization", 400, 2, refusal)
    assert works(log_in(after=log_in.desk.ended.wait))
    assert log_in.desk.shown == []
    assert code in log_in.desk.said[0]
    assert code in log_in.notices[0]
    log_in.desk.ended.clear()
    log_in(after=log_in.desk.ended.wait, force=True)
    assert log_in.server.count("/register") == 1


@pytest.mark.parametrize("server", [Settings()], indirect=True)
def test_a_server_without_device_codes_serves_the_browser(log_in: LogIn) -> None:
    assert works(log_in(after=log_in.desk.ended.wait))
    assert "not offer login by device code" in log_in.notices[0]


def test_a_link_that_nobody_should_open_is_not_shown(log_in: LogIn) -> None:
    evil = "http://evil.example/d"
    log_in.server.change_answers("/device_authorization", verification_uri=evil)
    assert works(log_in(after=log_in.desk.ended.wait))
    assert log_in.desk.shown == []


def test_a_desk_that_fails_costs_no_login(log_in: LogIn) -> None:
    log_in.desk.then = lambda asked: dict[str, int]()["nothing"]
    assert works(log_in(after=log_in.desk.ended.wait))
    assert log_in.desk.said == ["KeyError"]


@pytest.mark.parametrize(
    "server",
    [Settings(device_authorization=True, device_interval=1, device_code_seconds=2)],
    indirect=True,
)
def test_a_code_that_has_run_out_leaves_the_browser_to_be_awaited(log_in: LogIn) -> None:
    assert works(log_in(after=log_in.desk.ended.wait))
    assert log_in.desk.said == ["no one signed in while the code was valid"]
    assert log_in.asked["authorization_code"] == 1


def test_a_server_that_wants_it_slower_is_asked_slower(log_in: LogIn) -> None:
    log_in.server.slow_devices_down()
    log_in.desk.then = lambda asked: log_in.server.decide_device("allow")
    began = time.monotonic()
    log_in()
    assert time.monotonic() - began > 7  # the interval, and then it with five seconds more
    assert log_in.asked == {"authorization_code": 0, "device_code": 2}


def issued(held: Held) -> Callable[[float], bool]:
    """Waits until the tokens are there and held back."""

    def waited(patience: float) -> bool:
        held.wait(patience)
        return True

    return waited


def test_tokens_that_come_too_late_are_dropped_and_revoked(log_in: LogIn) -> None:
    log_in.desk.then = lambda asked: log_in.server.decide_device("allow")
    held = log_in.server.hold_next()
    me = log_in(after=issued(held))
    assert log_in.asked["authorization_code"] == 1
    assert log_in.server.count("/revoke") == 0
    held.release()
    until(lambda: log_in.server.count("/revoke") == 2)
    assert works(me)
    assert [event.name for event in log_in.events].count("token") == 1


def test_a_transport_that_fails_with_tokens_that_come_too_late_prints_nothing(
    log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    uncaught, failed = list[Any](), threading.Event()
    monkeypatch.setattr(threading, "excepthook", uncaught.append)
    usual = HttpTransport(log_in.server.url)

    def transport(request: HttpRequest) -> HttpResponse:
        if request.url.endswith("/revoke"):
            failed.set()
            raise OSError("the transport's own")
        return usual(request)

    log_in.desk.then = lambda asked: log_in.server.decide_device("allow")
    held = log_in.server.hold_next()
    log_in(after=issued(held), transport=transport)
    held.release()
    assert failed.wait(PATIENCE)
    until(nobody_polls)
    assert uncaught == []
    assert log_in.desk.said == []


@pytest.mark.parametrize("code", ["timeout", "aborted"])
def test_a_login_that_nobody_waits_for_ends_the_code_too(log_in: LogIn, code: str) -> None:
    auth = MCPAuth(
        log_in.server.url,
        storage=log_in.storage,
        prompt=BrowserPrompt(lambda url: False, device=log_in.desk),
        options=Options(login_timeout=1.5 if code == "timeout" else 60),
    )
    if code == "aborted":
        log_in.desk.then = lambda asked: auth.close()
    with pytest.raises(LoginFailed) as caught:
        auth.session.log_in()
    assert caught.value.code == code
    assert log_in.desk.said == []
