"""A process killed at any point of a refresh leaves a whole record, and loses one thing at most:
the answer that it had not stored yet."""

from __future__ import annotations

import signal
import sys

import httpx
import pytest

from mcp_client_auth import LoginRequired
from mcp_client_auth.credential import Credential
from tests.slow.crowd.crowd_scene import HEADERS, LIST, PATIENCE, Crowd, Scene

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
BOTH = pytest.mark.parametrize("scene", ["file", "keyring"], indirect=True)

# a write is a file that is filled, synced and put in place: once the secret as it is, before
# anything is sent, then the new secret, then the index
UNSENT = ["fsync 1 before", "replace 1 before", "replace 1 after", "fsync 2 before"]
LOST = ["fsync 3 before", "replace 2 before"]
KEPT = [
    *("replace 2 after", "fsync 4 before", "fsync 5 before"),
    *("replace 3 before", "replace 3 after"),
]
INDEX = ["replace 1 before", "replace 1 after"]


def the_answer_is_lost(scene: Scene, before: Credential) -> None:
    """The record is the old one; its refresh token is spent, and so a person is needed."""
    assert scene.stored == before
    with (
        httpx.Client(auth=scene.auth(), timeout=PATIENCE, verify=False) as client,
        pytest.raises(LoginRequired),
    ):
        client.post(scene.server.url, headers=HEADERS, json=LIST)


def whole(scene: Scene) -> None:
    """What is found by the index is what is stored, and nothing is locked."""
    listed = {entry.key for entry in scene.storage.list()}
    assert listed == {scene.stored.key}
    with scene.storage.lock(scene.key, timeout=30):
        pass


@BOTH
def test_killed_before_the_server_has_rotated(scene: Scene, crowd: Crowd) -> None:
    before = scene.expire()
    held = scene.server.hold_next(processed=False)
    victim = crowd.start("die", "replace 99 before")
    victim.reaches(held)
    victim.process.kill()
    assert victim.end() == -signal.SIGKILL
    assert scene.stored == before
    whole(scene)
    # The server goes on without a client: what it then rotates is lost, see below. Here it
    # never comes to that, as when the request was lost on its way.
    scene.server.fail_next("/token", 503)
    held.release()
    scene.works()


@BOTH
def test_killed_between_the_rotation_and_the_answer(scene: Scene, crowd: Crowd) -> None:
    before = scene.expire()
    held = scene.server.hold_next()
    victim = crowd.start("die", "replace 99 before")
    victim.reaches(held)
    victim.process.kill()
    assert victim.end() == -signal.SIGKILL
    held.release()
    whole(scene)
    the_answer_is_lost(scene, before)


@pytest.mark.parametrize("point", UNSENT)
def test_killed_before_anything_is_sent(scene: Scene, crowd: Crowd, point: str) -> None:
    before = scene.expire()
    assert crowd.start("die", point).end() == -signal.SIGKILL
    assert scene.stored == before
    assert scene.refreshes == 0
    whole(scene)
    scene.works()


@pytest.mark.parametrize("point", LOST)
def test_killed_before_the_record_is_in_place(scene: Scene, crowd: Crowd, point: str) -> None:
    before = scene.expire()
    assert crowd.start("die", point).end() == -signal.SIGKILL
    whole(scene)
    the_answer_is_lost(scene, before)


@pytest.mark.parametrize(
    ("scene", "point"),
    [*(("file", point) for point in KEPT), *(("keyring", point) for point in INDEX)],
    indirect=["scene"],
)
def test_killed_when_the_record_is_in_place(scene: Scene, crowd: Crowd, point: str) -> None:
    before = scene.expire()
    assert crowd.start("die", point).end() == -signal.SIGKILL
    whole(scene)
    scene.renewed_once(before)
    scene.works()
