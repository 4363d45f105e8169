"""Users of a web application begin at one host and finish at another; the engine has it all."""

from __future__ import annotations

import pytest

from mcp_client_auth import AuditEvent, Event, Logins
from mcp_client_auth.storage.sealed import new_key
from mcp_client_auth.storage.shared import Shared
from mcp_client_auth.testing import DemoServer, Settings
from tests.slow.crowd.crowd_scene import scene_of
from tests.slow.fleet.conftest import Fleet
from tests.slow.test_web_processes import process
from tests.support.app_browser import AppBrowser
from tests.support.engines import RedisServer

USERS = [f"user {number}" for number in range(5)]


@pytest.mark.parametrize("fleet", ["redis"], indirect=True)
def test_the_hosts_of_a_fleet_call_an_account_the_same_in_their_audit(fleet: Fleet) -> None:
    events: list[Event] = []
    with scene_of(fleet.host(), Settings()) as scene:
        for _ in range(2):
            scene.age()
            auth = scene.auth(storage=fleet.host(), on_event=events.append)
            auth.session.refresh()
        auth.session.log_out()
    audited = [each for each in events if isinstance(each, AuditEvent)]
    assert [each.detail for each in audited] == ["refresh", "refresh", "forget"]
    assert {each.account for each in audited} == {fleet.host().alias("default")}
    assert audited[0].generation < audited[1].generation == audited[2].generation


def test_one_user_is_listed_and_forgotten_and_no_other(fleet: Fleet, server: DemoServer) -> None:
    def application(storage: Shared) -> Logins:
        return Logins(
            storage,
            redirect_uri="https://app.example/callback",
            allow_private_servers=["127.0.0.1"],
        )

    here, there = application(fleet.host()), application(fleet.host())
    for user in ("ada", "bob"):
        begun = here.begin(server.url, account=user)
        there.finish(AppBrowser().sign_in(begun.url), account=user).close()
    assert [entry.key.account for entry in here.of("ada")] == ["ada"]
    done = there.forget("ada")
    assert done[server.url].revoked
    assert list(here.of("ada")) == []
    assert [entry.key.account for entry in here.of("bob")] == ["bob"]


def test_a_host_with_a_wrong_clock_finishes_what_another_has_begun(
    redis_server: RedisServer, server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes are ten minutes of the engine's clock."""
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", new_key().reveal())
    redis_server.flush()
    monkeypatch.setenv("AHEAD", "-900")
    pages = process("begin", redis_server.url, server.url, USERS[:2])
    told = list(zip(USERS[:2], [AppBrowser().sign_in(page) for page in pages], strict=True))
    monkeypatch.setenv("AHEAD", "900")
    assert process("finish", redis_server.url, server.url, told) == ["done"] * 2
