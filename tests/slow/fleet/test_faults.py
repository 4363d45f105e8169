"""When an engine, a host or a token endpoint fails: no login is lost, and no one asks in vain."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_client_auth import AuthError, MCPAuth, Options
from mcp_client_auth.storage.sealed import new_key
from mcp_client_auth.storage.shared import Shared
from mcp_client_auth.testing import Settings
from tests.slow.crowd.crowd_scene import HEADERS, LIST, Scene, scene_of
from tests.support.engines import Child, PostgresServer, RedisServer, until
from tests.support.fleet_hosts import storage_at

LEASE = 2.0


@dataclass
class Fleet:
    """Hosts with one login at an engine that can be killed; each has connections of its own."""

    engine: Child
    scene: Scene
    make: Callable[..., Shared]
    pool: ThreadPoolExecutor
    made: list[Shared] = field(default_factory=list)

    def host(self, lease: float = LEASE, **options: Any) -> MCPAuth:
        storage = self.make(lease)
        self.made.append(storage)
        more = Options(**{"patience": 40.0, **options})
        return MCPAuth(self.scene.server.url, storage=storage, prompt=None, options=more)

    def asks(self, auth: MCPAuth) -> Future[Any]:
        return self.pool.submit(ask, auth, self.scene.server.url)


def ask(auth: MCPAuth, url: str) -> Any:
    with httpx.Client(auth=auth, timeout=120, trust_env=False) as client:
        try:
            return client.post(url, headers=HEADERS, json=LIST).status_code
        except AuthError as error:
            return type(error).__name__, error.code


@pytest.fixture(params=["redis", "empty redis", "postgres"])
def fleet(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fleet]:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", new_key().reveal())
    options = ["--appendonly", "no"] if "empty" in request.param else []
    started = PostgresServer() if request.param == "postgres" else RedisServer(tmp_path, *options)
    with started as engine, ThreadPoolExecutor(60) as pool:
        url = engine.url

        def make(lease: float = LEASE) -> Shared:
            return storage_at(url, "fleet", lease)

        first = make()
        if request.param == "postgres":
            first.create()  # type: ignore[attr-defined]
        with scene_of(first, Settings()) as scene:
            fleet = Fleet(engine, scene, make, pool, [first])
            yield fleet
        for storage in fleet.made:
            storage.engine.close()


MOST = pytest.mark.parametrize("fleet", ["redis", "postgres"], indirect=True)
ONE = pytest.mark.parametrize("fleet", ["redis"], indirect=True)


def test_an_engine_that_is_killed_with_a_refresh_on_the_wire_loses_no_login(fleet: Fleet) -> None:
    scene, holder, other = fleet.scene, fleet.host(), fleet.host()
    before = scene.age()
    held = scene.server.hold_next()
    first = fleet.asks(holder)
    held.wait(60)
    fleet.engine.kill()
    second = fleet.asks(other)
    held.release()
    assert first.result(60) == 200, "the answer is used, although it could not be saved"
    fleet.engine.start()
    assert second.result(60) == 200
    until(lambda: scene.stored.generation == before.generation + 1)
    scene.renewed_once(before)


@ONE
def test_a_token_call_that_outlasts_the_lease_is_not_repeated(fleet: Fleet) -> None:
    scene, before = fleet.scene, fleet.scene.age()
    held = scene.server.hold_next()
    first = fleet.asks(fleet.host())
    held.wait(60)
    others = [fleet.asks(fleet.host()) for _ in range(3)]
    time.sleep(3 * LEASE)
    held.release()
    assert [each.result(60) for each in (first, *others)] == [200] * 4
    scene.renewed_once(before)


@ONE
def test_a_host_that_was_killed_before_it_sent_is_succeeded(fleet: Fleet) -> None:
    scene, before = fleet.scene, fleet.scene.age()
    gone = fleet.make().engine
    assert gone.take(scene.key.id, "refresh", "a host that was killed", LEASE, 0.0).ours
    assert fleet.asks(fleet.host()).result(60) == 200
    scene.renewed_once(before)


@MOST
def test_a_token_that_lives_is_used_while_the_engine_is_down(fleet: Fleet) -> None:
    auth = fleet.host()
    fleet.scene.age(left=1000)
    assert fleet.asks(auth).result(60) == 200
    fleet.engine.kill()
    assert fleet.asks(auth).result(60) == 200
    auth.session._renewal.known = replace_due(auth)  # it is to be renewed, but has not ended
    assert fleet.asks(auth).result(60) == 200
    assert fleet.scene.refreshes == 0


def replace_due(auth: MCPAuth) -> Any:
    from dataclasses import replace

    return replace(auth.session._renewal.known, due=0.0)


@MOST
def test_without_the_engine_no_one_refreshes_and_no_one_is_asked_to_log_in(fleet: Fleet) -> None:
    fleet.scene.age()
    fleet.engine.kill()
    assert fleet.asks(fleet.host(patience=1.0)).result(60) == ("Unavailable", "store")
    assert fleet.scene.refreshes == 0


@ONE
def test_hosts_pause_together_while_the_token_endpoint_fails(fleet: Fleet) -> None:
    scene, hosts = fleet.scene, [fleet.host(patience=6.0) for _ in range(20)]
    before = scene.age()
    scene.server.fail_next("/token", 503, times=1000)
    said = [each.result(120) for each in [fleet.asks(host) for host in hosts]]
    assert {each[0] for each in said} == {"Unavailable"}
    assert 1 <= scene.server.count("/token") <= 10, "one pause for all"
    scene.server.fail_next("/token", 503, times=0)
    assert scene.stored == before


@ONE
def test_a_host_that_is_cut_off_keeps_its_answer_until_it_is_back(fleet: Fleet) -> None:
    """A cut that is shorter than the lease, of which both have the usual one."""
    scene, holder, other = fleet.scene, fleet.host(20.0), fleet.host(20.0)
    for storage in fleet.made:  # the engine has just started, which is not the point here
        storage.leases.least = lambda _: 0.0  # type: ignore[assignment, method-assign]
    before = scene.age()
    held = scene.server.hold_next()
    first = fleet.asks(holder)
    held.wait(60)
    assert isinstance(fleet.engine, RedisServer)
    fleet.engine.stop_for_now()
    held.release()
    assert first.result(60) == 200, "used after a save that nobody has answered"
    second = fleet.asks(other)
    fleet.engine.go_on()
    assert second.result(60) == 200
    until(lambda: scene.stored.generation == before.generation + 1)
    scene.renewed_once(before)
