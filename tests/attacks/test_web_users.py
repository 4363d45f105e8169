"""The users of a web application, each of whom may try what they like with their own account."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from mcp_client_auth import (
    AuditEvent,
    AuthError,
    BadResponse,
    Event,
    InsecureUrl,
    LoginRequired,
    Logins,
    MemoryStorage,
    Untrusted,
    UsageError,
)
from mcp_client_auth.storage.sealed import new_key
from mcp_client_auth.web.split_login import is_private, name_of
from tests.support.app_browser import CALLBACK
from tests.support.codes import coded
from tests.support.session_world import SERVER, World

CORP = ["mcp.corp.example"]


@pytest.mark.parametrize(
    "url",
    [
        "https://mcp.corp.example@evil.example/mcp",
        "https://evil.example/@mcp.corp.example",
        "https://evil.example#@mcp.corp.example",
        "https://evil.example?mcp.corp.example",
        "https://mcp.corp.example.evil.example/mcp",
        "https://evil-mcp.corp.example/mcp",
        "https://corp.example/mcp",
        "https://evil.example\\@mcp.corp.example/mcp",
        "https:///mcp.corp.example",
        "//mcp.corp.example",
        "mcp.corp.example",
        "https://[mcp.corp.example]/",
    ],
)
def test_a_url_that_looks_like_that_of_an_allowed_server_is_none(url: str) -> None:
    assert not is_private(url, CORP)


def logins(world: World, **more: Any) -> Logins:
    usual = {"redirect_uri": CALLBACK, "transport": lambda url: world}
    return Logins(MemoryStorage(), **{**usual, **more})


@pytest.mark.parametrize("answer", [None, 1, "no", object(), [False]])
def test_what_is_no_answer_allows_nothing(answer: Any) -> None:
    world = World()
    with pytest.raises(UsageError, match="has answered with"):
        logins(world, allow_private_servers=lambda url: answer).begin(SERVER, account="ada")
    assert world.sent == []


@pytest.mark.parametrize("host", ["http://10.0.0.1", "10.0.0.1:80", "*", "[::1]", "10.0.0.0/8", ""])
def test_what_no_host_ever_equals_is_no_host(host: str) -> None:
    with pytest.raises(UsageError, match="which is not a host"):
        is_private(SERVER, ["mcp.corp.example", "::1", host])


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
def test_a_coroutine_function_does_not_allow_every_server_inside() -> None:
    async def allowed(url: str) -> bool:
        return False

    with pytest.raises(UsageError, match="not a coroutine function"):
        logins(World(), allow_private_servers=allowed).begin("https://10.0.0.1/", account="ada")


def test_a_function_that_says_no_is_heard() -> None:
    with pytest.raises(InsecureUrl):
        logins(World(), allow_private_servers=lambda url: False, transport=None).begin(
            "https://10.0.0.1/mcp", account="ada"
        )


def test_no_two_people_share_a_name_for_what_they_have_begun() -> None:
    people = ["a", "b", "a,b", 'a"', 'a","b', "A", "a ", "á", "a\u0301", "7", "07"]
    states = ["s", "b,s", '","s', "S"]
    assert len({name_of(who, state) for who in people for state in states}) == 44


def test_the_binding_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    compare: Callable[..., bool] = hmac.compare_digest

    def counted(one: str, other: str) -> bool:
        compared.append(len(one) - len(other))
        return compare(one, other)

    world = World()
    application = logins(world)
    begun = application.begin(SERVER, account="team")
    query = world.authorization.consent(begun.url, allow=True)
    monkeypatch.setattr(hmac, "compare_digest", counted)
    for wrong in ("x", begun.binding[:-1], begun.binding + "x"):
        before = len(compared)
        with pytest.raises(Untrusted, check=coded("not_this_login")):
            application.finish(query, account="team", binding=wrong)
        assert compared[before:] == [0], "digests, of one length"


@pytest.mark.parametrize(
    "code", ["invalid_grant\naudit https://forged.example begin", "x\r\ny", "\x1b[2J"]
)
def test_a_server_writes_no_line_of_its_own_into_the_audit(
    code: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", new_key().reveal())
    caplog.set_level(logging.INFO, "mcp_client_auth.audit")
    world, events = World(), list[Event]()
    application = logins(world, on_event=events.append)
    begun = application.begin(SERVER, account="ada")
    application.finish(world.authorization.consent(begun.url, allow=True), account="ada")
    monkeypatch.setattr(world.authorization, "token", lambda form: (400, {"error": code}))
    with pytest.raises((LoginRequired, AuthError)):
        application.auth(SERVER, account="ada").session.refresh()
    audited = [str(each) for each in events if isinstance(each, AuditEvent)]
    assert len(audited) >= 2
    assert all(line.isprintable() for line in audited)
    assert all(line.isprintable() for line in caplog.messages)
    assert json.dumps(audited)


def test_a_server_cannot_fill_the_storage_by_what_it_makes_of_a_sign_in() -> None:
    world, storage = World(), MemoryStorage()
    usual = world.authorization.metadata()
    long = usual["authorization_endpoint"] + "/" + "a" * 500_000
    world.authorization.metadata = lambda: {**usual, "authorization_endpoint": long}  # type: ignore[method-assign]
    application = Logins(storage, redirect_uri=CALLBACK, transport=lambda url: world)
    held: list[str] = []
    storage.hold = lambda name, text, seconds: held.append(text)  # type: ignore[method-assign]
    with pytest.raises(BadResponse, match="characters long"):
        application.begin(SERVER, account="eve")
    assert held == []
