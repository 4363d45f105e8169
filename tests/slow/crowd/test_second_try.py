"""A young token that a lagging replica refuses: one second try for all, and then one refresh."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from mcp_client_auth import MCPAuth
from tests.slow.crowd.crowd_scene import HEADERS, LIST, PATIENCE, Scene

SIZE = 20
WAYS = pytest.mark.parametrize(
    ("library", "backend"),
    [(httpx, "asyncio"), (httpx2, "asyncio"), (httpx, "trio"), (httpx, "threads")],
    ids=["httpx-asyncio", "httpx2-asyncio", "httpx-trio", "threads"],
)
CHALLENGE = [("WWW-Authenticate", 'Bearer error="invalid_token"')]


def crowd(auth: MCPAuth, url: str, library: Any, backend: str) -> Counter[int]:
    """So many requests that have all been sent before the first answer counts."""
    if backend == "threads":
        with (
            library.Client(auth=auth, timeout=PATIENCE, verify=False) as client,
            ThreadPoolExecutor(SIZE) as pool,
        ):
            posts = [pool.submit(client.post, url, headers=HEADERS, json=LIST) for _ in range(SIZE)]
            return Counter(post.result().status_code for post in posts)

    async def main() -> Counter[int]:
        statuses: Counter[int] = Counter()
        longest, before = 0.0, stood_still()

        async def one() -> None:
            answer = await client.post(url, headers=HEADERS, json=LIST)
            statuses[answer.status_code] += 1

        async with (
            library.AsyncClient(auth=auth, timeout=PATIENCE, verify=False) as client,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(SIZE):
                tasks.start_soon(one)
            while sum(statuses.values()) < SIZE:
                await anyio.sleep(0.02)
                longest, before = max(longest, stood_still() - before), stood_still()
        assert longest < 0.9, "the loop stood still"
        return statuses

    return anyio.run(main, backend=backend)


def stood_still() -> float:
    """Seconds in which this thread had nothing to do; a busy machine's delays are not counted."""
    told = Path("/proc/thread-self/schedstat")
    ran, delayed = map(int, told.read_text().split()[:2]) if told.exists() else (0, 0)
    return time.monotonic() - (ran + delayed) / 1e9


def young(scene: Scene) -> MCPAuth:
    scene.age(left=3598, lifetime=3600)
    scene.server.clear_requests()
    return scene.auth()


@WAYS
def test_what_one_hears_of_its_second_try_is_true_for_all(
    scene: Scene, library: Any, backend: str
) -> None:
    auth = young(scene)
    scene.server.fail_next("/mcp", 401, SIZE, headers=CHALLENGE)
    assert crowd(auth, scene.server.url, library, backend) == {200: SIZE}
    assert scene.refreshes == 0
    assert scene.server.count("/mcp") == 2 * SIZE


@WAYS
def test_a_second_refusal_costs_one_request_and_one_refresh(
    scene: Scene, library: Any, backend: str
) -> None:
    auth, before = young(scene), scene.stored
    scene.server.expire_access_tokens()
    assert crowd(auth, scene.server.url, library, backend) == {200: SIZE}
    scene.renewed_once(before)
    assert scene.server.count("/mcp") == 2 * SIZE + 1


def test_who_is_cancelled_in_its_second_try_leaves_it_to_the_others(scene: Scene) -> None:
    auth, url = young(scene), scene.server.url
    scene.server.fail_next("/mcp", 401, 2, headers=CHALLENGE)

    sent: list[str] = []

    async def note(request: httpx.Request) -> None:
        sent.append(request.headers["X-Who"])

    async def main() -> int:
        hooks = {"request": [note]}
        async with httpx.AsyncClient(auth=auth, timeout=PATIENCE, event_hooks=hooks) as client:

            def post(name: str) -> Any:
                headers = {**HEADERS, "X-Who": name}
                return asyncio.ensure_future(client.post(url, headers=headers, json=LIST))

            tasks = {name: post(name) for name in ("one", "other")}
            while scene.server.count("/mcp") < 2:
                await asyncio.sleep(0.01)
            held = scene.server.hold_next("/mcp", processed=False)
            await asyncio.get_running_loop().run_in_executor(None, held.reached.wait, 20)
            trier = tasks.pop(sent[2])
            trier.cancel()
            await asyncio.wait([trier], timeout=20)
            assert trier.cancelled()
            [waiting] = tasks.values()
            answer = await asyncio.wait_for(waiting, 20)
            held.release()
            return int(answer.status_code)

    assert asyncio.run(main()) == 200
    assert scene.refreshes == 0


def test_two_refusals_of_an_old_token_have_no_second_try(scene: Scene) -> None:
    scene.server.expire_access_tokens()
    before = scene.age(left=1800)
    auth = scene.auth()
    assert crowd(auth, scene.server.url, httpx, "asyncio") == {200: SIZE}
    scene.renewed_once(before)
    assert scene.server.count("/mcp") == 2 * SIZE
