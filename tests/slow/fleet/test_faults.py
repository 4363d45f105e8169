"""While the engine is down, what lives is used and nothing is sent; `scenes` plays other faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_client_auth import AuthError, MCPAuth, Options, PostgresStorage
from mcp_client_auth.storage.sealed import new_key
from mcp_client_auth.storage.shared import Shared
from mcp_client_auth.testing import Settings
from tests.slow.crowd.crowd_scene import HEADERS, LIST, Scene, scene_of
from tests.support.engines import Child, PostgresServer, RedisServer, until
from tests.support.fleet_storage import storage_at

LEASE = 2.0


@dataclass
class Fleet:
    """Hosts with one login at an engine that can be killed; each has connections of its own."""

    engine: Child
    scene: Scene
    make: Callable[..., Shared]
    pool: ThreadPoolExecutor
    made: list[Shared] = field(default_factory=list)

    def host(self, **options: Any) -> MCPAuth:
        storage = self.make()
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


@pytest.fixture(params=["redis", "postgres"])
def fleet(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fleet]:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", new_key().reveal())
    started = PostgresServer() if request.param == "postgres" else RedisServer(tmp_path)
    with started as engine, ThreadPoolExecutor() as pool:
        url = engine.url

        def make() -> Shared:
            return storage_at(url, "fleet", LEASE)

        first = make()
        if request.param == "postgres":
            first.create()  # type: ignore[attr-defined]
        with scene_of(first, Settings()) as scene:
            fleet = Fleet(engine, scene, make, pool, [first])
            yield fleet
        for storage in fleet.made:
            storage.engine.close()


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


def test_without_the_engine_no_one_refreshes_and_no_one_is_asked_to_log_in(fleet: Fleet) -> None:
    fleet.scene.age()
    fleet.engine.kill()
    assert fleet.asks(fleet.host(patience=1.0)).result(60) == ("Unavailable", "store")
    assert fleet.scene.refreshes == 0


@pytest.mark.parametrize("fleet", ["postgres"], indirect=True)
def test_a_crash_that_empties_the_leases_leaves_each_holder_time_to_come_back(fleet: Fleet) -> None:
    """One process of the engine is killed, as for its memory: it forgets all leases, and is up
    again before anyone has noticed, with the start that it had."""
    here, there = fleet.make().engine, fleet.make().engine

    def takes(engine: Any, id: str, owner: str) -> bool:  # noqa: A002
        return bool(engine.take(id, "refresh", owner, LEASE, LEASE).ours)

    until(lambda: takes(there, "another", "there"))
    assert takes(here, "one", "here")
    assert isinstance(fleet.engine, PostgresServer)
    fleet.engine.crash()
    assert not takes(there, "one", "there")
    assert here.extend("one", "refresh", "here", LEASE)
    here.release("one", "refresh", "here")
    until(lambda: takes(there, "one", "there"))
    here.close()
    there.close()


@pytest.mark.parametrize("fleet", ["postgres"], indirect=True)
def test_no_question_fails_for_the_connections_of_an_engine_that_was_restarted(
    fleet: Fleet,
) -> None:
    storage = fleet.make()
    fleet.made.append(storage)
    engine: Any = storage.engine
    with engine._connection(), engine._connection(), engine._connection():
        pass  # as many are idle then
    fleet.engine.kill()
    fleet.engine.start()
    assert storage.load(fleet.scene.key) is not None


@pytest.mark.parametrize("fleet", ["postgres"], indirect=True)
@pytest.mark.parametrize("level", ["repeatable%20read", "serializable"])
def test_a_step_that_the_database_undoes_for_another_is_taken_again(
    level: str, fleet: Fleet
) -> None:
    """Where it isolates transactions more than it does by itself."""
    import psycopg

    option = f"options=-c%20default_transaction_isolation%3D{level.replace('%20', '%5C%20')}"
    storage = storage_at(f"{fleet.engine.url}?{option}", "fleet", LEASE)
    fleet.made.append(storage)
    engine, key = storage.engine, fleet.scene.key
    engine.take(key.id, "test", "another", 0.001, 0.0)
    with psycopg.connect(fleet.engine.url) as other:
        other.execute("UPDATE fleet.leases SET owner = 'another one'")
        taken = fleet.pool.submit(engine.take, key.id, "test", "ours", LEASE, 0.0)
        waits = "SELECT FROM pg_locks WHERE NOT granted"
        until(lambda: taken.done() or other.execute(waits).fetchone() is not None)
        other.commit()
    assert taken.result(60).ours


@pytest.mark.parametrize("fleet", ["postgres"], indirect=True)
def test_two_hosts_that_start_at_once_may_both_make_the_tables(fleet: Fleet) -> None:
    import psycopg

    storage = PostgresStorage(fleet.engine.url, schema="together")
    fleet.made.append(storage)
    with psycopg.connect(fleet.engine.url) as other:
        other.execute("CREATE SCHEMA together")  # as the other host is just doing
        made = fleet.pool.submit(storage.create)
        waits = "SELECT FROM pg_locks WHERE NOT granted"
        until(lambda: made.done() or other.execute(waits).fetchone() is not None)
        other.commit()
    made.result(60)
    storage.check()
