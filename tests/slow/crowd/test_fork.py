"""A forked child works, also when its parent had a renewal under way."""

from __future__ import annotations

import os

import pytest

from tests.slow.crowd.crowd_scene import Crowd, Scene

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@pytest.mark.parametrize("scene", ["file", "keyring"], indirect=True)
@pytest.mark.parametrize("how", ["fork", "multiprocessing"])
def test_a_child_waits_for_its_parents_renewal(scene: Scene, crowd: Crowd, how: str) -> None:
    before = scene.age(left=20)  # due, and alive for the parent; the child's clock is ahead
    held = scene.server.hold_next()
    parent = crowd.start("fork", how)
    assert parent.says() == 200
    parent.reaches(held)
    parent.tell()
    parent.expect("forked")
    held.release()
    assert parent.says() == 0, "the child's exit code"
    parent.tell()
    assert parent.says() == 200
    assert parent.end() == 0
    assert scene.refreshes == 2, "the parent's, then the child's with what the parent has stored"
    assert scene.stored.generation == before.generation + 2
    assert scene.server.families_revoked == 0


def test_a_child_with_a_memory_of_its_own_renews_by_itself(scene: Scene, crowd: Crowd) -> None:
    scene.age(left=20)
    held = scene.server.hold_next(processed=False)
    parent = crowd.start("fork", "memory")
    assert parent.says() == 200
    parent.reaches(held)
    parent.tell()
    parent.expect("forked")
    assert parent.says() == 0, "the child's exit code"
    assert scene.refreshes == 1
    parent.process.kill()
    held.release()


def test_a_child_of_an_idle_parent_works(scene: Scene, crowd: Crowd) -> None:
    before = scene.stored
    parent = crowd.start("fork", "fork")
    assert parent.says() == 200
    parent.tell()
    parent.expect("forked")
    assert parent.says() == 0
    parent.tell()
    assert parent.says() == 200
    assert parent.end() == 0
    assert scene.stored.generation == before.generation + 1
    assert scene.server.families_revoked == 0
