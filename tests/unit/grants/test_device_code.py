"""A device login in a scripted time: when it asks, how often, and what ends it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from queue import SimpleQueue
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import urlopen

import pytest

from mcp_client_auth import (
    AuthorizationDenied,
    BadResponse,
    BrowserPrompt,
    ClientCredentials,
    Credential,
    DeviceCode,
    DevicePrompt,
    LoginFailed,
    LoginRequired,
    MemoryStorage,
    Options,
    PkceUnsupported,
    PreRegistered,
    Prompt,
    TokenRefused,
    Unavailable,
)
from mcp_client_auth.errors import AuthError
from mcp_client_auth.events import Event
from mcp_client_auth.grants.base import LoginConfig, Ports
from mcp_client_auth.grants.gathering import Gathering
from mcp_client_auth.prompt.base import Invitation
from mcp_client_auth.prompt.device import DeviceVisit
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.session.steps import log_in
from mcp_client_auth.threads import Cancel
from tests.support.codes import coded
from tests.support.session_world import ISSUER, KEY, PLACE, SERVER, Clock

PENDING = {"error": "authorization_pending"}
SLOW = {"error": "slow_down"}
TOKENS = {"access_token": "at", "token_type": "Bearer", "refresh_token": "rt", "expires_in": 60}
PAGE = {"authorization_endpoint": ISSUER + "/authorize"}
PLAIN = {**PAGE, "code_challenge_methods_supported": ["plain"]}
PUSHED = {
    **PAGE,
    "code_challenge_methods_supported": ["S256"],
    "require_pushed_authorization_requests": True,
}
DEVICE: dict[str, Any] = {
    "device_code": "dc",
    "user_code": "ABCD",
    "verification_uri": ISSUER + "/activate",
    "expires_in": 100,
}


class Server:
    """Answers each token request with the next of `answers`, the last one again and again."""

    def __init__(self, *answers: Any, **device: Any) -> None:
        self.answers, self.device = list(answers), {**DEVICE, **device}
        self.clock = Clock()
        self.asked: list[float] = []
        self.forms: list[dict[str, str]] = []
        self.registered: list[dict[str, Any]] = []
        self.storage = MemoryStorage()
        self.shown: list[Invitation] = []
        self.offers: dict[str, Any] = {}
        self.form: dict[str, str] = {}
        self.lists: dict[str, Any] = {}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        place = request.url.removeprefix(ISSUER)
        if request.url == PLACE:
            document = {"resource": SERVER, "authorization_servers": [ISSUER], **self.lists}
            return answer(document, request.url)
        if place == "/.well-known/oauth-authorization-server":
            return answer(self.metadata(), request.url)
        if place == "/register":
            self.registered.append(json.loads(request.body))
            return answer({"client_id": "me"}, request.url, 201)
        if place == "/device":
            self.form = dict(parse_qsl(request.body.decode()))
            return answer(self.device, request.url)
        if place == "/.well-known/openid-configuration":
            return HttpResponse(404, request.url)
        assert place == "/token"
        self.asked.append(self.clock.steady)
        self.forms.append(dict(parse_qsl(request.body.decode())))
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(said, AuthError):
            raise said
        return said if isinstance(said, HttpResponse) else answer(said, request.url)

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": ISSUER,
            "token_endpoint": ISSUER + "/token",
            "registration_endpoint": ISSUER + "/register",
            "device_authorization_endpoint": ISSUER + "/device",
            "grant_types_supported": ["urn:ietf:params:oauth:grant-type:device_code"],
            **self.offers,
        }

    def log_in(self, **options: Any) -> Any:
        config = LoginConfig(SERVER, KEY, options=Options(**options), grant=DeviceCode())
        return log_in(config, self.ports, DevicePrompt(self.shown.append), None)

    def log_in_at(self, prompt: Prompt) -> Credential:
        return log_in(LoginConfig(SERVER, KEY), self.ports, prompt, None)

    def show_code(self, asked: Invitation) -> None:
        self.shown.append(asked)

    def no_code(self, why: str) -> None:
        raise AssertionError(why)

    @property
    def ports(self) -> Ports:
        return Ports(
            storage=self.storage,
            transport=self,
            clock=self.clock.time,
            monotonic=self.clock.monotonic,
            sleep=self.clock.sleep,
        )

    @property
    def pauses(self) -> list[float]:
        times = [50.0, *self.asked]
        return [round(later - earlier, 6) for earlier, later in pairwise(times)]


def answer(value: Any, url: str, status: int = 0) -> HttpResponse:
    failed = isinstance(value, dict) and "error" in value
    return HttpResponse(status or (400 if failed else 200), url, (), json.dumps(value).encode())


def test_the_first_question_comes_after_the_interval() -> None:
    server = Server(TOKENS, interval=3)
    assert server.log_in().tokens.refresh_token
    assert server.pauses == [3]
    assert server.shown[0].code == "ABCD"


def test_without_an_interval_it_is_five_seconds() -> None:
    server = Server(PENDING, PENDING, TOKENS)
    server.log_in()
    assert server.pauses == [5, 5, 5]


def test_slow_down_lasts() -> None:
    server = Server(PENDING, SLOW, PENDING, SLOW, PENDING, TOKENS)
    server.log_in()
    assert server.pauses == [5, 5, 10, 10, 15, 15]


def test_a_fault_doubles_the_interval_and_nothing_halves_it() -> None:
    page = HttpResponse(502, ISSUER + "/token", (), b"<html>")
    server = Server(PENDING, Unavailable("reset"), page, PENDING, TOKENS, expires_in=1000)
    server.log_in()
    assert server.pauses == [5, 5, 10, 20, 20]


@pytest.mark.parametrize("expires_in", [12, 15])
def test_no_question_after_the_code_has_run_out(expires_in: int) -> None:
    server = Server(PENDING, expires_in=expires_in)
    with pytest.raises(LoginFailed) as caught:
        server.log_in()
    assert caught.value.code == "timeout"
    assert server.pauses == [5, 5]


def test_a_fault_that_lasts_ends_with_the_code() -> None:
    server = Server(Unavailable("reset"))
    with pytest.raises(Unavailable, match="reset"):  # nobody knows whether the person signed in
        server.log_in()
    assert server.pauses == [5, 10, 20, 40]


def test_the_callers_patience_is_the_shorter_one() -> None:
    server = Server(PENDING)
    with pytest.raises(LoginFailed):
        server.log_in(login_timeout=11)
    assert server.pauses == [5, 5]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("access_denied", AuthorizationDenied),
        ("expired_token", LoginFailed),
        ("invalid_grant", TokenRefused),
    ],
)
def test_an_error_that_decides_ends_it_at_once(code: str, kind: type[AuthError]) -> None:
    server = Server(PENDING, {"error": code})
    with pytest.raises(kind):
        server.log_in()
    assert len(server.asked) == 2
    assert server.storage.list() == []


def test_a_client_that_the_server_forgot_is_forgotten_here() -> None:
    server = Server({"error": "invalid_client"})
    with pytest.raises(TokenRefused):
        server.log_in()
    server.answers = [TOKENS]
    server.log_in()
    assert len(server.registered) == 2


def test_it_registers_both_ways_to_a_person_and_needs_no_authorization_endpoint() -> None:
    server = Server(TOKENS)
    server.log_in()
    assert server.registered[0]["grant_types"] == [
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
    ]
    assert server.forms[0]["resource"] == SERVER


def test_the_audience_goes_out_with_the_request_for_a_code() -> None:
    server = Server(TOKENS)
    server.log_in(audience="https://api.example.com")
    assert server.form["audience"] == "https://api.example.com"
    assert "audience" not in server.forms[0]


def unopened(url: str) -> bool:
    raise AssertionError("a browser was opened")


@pytest.mark.parametrize("offers", [{}, PAGE, PLAIN], ids=["no page", "no PKCE", "plain PKCE"])
def test_a_server_with_device_codes_alone_serves_a_prompt_that_shows_them(
    offers: dict[str, Any],
) -> None:
    server = Server(PENDING, TOKENS)
    server.offers = offers
    kept = server.log_in_at(BrowserPrompt(unopened, device=server))
    assert kept == server.storage.load(KEY)
    assert server.shown[0].code == "ABCD"
    assert server.pauses == [5, 5]


def test_a_code_beside_the_browser_may_be_faster_and_is_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(DeviceVisit, "nap", lambda self, seconds: None)
    server, told = Server(PENDING, TOKENS), list[Event]()
    server.offers = {**PAGE, "code_challenge_methods_supported": ["S256"]}
    prompt = BrowserPrompt(lambda url: True, device=server)
    ports = replace(server.ports, on_event=told.append)
    kept = log_in(LoginConfig(SERVER, KEY), ports, prompt, None)
    assert kept == server.storage.load(KEY)
    [event] = [each for each in told if each.name == "token"]
    assert event.rule == "for the device code (RFC 8628 §3.5)"


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (Server(error="unauthorized_client"), rf".*unauthorized_client.* \({ISSUER}/device\)"),
        (Server(PENDING, expires_in=12), "no one signed in while the code was valid"),
    ],
    ids=["refused", "has run out"],
)
def test_what_ends_the_code_leaves_the_browser_and_is_said(
    server: Server, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeviceVisit, "nap", lambda self, seconds: server.clock.sleep(seconds))
    shown, said = SimpleQueue[str](), list[str]()
    server.offers = {**PAGE, "code_challenge_methods_supported": ["S256"]}

    class Desk:
        def show_code(self, asked: Invitation) -> None:
            pass

        def no_code(self, why: str) -> None:
            said.append(why)
            query = dict(parse_qsl(urlsplit(shown.get(timeout=30)).query))
            denial = urlencode({"error": "access_denied", "state": query["state"]})
            urlopen(f"{query['redirect_uri']}?{denial}", timeout=30).close()  # as the browser does

    def opened(url: str) -> bool:
        shown.put(url)
        return True

    config = LoginConfig(SERVER, KEY, options=Options(login_timeout=20))
    with pytest.raises(AuthorizationDenied):
        log_in(config, server.ports, BrowserPrompt(opened, device=Desk()), None)
    assert len(said) == 1
    assert re.fullmatch(why, said[0]), said


def test_what_others_want_meanwhile_is_asked_for_until_a_code_is_requested() -> None:
    server, gathering = Server(TOKENS), Gathering(["read"])
    config = LoginConfig(SERVER, KEY, grant=DeviceCode())
    late: list[bool] = []
    prompt = DevicePrompt(lambda shown: late.append(gathering.join(["write"])))
    log_in(config, server.ports, prompt, None, gathering=gathering)
    assert server.form["scope"] == "read"
    assert late == [False]


def test_a_login_that_is_closed_asks_the_server_no_more() -> None:
    server, cancel = Server(PENDING, TOKENS), Cancel()
    config = LoginConfig(SERVER, KEY, grant=DeviceCode())
    prompt = DevicePrompt(lambda shown: cancel.cancel())
    with pytest.raises(LoginFailed, check=coded("aborted")):
        log_in(config, replace(server.ports, cancel=cancel), prompt, None)
    assert server.asked == []
    assert server.clock.steady == 50, "and does not wait"


def test_without_a_prompt_no_one_is_asked() -> None:
    server = Server(TOKENS)
    server.offers = {**PAGE, "code_challenge_methods_supported": ["S256"]}
    with pytest.raises(LoginRequired):
        log_in(LoginConfig(SERVER, KEY), server.ports, None, None)


@pytest.mark.parametrize(
    ("offers", "shows", "kind"),
    [
        ({}, False, BadResponse),
        (PLAIN, False, PkceUnsupported),
        (PUSHED, True, BadResponse),
        ({**PLAIN, "device_authorization_endpoint": ""}, True, PkceUnsupported),
    ],
)
def test_else_what_refused_it_refuses_it_still(
    offers: dict[str, Any], shows: bool, kind: type[AuthError]
) -> None:
    server = Server(TOKENS)
    server.offers = offers
    with pytest.raises(kind):
        server.log_in_at(BrowserPrompt(unopened, device=server if shows else None))
    assert server.registered == []


# A program with nobody before it


def obtained(server: Server, scope: tuple[str, ...] | None = None) -> Credential:
    server.lists = {"scopes_supported": ["read", "secret"]}
    server.offers = {"scopes_supported": ["openid", "read"]}
    grant = ClientCredentials()
    config = LoginConfig(SERVER, KEY, PreRegistered("app", "s3cret"), scope, grant=grant)
    return log_in(config, server.ports, None, None)


def scopes(server: Server) -> list[str]:
    return [form["scope"] for form in server.forms]


def test_a_scope_that_only_the_resource_lists_is_left_out_once() -> None:
    server = Server({"error": "invalid_scope"}, TOKENS)
    assert obtained(server).requested == ("read",)
    assert scopes(server) == ["read secret", "read"]


@pytest.mark.parametrize(
    ("scope", "requests"), [(("read", "secret"), ["read secret"]), (None, ["read secret", "read"])]
)
def test_a_scope_that_is_refused_still_is_named(
    scope: tuple[str, ...] | None, requests: list[str]
) -> None:
    server = Server({"error": "invalid_scope"})
    with pytest.raises(TokenRefused) as caught:
        obtained(server, scope)
    assert scopes(server) == requests
    assert ("does not list “secret”" in caught.value.hint) == (scope is not None)


def test_another_refusal_is_no_reason_for_a_second_request() -> None:
    server = Server({"error": "invalid_client"})
    with pytest.raises(TokenRefused):
        obtained(server)
    assert len(server.forms) == 1
