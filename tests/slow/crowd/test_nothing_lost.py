"""A caller who goes away while a refresh is on the wire loses nothing that was rotated."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from mcp_client_auth.testing import Held
from tests.slow.crowd.crowd_scene import HEADERS, LIST, PATIENCE, Scene, until

Ask = Callable[[], Coroutine[Any, Any, Any]]
LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


async def rotated(held: Held) -> None:
    await anyio.to_thread.run_sync(held.wait)


async def task_cancel(client: Any, ask: Ask, held: Held) -> None:
    task = asyncio.ensure_future(ask())
    await rotated(held)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def asyncio_timeout(client: Any, ask: Ask, held: Held) -> None:
    async def expire(limit: asyncio.Timeout) -> None:
        await rotated(held)
        limit.reschedule(asyncio.get_running_loop().time())

    async def impatient() -> None:
        async with asyncio.timeout(PATIENCE) as limit:
            tasks.append(asyncio.ensure_future(expire(limit)))
            await ask()

    tasks: list[asyncio.Future[None]] = []
    with pytest.raises(TimeoutError):
        await impatient()
    await tasks[0]


async def move_on_after(client: Any, ask: Ask, held: Held) -> None:
    async def expire(scope: anyio.CancelScope) -> None:
        await rotated(held)
        scope.deadline = anyio.current_time()

    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(PATIENCE) as scope:
            tasks.start_soon(expire, scope)
            await ask()
        assert scope.cancelled_caught


async def group_cancel(client: Any, ask: Ask, held: Held) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(ask)
        await rotated(held)
        tasks.cancel_scope.cancel()


async def one_of_many(client: Any, ask: Ask, held: Held) -> None:
    """The others, who wait for the same Future, are not cancelled with it."""
    answers: list[Any] = []

    async def stay() -> None:
        answers.append(await ask())

    async def leave() -> None:
        with scope:
            await ask()

    scope = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leave)
        tasks.start_soon(stay)
        tasks.start_soon(stay)
        await rotated(held)
        scope.cancel()
        await anyio.sleep(0)
        held.release()
    assert [answer.status_code for answer in answers] == [200, 200]


async def client_closed(client: Any, ask: Ask, held: Held) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await rotated(held)
        await client.aclose()
        tasks.cancel_scope.cancel()


WAYS = [
    ("asyncio", task_cancel),
    ("asyncio", asyncio_timeout),
    *((backend, way) for backend in ("asyncio", "trio") for way in (move_on_after, group_cancel)),
    *((backend, way) for backend in ("asyncio", "trio") for way in (one_of_many, client_closed)),
]


@LIBRARIES
@pytest.mark.parametrize(("backend", "way"), WAYS)
def test_a_caller_is_cancelled_when_the_token_is_rotated(
    scene: Scene, library: Any, backend: str, way: Any
) -> None:
    before, auth, url = scene.expire(), scene.auth(), scene.server.url
    held = scene.server.hold_next()

    async def main() -> None:
        async with library.AsyncClient(auth=auth, timeout=PATIENCE, verify=False) as client:
            await way(client, lambda: client.post(url, headers=HEADERS, json=LIST), held)

    anyio.run(main, backend=backend)
    held.release()
    until(lambda: scene.stored.generation > before.generation)
    with library.Client(auth=auth, timeout=PATIENCE, verify=False) as client:
        assert client.post(url, headers=HEADERS, json=LIST).status_code == 200
    scene.renewed_once(before)


def test_the_loop_ends_when_the_token_is_rotated(scene: Scene) -> None:
    before, auth, url = scene.expire(), scene.auth(), scene.server.url
    held = scene.server.hold_next()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # the task is destroyed, that is meant
    client = httpx.AsyncClient(auth=auth, timeout=PATIENCE, verify=False)
    asking = loop.create_task(client.post(url, headers=HEADERS, json=LIST))
    loop.run_until_complete(loop.run_in_executor(None, held.wait))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    held.release()
    until(lambda: scene.stored.generation > before.generation)
    scene.renewed_once(before)
    coroutine: Any = asking.get_coro()
    with suppress(RuntimeError):  # httpx closes the generator that is just being closed
        coroutine.close()
    del asking, coroutine
    gc.collect()
    scene.works()


@pytest.mark.skipif(sys.platform == "win32", reason="a signal to a thread")
def test_ctrl_c_in_a_caller_that_waits(scene: Scene) -> None:
    before, auth, url = scene.expire(), scene.auth(), scene.server.url
    held = scene.server.hold_next()
    here = threading.get_ident()

    def interrupt() -> None:
        held.wait()
        signal.pthread_kill(here, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with httpx.Client(auth=auth, timeout=PATIENCE, verify=False) as client:
        with pytest.raises(KeyboardInterrupt):
            client.post(url, headers=HEADERS, json=LIST)
        held.release()
        until(lambda: scene.stored.generation > before.generation)
        assert client.post(url, headers=HEADERS, json=LIST).status_code == 200
    scene.renewed_once(before)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_flow_closed_from_another_task_leaves_nothing_locked(scene: Scene, backend: str) -> None:
    before, auth, url = scene.expire(), scene.auth(), scene.server.url

    async def main() -> None:
        flow = auth.async_auth_flow(httpx.Request("POST", url, headers=HEADERS, json=LIST))
        request = await anext(flow)  # it has waited for the refresh
        assert request.headers["Authorization"]

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flow.aclose)
        async with httpx.AsyncClient(auth=auth, timeout=PATIENCE, verify=False) as client:
            answer = await client.post(url, headers=HEADERS, json=LIST)
            assert answer.status_code == 200

    anyio.run(main, backend=backend)
    scene.renewed_once(before)


def test_an_answer_that_is_lost_is_no_reason_to_try_again_in_vain(scene: Scene) -> None:
    """The loss that nobody can prevent: it ends in a login, and not in a revoked stranger."""
    before, auth, url = scene.expire(), scene.auth(), scene.server.url
    held = scene.server.hold_next()
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            with httpx.Client(auth=auth, timeout=PATIENCE, verify=False) as client:
                client.post(url, headers=HEADERS, json=LIST)
        except BaseException as error:
            failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    held.wait()
    held.lose()
    asking.join(PATIENCE)
    assert [type(error).__name__ for error in failures] == ["LoginRequired"]
    assert scene.refreshes == 2
    assert scene.stored.tokens.access_token == before.tokens.access_token
    assert scene.stored.tokens.refresh_token is None
