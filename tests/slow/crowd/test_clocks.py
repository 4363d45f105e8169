"""Clocks that are wrong and lifetimes that are strange end in a token, not in a storm."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_client_auth import MCPAuth
from tests.slow.crowd.crowd_scene import HEADERS, LIST, PATIENCE, Scene
from tests.support.hostile import World, document, tokens
from tests.support.victim import Victim, victim_of

DAY = 86_400.0
LASTING: dict[str, Any] = {
    "missing": None,
    "a string": "3600",
    "a fraction": 3600.5,
    "huge": 10**15,
    "huger": 1e300,
}
DEAD: dict[str, Any] = {"zero": 0, "zero in a string": "0", "negative": -3600}


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with victim_of(tmp_path / "home") as victim:
        yield victim


def answer(world: World, expires_in: object) -> None:
    for spot in ("token", "refresh"):
        world.at(spot, document(tokens(expires_in=expires_in)))


def statuses(auth: MCPAuth, url: str, times: int) -> set[int]:
    with httpx.Client(auth=auth, timeout=PATIENCE, verify=False, trust_env=False) as client:
        return {client.post(url, headers=HEADERS, json=LIST).status_code for _ in range(times)}


@pytest.mark.parametrize("life", LASTING)
def test_a_strange_long_life_needs_no_refresh(victim: Victim, life: str) -> None:
    answer(victim.world, LASTING[life])
    victim.log_in().close()
    assert victim.browser.join(60)
    for _ in range(2):  # two programs
        auth = MCPAuth(victim.world.url, storage=victim.storage, prompt=None)
        assert statuses(auth, victim.world.url, 10) == {200}
    assert victim.world.visited.count("refresh") == 0
    assert victim.storage.list()[0].expires_at is None or LASTING[life] is not None


@pytest.mark.parametrize("life", DEAD)
def test_a_token_that_is_born_dead_is_used_once(victim: Victim, life: str) -> None:
    answer(victim.world, DEAD[life])
    victim.log_in().close()
    assert victim.browser.join(60)
    victim.world.visited.clear()
    auth = MCPAuth(victim.world.url, storage=victim.storage, prompt=None)
    assert statuses(auth, victim.world.url, 5) == {200}
    assert victim.world.visited.count("answer") == 5
    assert victim.world.visited.count("refresh") <= 5, "no more than one for each use"
    assert len(victim.opened) == 1, "and no login"


@pytest.mark.parametrize("jump", [DAY, -DAY, 365 * DAY, -365 * DAY])
def test_the_wall_clock_jumps_and_jumps_back(scene: Scene, jump: float) -> None:
    auth, off = scene.auth(), [0.0]
    auth.session._renewal.ports = replace(auth.session.ports, clock=lambda: time.time() + off[0])
    url = scene.server.url
    assert statuses(auth, url, 5) == {200}
    for off[0] in (jump, 0.0, -jump, 0.0):
        assert statuses(auth, url, 10) == {200}
    assert scene.refreshes <= 4, "one for each jump at the most"
    # after all that its lifetime is a lie; the server says when it is over
    count = scene.refreshes
    off[0] = 10.0  # for a token of this moment is not renewed again
    scene.server.expire_access_tokens()
    assert statuses(auth, url, 10) == {200}
    assert scene.refreshes <= count + 1
    assert scene.logins == 0
    assert scene.server.families_revoked == 0
