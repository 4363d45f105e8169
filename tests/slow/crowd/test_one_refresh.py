"""One expiry makes one token request, however many tasks, threads, loops and objects see it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from mcp_client_auth import MCPAuth, MemoryStorage
from mcp_client_auth.session.knowledge import Send
from mcp_client_auth.storage import choose_storage
from mcp_client_auth.testing import Settings
from tests.slow.crowd.crowd_scene import HEADERS, LIST, PATIENCE, Scene, scene_of, until

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


async def storm(library: Any, auths: list[MCPAuth], url: str, size: int) -> Counter[int]:
    """So many requests at once in this loop, spread over the objects."""
    statuses: Counter[int] = Counter()
    few = max(1, size // 50 // len(auths))  # a pool of httpx is slow with hundreds in line
    clients = [
        library.AsyncClient(auth=auth, timeout=PATIENCE, verify=False)
        for auth in auths
        for _ in range(few)
    ]

    async def one(client: Any) -> None:
        answer = await client.post(url, headers=HEADERS, json=LIST)
        statuses[answer.status_code] += 1

    async with anyio.create_task_group() as tasks:
        for number in range(size):
            tasks.start_soon(one, clients[number % len(clients)])
    for client in clients:
        await client.aclose()
    return statuses


def threads(size: int, work: Callable[[], Any]) -> Counter[Any]:
    """The same work in so many threads, let go at the same moment."""
    results: Counter[Any] = Counter()
    barrier = threading.Barrier(size)

    def one() -> None:
        barrier.wait(PATIENCE)
        results[work()] += 1

    running = [threading.Thread(target=one) for _ in range(size)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(PATIENCE)
    return results


def post(auth: MCPAuth, url: str, library: Any = httpx) -> int:
    return 200 * posts(auth, url, library, 1)


def posts(auth: MCPAuth, url: str, library: Any, times: int) -> int:
    """How many of them are answered well; one client, for each loads its certificates."""
    with library.Client(auth=auth, timeout=PATIENCE, verify=False) as client:
        done = [client.post(url, headers=HEADERS, json=LIST).status_code for _ in range(times)]
    return done.count(200)


@LIBRARIES
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_thousand_requests_of_one_loop_at_expiry(
    scene: Scene, library: Any, backend: str
) -> None:
    size = 1000 if (library, backend) == (httpx, "asyncio") else 200
    before = scene.expire()
    auths = [scene.auth()]
    statuses = anyio.run(storm, library, auths, scene.server.url, size, backend=backend)
    assert statuses == {200: size}
    scene.renewed_once(before)
    assert scene.server.count("/mcp") == size, "nobody asked in vain"


@pytest.mark.parametrize("settings", [Settings(dpop="required", dpop_nonces="both")])
def test_a_thousand_bound_requests_at_expiry_have_a_proof_each(scene: Scene) -> None:
    size, before = 1000, scene.expire()
    statuses = anyio.run(storm, httpx, [scene.auth()], scene.server.url, size)
    assert statuses == {200: size}
    assert scene.stored.generation == before.generation + 1
    assert scene.server.families_revoked == 0
    refreshes = [r.status for r in scene.server.requests if r.grant_type == "refresh_token"]
    assert refreshes == [400, 200], "once without the nonce, once with it"
    # all were signed before the first answer could give a nonce, and none paid twice
    assert scene.server.count("/mcp") <= 2 * size


@pytest.mark.parametrize("settings", [Settings(dpop="required", dpop_nonces="both")])
def test_bound_requests_of_many_threads_outlive_their_nonces(scene: Scene) -> None:
    auth, over = scene.auth(), threading.Event()

    def rotate() -> None:
        while not over.wait(1.0):
            scene.server.rotate_dpop_nonces()

    rotating = threading.Thread(target=rotate)
    rotating.start()
    try:
        results = threads(12, lambda: posts(auth, scene.server.url, httpx, 40))
    finally:
        over.set()
        rotating.join()
    assert results == {40: 12}
    assert scene.refreshes == scene.logins == 0


def test_a_token_held_in_memory_expires_for_fifty_threads(scene: Scene) -> None:
    auth = scene.auth()
    assert post(auth, scene.server.url) == 200
    before, aged = scene.stored, scene.expire()
    auth.session._renewal.learn(Send(aged, 0.0, "held"))  # what it holds in memory has died too
    results = threads(50, lambda: posts(auth, scene.server.url, httpx, 20))
    assert results == {20: 50}
    scene.renewed_once(before)


def test_threads_and_loops_of_both_libraries_share_one_refresh(scene: Scene) -> None:
    before, auth, url = scene.expire(), scene.auth(), scene.server.url
    turns = iter([(library, backend) for library in (httpx, httpx2) for backend in BACKENDS] * 4)

    def work() -> bool:
        library, backend = next(turns)
        if backend == "sync":
            return post(auth, url, library) == 200
        return anyio.run(storm, library, [auth], url, 5, backend=backend) == {200: 5}

    assert threads(24, work) == {True: 24}
    scene.renewed_once(before)


BACKENDS = ("sync", "asyncio", "trio")


def test_ten_objects_on_one_file(scene: Scene) -> None:
    before = scene.expire()
    auths = [scene.auth(storage=choose_storage("file")) for _ in range(10)]
    assert asyncio.run(storm(httpx, auths, scene.server.url, 100)) == {200: 100}
    scene.renewed_once(before)


def test_ten_objects_on_one_memory(settings: Settings) -> None:
    with scene_of(MemoryStorage(), settings) as scene:
        before = scene.expire()
        auths = [scene.auth() for _ in range(10)]
        assert asyncio.run(storm(httpx, auths, scene.server.url, 100)) == {200: 100}
        scene.renewed_once(before)


def test_ten_objects_on_one_keyring(secret_service: object, settings: Settings) -> None:
    with scene_of(choose_storage("keyring"), settings) as scene:
        before = scene.expire()
        auths = [scene.auth(storage=choose_storage("keyring")) for _ in range(10)]
        assert asyncio.run(storm(httpx, auths, scene.server.url, 50)) == {200: 50}
        scene.renewed_once(before)


@pytest.mark.parametrize("objects", [1, 10])
def test_a_token_revoked_early_is_renewed_once(scene: Scene, objects: int) -> None:
    scene.server.expire_access_tokens()
    before = scene.age(left=1800)  # it is believed valid
    auths = [scene.auth(storage=choose_storage("file")) for _ in range(objects)]
    assert asyncio.run(storm(httpx, auths, scene.server.url, 200)) == {200: 200}
    scene.renewed_once(before)


def test_a_token_that_another_program_has_renewed_is_picked_up(scene: Scene) -> None:
    early, late = scene.auth(), scene.auth()
    scene.age(left=1800)
    assert post(early, scene.server.url) == post(late, scene.server.url) == 200
    before = scene.stored
    scene.server.expire_access_tokens()
    assert post(early, scene.server.url) == 200
    assert post(late, scene.server.url) == 200
    scene.renewed_once(before)


def test_a_token_just_renewed_by_another_program_needs_nobody(scene: Scene) -> None:
    """It was issued a moment ago, and so it is not renewed again: but there is a newer one."""
    late = scene.auth()
    assert post(late, scene.server.url) == 200
    scene.server.expire_access_tokens()
    fresh = scene.age()
    assert post(scene.auth(), scene.server.url) == 200
    assert post(late, scene.server.url) == 200
    scene.renewed_once(fresh)


@pytest.mark.parametrize("settings", [Settings(access_token_seconds=3, latency=0.2)])
def test_requests_of_one_process_go_on_over_two_expiries(scene: Scene) -> None:
    """And none of them waits for a renewal: the token in use still works meanwhile."""
    before, auth = scene.stored, scene.auth()
    seen: set[str] = set()
    with httpx.Client(auth=auth, timeout=PATIENCE) as client:
        client.post(scene.server.url, headers=HEADERS, json=LIST)

        def another() -> bool:
            answer = client.post(scene.server.url, headers=HEADERS, json=LIST)
            assert answer.status_code == 200
            seen.add(answer.request.headers["Authorization"])
            return len(seen) == 3

        until(another)
    assert scene.stored.generation - before.generation == scene.refreshes
    assert scene.refreshes >= 2
    assert scene.server.families_revoked == 0
    assert scene.server.count("/mcp") > 20
