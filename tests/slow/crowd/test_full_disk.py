"""A disk that is full costs no login: nothing is sent before its answer can be kept, and what
was answered all the same is used and kept later."""

from __future__ import annotations

import pytest

from tests.slow.crowd.crowd_scene import Crowd, Scene, until

pytest.importorskip("resource", reason="limits of POSIX")


def test_nothing_is_sent_while_the_answer_could_not_be_kept(scene: Scene, crowd: Crowd) -> None:
    before = scene.expire()
    one = crowd.start("fill")
    one.expect("ready")
    one.tell()
    one.expect("full")
    assert one.says() == ["StorageError", "storage"]
    assert scene.refreshes == 0
    assert scene.stored == before
    one.tell()
    one.expect("free")
    one.tell()
    assert one.says() == 200
    scene.renewed_once(before)
    one.process.kill()  # the clock of the record is turned without its lock now
    scene.works()


@pytest.mark.parametrize("scene", ["file", "keyring"], indirect=True)
def test_an_answer_that_cannot_be_kept_is_used_and_kept_without_another_request(
    scene: Scene, crowd: Crowd
) -> None:
    before, held = scene.expire(), scene.server.hold_next()
    one = crowd.start("fill", "asked")
    one.expect("ready")
    one.reaches(held)
    one.tell()
    one.expect("full")
    held.release()
    assert one.says() == 200
    one.tell()
    one.expect("free")
    until(lambda: scene.stored.generation > before.generation)
    until(lambda: scene.storage.list()[0].generation > before.generation)
    scene.renewed_once(before)
    one.process.kill()  # the clock of the record is turned without its lock now
    scene.works()


def test_the_end_of_the_process_is_a_last_chance(scene: Scene, crowd: Crowd) -> None:
    before, held = scene.expire(), scene.server.hold_next()
    one = crowd.start("fill", "asked")
    one.expect("ready")
    one.reaches(held)
    one.tell()
    one.expect("full")
    held.release()
    assert one.says() == 200
    one.tell()
    one.tell()
    assert one.end() == 0
    scene.renewed_once(before)


@pytest.mark.parametrize("scene", ["keyring"], indirect=True)
def test_a_keyring_keeps_the_answer_though_its_entry_cannot_be_written(
    scene: Scene, crowd: Crowd
) -> None:
    before = scene.expire()
    one = crowd.start("fill")
    one.expect("ready")
    one.tell()
    one.expect("full")
    assert one.says() == 200
    assert scene.refreshes == 1
    one.tell()
    one.expect("free")
    until(lambda: scene.storage.list()[0].generation > before.generation)
    scene.renewed_once(before)
    one.process.kill()  # the clock of the record is turned without its lock now
    scene.works()
