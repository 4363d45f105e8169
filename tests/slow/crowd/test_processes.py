"""A crowd of processes on one login: one refresh for each expiry, and no login."""

from __future__ import annotations

import time

import pytest

from mcp_client_auth.testing import Settings
from tests.slow.crowd.crowd_scene import Crowd, Scene


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
    before, began = scene.stored, time.monotonic()
    said = crowd.together(20, "keep_on", "2")
    most = 1 + (time.monotonic() - began) / 3.6
    assert said == [[[200], 3]] * 20
    assert 2 <= scene.refreshes <= most, "a token is due 3.6 s after the one before"
    assert scene.refreshes == scene.stored.generation - before.generation
    assert scene.logins == 0
    assert scene.server.families_revoked == 0
