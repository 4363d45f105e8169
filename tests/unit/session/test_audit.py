"""What became of whose login: one event each, without an account in clear."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from mcp_client_auth import (
    AuditEvent,
    AuthorizationDenied,
    Event,
    IssuerMismatch,
    LoginFailed,
    LoginRequired,
    Logins,
    MCPAuth,
    MemoryStorage,
    Untrusted,
    begin_login,
    finish_login,
)
from mcp_client_auth.storage.sealed import new_key
from tests.support.app_browser import CALLBACK
from tests.support.session_world import OTHER, SERVER, World


class Application:
    def __init__(self) -> None:
        self.world, self.events = World(), list[Event]()
        self.storage = MemoryStorage()
        self.logins = Logins(
            self.storage,
            redirect_uri=CALLBACK,
            transport=lambda url: self.world,
            on_event=self.events.append,
        )

    @property
    def audited(self) -> list[AuditEvent]:
        return [each for each in self.events if isinstance(each, AuditEvent)]

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(each.detail, each.rule) for each in self.audited]

    def log_in(self, account: str = "ada@example.com") -> None:
        begun = self.logins.begin(SERVER, account=account)
        query = self.world.authorization.consent(begun.url, allow=True)
        self.logins.finish(query, account=account)


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Application:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", new_key().reveal())
    return Application()


def test_each_step_of_a_users_login_is_one_event(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mcp_client_auth.audit")
    application.log_in()
    auth = application.logins.auth(SERVER, account="ada@example.com")
    auth.session.refresh()
    application.logins.forget("ada@example.com")
    steps = ["begin", "finish", "refresh", "forget"]
    assert [each.detail for each in application.audited] == steps
    assert [each.generation for each in application.audited] == [0, 0, 1, 1]
    assert {each.url for each in application.audited} == {SERVER}
    [name] = {each.account for each in application.audited}
    [host] = {each.host for each in application.audited}
    assert (len(name), bool(host)) == (32, True)
    lines = [each.getMessage() for each in caplog.records if each.name == "mcp_client_auth.audit"]
    assert lines == [str(each) for each in application.audited]
    assert lines[0] == f"audit {SERVER} begin account={name} generation=0 host={host}"
    assert "ada@" not in repr(application.events) + caplog.text


def test_names_are_those_of_the_key(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    for account in ("ada", "bob"):
        application.logins.begin(SERVER, account=account)
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", new_key().reveal())
    application.logins.begin(SERVER, account="ada")
    monkeypatch.delenv("MCP_CLIENT_AUTH_KEY")
    application.logins.begin(SERVER, account="ada")
    names = [each.account for each in application.audited]
    assert len(set(names)) == 4
    assert names[3] == "", "no one can tell whose it was, rather than everyone"


def test_a_response_that_finishes_nothing_is_told_with_why(application: Application) -> None:
    logins, world = application.logins, application.world
    begun = logins.begin(SERVER, account="ada")
    query = world.authorization.consent(begun.url, allow=True)
    with pytest.raises(Untrusted):
        logins.finish(query, account="eve")
    with pytest.raises(Untrusted):
        logins.finish(query, account="ada", binding=None)
    with pytest.raises(IssuerMismatch):
        logins.finish(f"state={begun.state}&iss={OTHER}&error=x", account="ada")
    logins.finish(query, account="ada")
    with pytest.raises(LoginFailed):
        logins.finish(query, account="ada")
    denied = logins.begin(SERVER, account="ada")
    with pytest.raises(AuthorizationDenied):
        logins.finish(world.authorization.consent(denied.url, allow=False), account="ada")
    refusals = [why for what, why in application.told if what == "refusal"]
    assert refusals == ["not_this_login"] * 2 + ["issuer_mismatch", "spent", "access_denied"]
    eve, ada, *_ = [each for each in application.audited if each.detail == "refusal"]
    assert eve.account != ada.account


def test_the_end_of_a_refresh_token_is_told(application: Application) -> None:
    application.log_in()
    for family in application.world.authorization.refresh.values():
        family.revoked = True
    with pytest.raises(LoginRequired):
        application.logins.auth(SERVER, account="ada@example.com").session.refresh()
    assert application.told[-1] == ("refusal", "invalid_grant")


def test_the_two_halves_by_themselves_are_told_too(application: Application) -> None:
    world, events = application.world, application.events
    pending = begin_login(
        SERVER, redirect_uri=CALLBACK, account="ada", transport=world, on_event=events.append
    )
    query = world.authorization.consent(pending.url, allow=True)
    given: Any = {"storage": application.storage, "transport": world, "on_event": events.append}
    with pytest.raises(Untrusted):
        finish_login(pending, query, binding="another", **given)
    finish_login(pending, query, binding=pending.binding, **given)
    assert application.told == [("begin", ""), ("refusal", "not_this_login"), ("finish", "")]


def test_a_login_of_this_machine_alone_is_not(application: Application) -> None:
    application.log_in("default")
    application.events.clear()
    events = application.events
    auth = MCPAuth(
        SERVER,
        storage=application.storage,
        transport=application.world,
        prompt=None,
        on_event=events.append,
    )
    auth.session.refresh()
    auth.session.log_out()
    assert "refresh" in [each.name for each in events]
    assert application.audited == []
