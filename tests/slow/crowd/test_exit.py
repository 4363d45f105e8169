"""A process that ends with a refresh on the wire keeps the answer, however it ends."""

from __future__ import annotations

import signal
import sys

import pytest

from mcp_client_auth.storage import name_of
from tests.slow.crowd.crowd_scene import Crowd, Scene
from tests.support.python_path import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
KEPT = pytest.mark.parametrize("scene", ["file", "keyring"], indirect=True)


@KEPT
@pytest.mark.parametrize("how", ["return", "sys.exit", "exception"])
def test_an_exit_during_a_renewal_keeps_the_new_refresh_token(
    scene: Scene, crowd: Crowd, how: str
) -> None:
    before = scene.age(left=20)  # due, and alive
    held = scene.server.hold_next()
    leaver = crowd.start("leave", how)
    assert leaver.says() == 200  # with the old token: the renewal goes on behind it
    leaver.reaches(held)
    leaver.tell()
    leaver.expect("exiting")
    held.release()
    assert leaver.end() == {"return": 0, "sys.exit": 3, "exception": 1}[how]
    scene.renewed_once(before)
    scene.works()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_of_multiprocessing_keeps_the_new_refresh_token(
    scene: Scene, crowd: Crowd, method: str
) -> None:
    """Which ends without `atexit` where it was forked."""
    before = scene.age(left=20)
    held = scene.server.hold_next()
    parent = crowd.start("leave_as_child", method)
    assert parent.says() == 200
    parent.reaches(held)
    parent.expect("leaving")
    held.release()
    assert parent.says() == 0
    assert parent.end() == 0
    scene.renewed_once(before)
    scene.works()


@KEPT
@pytest.mark.parametrize("how", ["sync", "asyncio", "trio"])
def test_ctrl_c_during_a_refresh_keeps_the_new_refresh_token(
    scene: Scene, crowd: Crowd, how: str
) -> None:
    before = scene.expire()
    held = scene.server.hold_next()
    waiting = crowd.start("interrupted", how, PYTHONPATH=str(ROOT))  # else trio is hidden
    waiting.reaches(held)
    waiting.process.send_signal(signal.SIGINT)
    waiting.expect("exiting")
    held.release()
    assert waiting.end() == 130
    scene.renewed_once(before)
    scene.works()


def test_after_the_end_has_begun_no_refresh_is_sent(scene: Scene, crowd: Crowd) -> None:
    before = scene.expire()
    held = scene.server.hold_next()
    with scene.storage.lock(scene.key):
        leaver = crowd.start("leave_early")
        leaver.expect("waiting")
        leaver.tell()
        leaver.expect("exiting")
    leaver.tell()
    assert leaver.says() == [1, 0]
    held.release()
    assert leaver.end() == 0
    assert scene.refreshes == 0
    assert scene.stored == before
    scene.works()


@KEPT
def test_a_request_at_the_very_end_still_refreshes(scene: Scene, crowd: Crowd) -> None:
    before = scene.expire()
    leaver = crowd.start("leave_late")
    said = leaver.says()
    assert leaver.end() == 0
    if said == 200:
        scene.renewed_once(before)
    else:  # from Python 3.12 the keyring's own thread cannot start any more
        assert said == ["StorageError", "keyring"]
        assert name_of(scene.storage) == "keyring"
        assert scene.refreshes == 0
        assert scene.stored == before
