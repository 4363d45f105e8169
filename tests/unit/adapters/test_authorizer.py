"""The plan of a request, driven by hand: what it yields for what it is answered. No client."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from inspect import signature
from typing import Any

import pytest

from mcp_client_auth import (
    BrowserPrompt,
    DeviceCode,
    Event,
    HttpTransport,
    InsufficientScope,
    LoginRequired,
    MCPAuth,
    MemoryStorage,
    Options,
    PreRegistered,
    UsageError,
    alogin,
    login,
)
from mcp_client_auth.adapters.authorizer import Answer, Authorizer, Plan, Send
from mcp_client_auth.credential import Credential
from mcp_client_auth.protocol.dpop import make_key
from mcp_client_auth.session.open import Arguments
from tests.support.session_world import SERVER, Person, World, credential, virtual, without_threads

KEY = make_key("ES256")
ELSEWHERE = "https://elsewhere.example/mcp"
BELOW = SERVER + "/tools"
WANTS_LOGIN = (("WWW-Authenticate", 'Bearer realm="notes"'),)
WANTS_SCOPE = (("WWW-Authenticate", 'Bearer error="insufficient_scope", scope="read write"'),)
WANTS_NONCE = (("WWW-Authenticate", 'DPoP error="use_dpop_nonce"'), ("DPoP-Nonce", "n-1"))


def reply(
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = (),
    url: str = SERVER,
    method: str = "POST",
    first_url: str = "",
) -> Answer:
    return Answer(status, method, url, headers, first_url)


class Scene:
    """One login in memory, its server by script, and the plans of its requests."""

    def __init__(self, *, asks: bool = True, **arguments: Any) -> None:
        self.world, self.events, self.storage = World(), list[Event](), MemoryStorage()
        self.person = Person(self.world)
        self.auth = Authorizer(
            SERVER,
            storage=self.storage,
            prompt=self.person if asks else None,
            transport=self.world,
            on_event=self.events.append,
            **arguments,
        )
        self.auth.__dict__["session"] = virtual(self.auth.session, self.world.clock)

    def log_in(self, **fields: Any) -> Credential:
        kept = credential(self.world, **fields)
        self.storage.save(kept)
        return kept

    def plan(self, url: str = SERVER, **headers: str) -> Plan:
        return self.auth.plan("POST", url, headers)

    def sends(self, *replies: Answer, url: str = SERVER, **headers: str) -> list[dict[str, Any]]:
        """The headers of each request that is sent, for these answers; it must send no more."""
        return [dict(send.headers) for send in play(self.plan(url, **headers), *replies)]


def play(plan: Plan, *replies: Answer) -> list[Send]:
    sent: list[Send] = []
    try:
        step = next(plan)
        while True:
            if isinstance(step, Future):
                assert step.done()
                step = next(plan)
            else:
                sent.append(step)
                answer = replies[len(sent) - 1]
                step = plan.send((answer.status, answer))
    except StopIteration:
        assert len(sent) == len(replies)
        return sent


@pytest.fixture(autouse=True)
def _no_threads() -> Iterator[None]:
    with without_threads():
        yield


def bearer(held: Credential) -> dict[str, Any]:
    return {"Authorization": f"Bearer {held.tokens.access_token.reveal()}"}


def claims(headers: dict[str, Any]) -> dict[str, Any]:
    part = headers["DPoP"].split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read


def bound(held: Credential) -> dict[str, Any]:
    return {"dpop_key": KEY.kept, "tokens": replace(held.tokens, bound=True)}


def test_a_fresh_token_is_sent_and_nothing_is_waited_for() -> None:
    scene = Scene()
    held = scene.log_in()
    assert scene.sends(reply()) == [bearer(held)]
    plan = scene.plan()
    assert isinstance(next(plan), Send)
    with pytest.raises(StopIteration):
        plan.send((200, reply()))
    assert scene.world.sent == []


def test_without_a_login_the_caller_s_request_goes_first_as_it_is() -> None:
    scene = Scene()
    sent = scene.sends(reply(401, WANTS_LOGIN), reply())
    assert sent[0] == {}
    assert sent[1]["Authorization"].startswith("Bearer access-")
    assert len(scene.person.visits) == 1
    assert [event.name for event in scene.events if event.number][-2:] == [
        "authorized-request",
        "answer",
    ]


def test_an_expired_token_is_renewed_before_anything_is_sent() -> None:
    scene = Scene(asks=False)
    scene.log_in(age=3601)
    (sent,) = scene.sends(reply())
    assert sent == bearer(scene.storage.load(scene.auth.session.key) or pytest.fail("lost"))
    assert scene.world.refreshes == 1


def test_a_young_token_is_sent_a_second_time_before_it_is_renewed() -> None:
    scene = Scene(asks=False)
    held = scene.log_in()
    first, second, third = scene.sends(*[reply(401, WANTS_LOGIN)] * 2, reply())
    assert first == bearer(held)
    assert second == {**bearer(held), "DPoP": None}
    assert third["Authorization"] not in (first["Authorization"], None)
    assert scene.world.refreshes == 1


def test_a_403_steps_up_once_for_each_request() -> None:
    scene = Scene()
    scene.log_in()
    with pytest.raises(InsufficientScope):
        scene.sends(*[reply(403, WANTS_SCOPE)] * 2)
    assert scene.person.scopes == [("read", "write")]


def test_a_403_for_another_reason_is_the_callers() -> None:
    scene = Scene()
    held = scene.log_in()
    assert scene.sends(reply(403)) == [bearer(held)]


def test_a_failure_is_raised_or_handed_back_as_the_answer() -> None:
    scene = Scene(asks=False)
    with pytest.raises(LoginRequired):
        scene.sends(reply(401, WANTS_LOGIN))
    quiet = Scene(asks=False, on_failure="response")
    assert quiet.sends(reply(401, WANTS_LOGIN)) == [{}]
    assert isinstance(quiet.auth.last_error, LoginRequired)


def test_a_success_forgets_the_error_before() -> None:
    scene = Scene(asks=False, on_failure="response")
    scene.sends(reply(401, WANTS_LOGIN))
    held = scene.log_in()
    assert scene.sends(reply(401, WANTS_LOGIN), reply())[1] == {**bearer(held), "DPoP": None}
    assert scene.auth.last_error is None


def test_a_request_elsewhere_takes_no_token_along() -> None:
    scene = Scene()
    held = scene.log_in()
    scene.sends(reply())
    ours = str(bearer(held)["Authorization"])
    off = {"Authorization": None, "DPoP": None}
    assert scene.sends(reply(401), url=ELSEWHERE, Authorization=ours) == [off]
    assert scene.sends(reply(401), url=ELSEWHERE, Authorization="Bearer theirs") == [{}]
    assert scene.events[-1].detail == "sent without a token"


def test_a_401_to_a_request_elsewhere_is_explained_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`localhost` for 127.0.0.1, and there would be no login, no error and no word."""
    scene = Scene()
    scene.sends(reply(200), url=ELSEWHERE)
    scene.sends(reply(401), url=ELSEWHERE, Authorization="Bearer theirs")
    assert caplog.messages == []
    for _ in range(2):
        scene.sends(reply(401), url=f"{ELSEWHERE}?secret=x")
    assert caplog.messages == [
        f"{ELSEWHERE} was answered 401: it got no token, for the login is to {SERVER}"
    ]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_from_where_a_redirect_led_says_nothing_about_the_token(status: int) -> None:
    scene = Scene()
    held = scene.log_in()
    assert scene.sends(reply(status, WANTS_LOGIN, ELSEWHERE, first_url=SERVER)) == [bearer(held)]
    assert scene.person.visits == []


def test_a_proof_is_for_this_request_and_goes_with_its_token() -> None:
    scene = Scene()
    held = scene.log_in()
    scene.storage.save(replace(held, **bound(held)))
    (sent,) = scene.sends(reply())
    assert sent["Authorization"] == f"DPoP {held.tokens.access_token.reveal()}"
    assert (claims(sent)["htm"], claims(sent)["htu"]) == ("POST", SERVER)


def test_a_nonce_is_tried_once_and_says_nothing_about_the_token() -> None:
    scene = Scene()
    held = scene.log_in()
    scene.storage.save(replace(held, **bound(held)))
    first, second = scene.sends(*[reply(401, WANTS_NONCE)] * 2)
    assert "nonce" not in claims(first)
    assert claims(second)["nonce"] == "n-1"
    assert scene.world.refreshes == 0
    assert scene.person.visits == []
    (later,) = scene.sends(reply())
    assert claims(later)["nonce"] == "n-1"


@pytest.mark.parametrize(("method", "url"), [("POST", SERVER + "/"), ("GET", BELOW)])
def test_where_a_redirect_led_the_request_there_gets_a_proof_of_its_own(
    method: str, url: str
) -> None:
    scene = Scene()
    held = scene.log_in()
    scene.storage.save(replace(held, **bound(held)))
    refused = reply(401, WANTS_LOGIN, url, method, SERVER)
    first, second = play(scene.plan(), refused, reply(200, (), url, method, SERVER))
    assert (first.redirected, second.redirected) == (False, True)
    there = claims(dict(second.headers))
    assert (there["htm"], there["htu"]) == (method, url)


def test_no_proof_is_made_for_where_the_token_may_not_go() -> None:
    scene = Scene()
    held = scene.log_in()
    scene.storage.save(replace(held, **bound(held)))
    (sent,) = scene.sends(reply(401, WANTS_NONCE, ELSEWHERE, first_url=SERVER))
    assert claims(sent)["htu"] == SERVER


def test_a_bearer_token_after_a_bound_one_takes_the_proof_off() -> None:
    scene = Scene(asks=False)
    old = scene.log_in()
    scene.storage.save(replace(old, **bound(old)))
    plan = scene.plan()
    step = next(plan)
    while isinstance(step, Future):
        step = next(plan)
    assert "DPoP" in step.headers
    new = scene.log_in(generation=old.generation + 1)
    step = plan.send((401, reply(401, WANTS_LOGIN)))
    while isinstance(step, Future):
        step = next(plan)
    assert step.headers == {**bearer(new), "DPoP": None}


def test_a_plan_that_is_given_up_leaves_nobody_waiting() -> None:
    """The second try of a token is one request's; when that is cancelled the others go on."""
    scene = Scene(asks=False)
    held = scene.log_in()
    given_up = scene.plan()
    step = next(given_up)
    while isinstance(step, Future):
        step = next(given_up)
    step = given_up.send((401, reply(401, WANTS_LOGIN)))
    while isinstance(step, Future):
        step = next(given_up)
    assert scene.auth.session.trial(held) is not None
    given_up.close()
    assert scene.auth.session.trial(held) is None


def test_what_is_sent_does_not_show_its_token() -> None:
    scene = Scene()
    token = scene.log_in().tokens.access_token.reveal()
    (sent,) = play(scene.plan(), reply())
    assert token not in f"{sent!r} {scene.auth!r} {vars(scene.auth)!r}"


@pytest.mark.parametrize(
    "arguments",
    [
        {"on_failure": "ignore"},
        {"client": "app"},
        {"client": PreRegistered},
        {"grant": "client_credentials"},
        {"grant": DeviceCode},
        {"options": Options},
        {"options": {"issuer": "https://as.example"}},
        {"scope": 5},
        {"scope": b"read"},
        {"scope": ["read", 5]},
        {"account": ""},
        {"account": None},
        {"account": 5},
        {"storage": 5},
        {"storage": MemoryStorage},
        {"storage": "cupboard"},
        {"prompt": "always"},
        {"prompt": BrowserPrompt},
        {"on_event": "print"},
        {"transport": HttpTransport},
        {"transport": 5},
    ],
    ids=str,
)
@pytest.mark.parametrize("make", [Authorizer, MCPAuth, login])
def test_an_argument_that_cannot_be_one_is_refused_at_once(
    make: Callable[..., object], arguments: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="|".join([*arguments, "cupboard"])):
        make(SERVER, **{"prompt": None, **arguments})


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"account": "a\x1b[31m"}, "account is a text with characters that cannot be shown"),
        ({"account": " "}, "account is empty"),
        ({"scope": [1]}, "scope is a list with int in it"),
        ({"url": ""}, "url is empty"),
    ],
    ids=str,
)
def test_it_is_told_what_is_wrong_with_it(arguments: dict[str, Any], told: str) -> None:
    given = {"url": SERVER, "prompt": None, **arguments}
    with pytest.raises(UsageError, match=told):
        MCPAuth(**given)


def test_a_keyword_that_is_none_is_told_by_the_function_that_was_called() -> None:
    more: dict[str, Any] = {"bogus": 1}
    with pytest.raises(TypeError, match=r"^login\(\)"):
        login(SERVER, **more)
    with pytest.raises(TypeError, match=r"^alogin\(\)"):
        asyncio.run(alogin(SERVER, **more))


@pytest.mark.parametrize("url", [5, None, b"https://mcp.example.com/mcp", str, ""])
@pytest.mark.parametrize("make", [Authorizer, MCPAuth, login])
def test_so_is_a_url_that_is_none(make: Callable[..., object], url: object) -> None:
    with pytest.raises(UsageError):
        make(url, prompt=None)


@pytest.mark.parametrize("arguments", [{"acount": "work"}, {"force": True}], ids=str)
def test_a_keyword_that_is_none_is_refused_at_once(arguments: dict[str, Any]) -> None:
    make: Callable[..., Authorizer] = Authorizer
    with pytest.raises(TypeError, match="|".join(arguments)):
        make(SERVER, **arguments)


@pytest.mark.parametrize(
    ("keyword", "meant"),
    [
        ("dpop", ". Did you mean options=Options(dpop=…)?"),
        ("redirect_uri", ". Did you mean options=Options(redirect_uri=…)?"),
        ("scopes", ". Did you mean 'scope'?"),
        ("token_storage", ". Did you mean 'storage'?"),
        ("xyz", ""),
    ],
)
def test_a_keyword_that_is_called_otherwise_here_is_named(keyword: str, meant: str) -> None:
    make: Callable[..., Authorizer] = Authorizer
    arguments = {keyword: None}
    with pytest.raises(TypeError) as caught:
        make(SERVER, **arguments)
    told = f"Authorizer() got an unexpected keyword argument '{keyword}'"
    assert str(caught.value) == told + meant


def test_help_and_a_notebook_name_each_argument_and_its_default() -> None:
    shown = {name: each.default for name, each in signature(Authorizer).parameters.items()}
    assert set(shown) == {"url", "on_failure", *Arguments.__annotations__}
    assert (shown["account"], shown["prompt"], shown["storage"]) == ("default", "auto", None)
    own = {"url", "force", "token", "on_failure"}
    assert set(signature(login).parameters) == {*own, *Arguments.__annotations__}
    assert signature(alogin) == signature(login)
    lines = [line.split() for line in (MCPAuth.__doc__ or "").splitlines()]
    assert shown.keys() <= {words[0] for words in lines if words}  # one argument a line


def test_a_type_checker_names_each_argument_too() -> None:
    """mypy reports each of these as unused where it stops to check."""
    with pytest.raises(TypeError):
        MCPAuth(SERVER, acount="work")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        login(SERVER, acount="work")  # type: ignore[call-arg]
    with pytest.raises(UsageError):
        MCPAuth(SERVER, prompt="always")  # type: ignore[arg-type]
