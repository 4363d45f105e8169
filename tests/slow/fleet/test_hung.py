"""An engine that takes connections and says nothing any more: no one waits for it for long."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from mcp_client_auth import AuthError, Options, Unavailable
from mcp_client_auth.storage.sealed import new_key
from mcp_client_auth.storage.shared import Shared
from mcp_client_auth.testing import Settings
from tests.slow.crowd.crowd_scene import HEADERS, LIST, scene_of
from tests.support.codes import coded
from tests.support.engines import Child, PostgresServer, RedisServer, until
from tests.support.fleet_storage import storage_at


def family(process: int) -> list[int]:
    """A process and its children; those of a PostgreSQL are in no group with it."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *map(int, children)]


def send(server: Child, sign: signal.Signals) -> None:
    assert server.process is not None
    for each in family(server.process.pid):
        os.kill(each, sign)


@pytest.fixture(params=["redis", "postgres", "pool of the caller's"])
def hung(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Child, Shared]]:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", new_key().reveal())
    for engine in ("redis", "postgres"):
        monkeypatch.setattr(f"mcp_client_auth.storage.{engine}._ANSWERS", 0.5)
    started = RedisServer(tmp_path) if request.param == "redis" else PostgresServer()
    with started as server:
        storage = storage_at(server.url, "hung", 1.0)
        if isinstance(server, PostgresServer):
            storage.create()  # type: ignore[attr-defined]
        if "pool" not in request.param:
            yield server, storage
            storage.engine.close()
            return
        storage.engine.close()
        import psycopg_pool

        from mcp_client_auth import PostgresStorage

        kwargs = {"autocommit": True, "connect_timeout": 1}
        pool = psycopg_pool.ConnectionPool(
            server.url, kwargs=kwargs, min_size=1, timeout=0.5, open=True
        )
        with closing(pool):
            yield server, PostgresStorage(pool=pool, schema="hung", lease=1.0)


def test_no_request_and_no_thread_waits_for_ever(hung: tuple[Child, Shared]) -> None:
    server, storage = hung
    with scene_of(storage, Settings()) as scene:
        before, auth = scene.age(), scene.auth(options=Options(patience=1.0))
        later = scene.auth(options=Options(patience=60.0))

        def ask(auth: httpx.Auth) -> int:
            with httpx.Client(auth=auth, timeout=60, trust_env=False) as client:
                return client.post(scene.server.url, headers=HEADERS, json=LIST).status_code

        send(server, signal.SIGSTOP)
        wait_is_over(lambda: ask(auth), "no answer within 0.5 s|Timeout reading")
        wait_is_over(lambda: storage.load(scene.key), "cannot be reached")
        assert scene.refreshes == 0
        assert scene.logins == 0
        send(server, signal.SIGCONT)
        assert ask(later) == 200
        scene.renewed_once(before)
    until(lambda: not [each for each in threading.enumerate() if each.name == "mcp renewal"])


def wait_is_over(work: Callable[[], object], why: str) -> None:
    with pytest.raises(AuthError, match=why, check=coded("store")) as caught:
        work()
    assert isinstance(caught.value, Unavailable)
