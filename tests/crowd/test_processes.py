"""A crowd of processes on one login: one refresh for each expiry, and no login."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from crowd_scene import Crowd, Scene

from mcp_client_auth.testing import Settings

pytest_plugins = ["mcp_client_auth.testing.fixtures"]


@pytest.mark.parametrize("scene", ["file", "keyring"], indirect=True)
def test_twenty_processes_start_at_expiry(scene: Scene, crowd: Crowd) -> None:
    before = scene.expire()
    assert crowd.together(20, "request") == [200] * 20
    scene.renewed_once(before)
    assert scene.server.count("/mcp") == 20, "nobody asked in vain"


def test_processes_with_a_token_revoked_early(scene: Scene, crowd: Crowd) -> None:
    scene.server.expire_access_tokens()
    before = scene.age(left=1800)
    assert crowd.together(8, "request") == [200] * 8
    scene.renewed_once(before)


@pytest.mark.parametrize("settings", [Settings(access_token_seconds=4)])
def test_twenty_processes_run_over_two_expiries(scene: Scene, crowd: Crowd) -> None:
    before = scene.stored
    with moments_of_refreshes(scene) as moments:
        said = crowd.together(20, "keep_on", "2")
    assert said == [[[200], 3]] * 20
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert len(gaps) > 0
    assert min(gaps) > 3, "never two for one expiry: a token is not due before 3.6 s"
    assert len(moments) == scene.refreshes == scene.stored.generation - before.generation
    assert scene.logins == 0
    assert scene.server.families_revoked == 0


@contextmanager
def moments_of_refreshes(scene: Scene) -> Iterator[list[float]]:
    moments: list[float] = []
    over = threading.Event()

    def watch() -> None:
        last = False
        while not last:
            last = over.wait(0.01)
            new = scene.refreshes - len(moments)
            moments.extend([time.monotonic()] * new)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield moments
    finally:
        over.set()
        watching.join()
