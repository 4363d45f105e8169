"""A storage behind the network is never asked on the thread of an event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from mcp_client_auth import Logins
from mcp_client_auth.storage.engine import Engine
from mcp_client_auth.testing import Settings
from tests.slow.crowd.crowd_scene import HEADERS, LIST, scene_of
from tests.slow.fleet.conftest import Fleet
from tests.support.app_browser import CALLBACK, AppBrowser


def watched(engine: Engine) -> set[tuple[str, int]]:
    """Which thread calls which of its steps, from now on."""
    calls: set[tuple[str, int]] = set()
    for name in Engine.__abstractmethods__ - {"fault", "reset", "close"}:
        setattr(engine, name, noted(name, getattr(engine, name), calls))
    return calls


def noted(name: str, work: Callable[..., Any], calls: set[tuple[str, int]]) -> Callable[..., Any]:
    def step(*words: Any, **more: Any) -> Any:
        calls.add((name, threading.get_ident()))
        return work(*words, **more)

    return step


@pytest.mark.parametrize("fleet", ["redis", "postgres"], indirect=True)
def test_no_request_asks_the_engine_on_the_thread_of_its_loop(fleet: Fleet) -> None:
    """Without a token, with a fresh one, one that is due, one that has ended and one refused."""
    storage = fleet.host()
    with scene_of(storage, Settings()) as scene:
        calls, auth = watched(storage.engine), scene.auth()

        async def post(client: httpx.AsyncClient) -> int:
            answer = await client.post(scene.server.url, headers=HEADERS, json=LIST)
            return answer.status_code

        async def life() -> None:
            async with httpx.AsyncClient(auth=auth, timeout=60, trust_env=False) as client:
                assert await post(client) == 200
                assert await post(client) == 200
                await client.get(scene.server.url + "/below")
                await anyio.to_thread.run_sync(scene.expire)
                assert await post(client) == 200
            async with httpx.AsyncClient(auth=scene.auth(), timeout=60, trust_env=False) as client:
                await anyio.to_thread.run_sync(scene.age)
                assert await post(client) == 200

        anyio.run(life)
        assert scene.refreshes == 2
    assert {"get", "take", "put", "note", "release"} <= {name for name, _ in calls}
    assert [name for name, thread in calls if thread == threading.get_ident()] == []


@pytest.mark.parametrize("fleet", ["redis"], indirect=True)
def test_no_twin_of_an_application_asks_the_engine_on_the_thread_of_its_loop(
    fleet: Fleet,
) -> None:
    storage = fleet.host()
    with scene_of(storage, Settings()) as scene:
        calls = watched(storage.engine)
        logins = Logins(storage, redirect_uri=CALLBACK, allow_private_servers=["127.0.0.1"])

        async def life() -> None:
            begun = await logins.abegin(scene.server.url, account="ada")
            callback = await anyio.to_thread.run_sync(AppBrowser().sign_in, begun.url)
            await logins.afinish(callback, account="ada")
            auth = await logins.aauth(scene.server.url, account="ada")
            me = await auth.alogin()
            assert await me.atools()
            me.close()
            assert len(await logins.aof("ada")) == 1
            assert (await logins.aforget("ada"))[scene.server.url].revoked

        anyio.run(life)
    assert {"hold", "pop", "tagged", "drop"} <= {name for name, _ in calls}
    assert [name for name, thread in calls if thread == threading.get_ident()] == []
