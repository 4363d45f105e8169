"""A storage that fails loses no rotated token, and nothing is used before it is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth import (
    Credential,
    FileStorage,
    MemoryStorage,
    Storage,
    StorageError,
    threads,
)
from mcp_client_auth.credential import dumps
from mcp_client_auth.protocol.flow import HttpResponse
from mcp_client_auth.session.renewal import save_what_is_left
from mcp_client_auth.storage.backend import Item
from tests.support.session_world import (
    TOKEN,
    Person,
    Program,
    World,
    credential,
    document,
    grant,
    logged_in,
)

pytestmark = pytest.mark.usefixtures("here_and_now")


class Failing(MemoryStorage):
    """Keeps nothing while `broken`."""

    broken = False
    tried = 0
    error: Exception = StorageError("the disk is full")

    def _save(self, value: Any, key: Any) -> None:
        if self.broken and isinstance(value, Credential):
            self.tried += 1
            raise self.error
        super()._save(value, key)


def filling(program: Program, storage: Failing) -> None:
    """The disk is full when the answer arrives, and was not before."""

    def fill() -> None:
        storage.broken = True

    program.world.faults = [fill]


def test_nothing_is_sent_while_the_answer_could_not_be_kept(world: World) -> None:
    storage, person = Failing(), Person(world)
    program = Program(world, storage, person)
    storage.save(credential(world, age=3601))
    record = program.stored
    storage.broken = True
    for _ in range(3):
        with pytest.raises(StorageError, match="the disk is full"):
            program.post()
    assert world.sent == []
    assert program.stored == record
    assert person.visits == []
    storage.broken = False
    assert program.post() == 200
    assert world.authorization.reused == []


def test_no_request_uses_an_answer_before_it_was_saved(world: World) -> None:
    program = logged_in(world)
    program.post()
    old, used, save = program.stored, [], program.storage._save

    def slow(value: Any, key: Any) -> None:
        if isinstance(value, Credential):
            used.append(program.session.current())
        save(value, key)

    program.storage._save = slow  # type: ignore[method-assign]
    world.clock.go(3600 - 30)
    program.post()
    assert used == [old, old], "while it proves that it can be saved, and while it is"
    assert program.session.current() == program.stored != old


def test_a_token_that_lives_is_used_while_its_successor_could_not_be_kept(world: World) -> None:
    storage = Failing()
    program = Program(world, storage)
    storage.save(credential(world, age=3600 - 30))
    storage.broken = True
    assert [program.post() for _ in range(3)] == [200] * 3
    assert world.sent == []
    assert storage.tried == 1, "and not again for each request"


@pytest.mark.parametrize("error", [StorageError("the disk is full"), OSError("none of ours")])
def test_an_answer_that_could_not_be_saved_is_used_and_saved_when_the_storage_works_again(
    world: World, error: Exception
) -> None:
    storage = Failing()
    storage.error = error
    program = Program(world, storage, Person(world))
    storage.save(credential(world, age=3601))
    filling(program, storage)
    assert [program.post(), program.post()] == [200, 200]
    assert world.refreshes == 1
    assert program.stored.tokens.access_token.reveal() not in world.bearers
    storage.broken = False
    world.clock.go(1)
    assert program.post() == 200
    assert program.stored.tokens.access_token.reveal() == world.bearers[-1]
    assert world.refreshes == 1
    world.clock.go(3601)
    assert Program(world, storage).post() == 200
    assert world.authorization.reused == []


def test_a_storage_that_fails_for_a_moment_costs_no_login(world: World) -> None:
    """As a keyring in a crowd does: the next process would send the refresh token that is spent."""

    class Hiccuping(Failing):
        def _save(self, value: Any, key: Any) -> None:
            try:
                super()._save(value, key)
            finally:
                self.broken = False

    storage = Hiccuping()
    program, other = Program(world, storage), Program(world, storage)
    storage.save(credential(world, age=3601))
    filling(program, storage)
    assert [program.post(), other.post()] == [200, 200]
    assert storage.tried == 1
    assert (world.refreshes, world.authorization.reused) == (1, [])


def test_a_login_is_not_lost_to_a_storage_that_fails_for_a_moment(world: World) -> None:
    class Hiccuping(Failing):
        def _save(self, value: Any, key: Any) -> None:
            self.broken = isinstance(value, Credential) and not self.tried
            super()._save(value, key)

    storage, person = Hiccuping(), Person(world)
    assert Program(world, storage, person).post() == 200
    assert (storage.tried, len(person.visits)) == (1, 1)
    assert storage.list()


def test_an_answer_that_could_not_be_saved_does_not_replace_a_later_login(world: World) -> None:
    storage = Failing()
    program = Program(world, storage)
    storage.save(replace(credential(world, age=3601), generation=5))
    filling(program, storage)
    assert program.post() == 200
    storage.broken = False
    other = Program(world, storage, Person(world))
    other.session.log_out()
    other.post()
    world.clock.go(1)
    assert program.post() == 200
    assert program.stored == other.stored
    assert program.stored.generation == 0
    assert program.session._renewal.known.unsaved is None


def test_a_rotated_token_is_not_presented_again_while_the_storage_fails(world: World) -> None:
    storage = Failing()
    program = Program(world, storage)
    storage.save(credential(world, age=3601))
    filling(program, storage)
    assert program.post() == 200
    world.clock.go(3601)
    for _ in range(3):
        with pytest.raises(StorageError):
            program.post()
        world.clock.go(61)
    assert world.refreshes == 1
    storage.broken = False
    assert program.post() == 200
    assert world.authorization.reused == []


def test_what_could_not_be_saved_is_saved_without_another_request(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    later: list[Any] = []
    storage = Failing()
    monkeypatch.setattr("mcp_client_auth.session.renewal.in_background", later.append)
    program = Program(world, storage)
    storage.save(credential(world, age=3601))
    filling(program, storage)
    assert program.post() == 200
    sleep = world.clock.sleep

    def mend_at_last(seconds: float) -> None:
        sleep(seconds)
        storage.broken = len(world.clock.slept) < 4

    object.__setattr__(program.session.ports, "sleep", mend_at_last)
    [work] = later
    work()
    assert world.clock.slept == [0.5, 1.0, 2.0, 4.0]
    assert program.stored.tokens.access_token.reveal() == world.bearers[-1]


def test_at_the_end_of_the_process_what_could_not_be_saved_is_tried_once_more(
    world: World,
) -> None:
    storage = Failing()
    program = Program(world, storage)
    storage.save(credential(world, age=3601))
    filling(program, storage)
    assert program.post() == 200
    storage.broken = False
    save_what_is_left()
    assert program.stored.tokens.access_token.reveal() == world.bearers[-1]


def test_a_process_of_multiprocessing_saves_it_at_its_end_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends without `atexit` where it was forked."""
    from multiprocessing import process, util

    last: list[Callable[[], object]] = []
    monkeypatch.setattr(process, "parent_process", lambda: process.current_process())
    monkeypatch.setattr(util, "Finalize", lambda of, call, exitpriority: last.append(call))
    monkeypatch.setattr(threads, "_ends", threads._Ends())
    storage = Failing()
    program = Program(world, storage)
    storage.save(credential(world, age=3601))
    filling(program, storage)
    assert program.post() == 200
    storage.broken = False
    for each in last:
        each()
    assert program.stored.tokens.access_token.reveal() == world.bearers[-1]


def test_one_storage_that_fails_at_the_end_keeps_no_other_from_saving(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, good = Failing(), Failing()
    for storage in (lost, good):
        program = Program(world, storage)
        storage.save(credential(world, age=3601))
        filling(program, storage)
        assert program.post() == 200
        storage.broken = False

    def odd(*_: Any) -> Any:
        raise OSError("none of ours")

    monkeypatch.setattr(lost, "lock", odd)
    save_what_is_left()
    assert program.stored.tokens.access_token.reveal() == world.bearers[-1]
    monkeypatch.undo()
    save_what_is_left()


def test_a_storage_that_cannot_be_written_stops_a_login_before_the_person_is_asked(
    world: World,
) -> None:
    class ReadOnly(MemoryStorage):
        def check(self) -> None:
            raise StorageError("read-only")

    person = Person(world)
    storage: Storage = ReadOnly()
    with pytest.raises(StorageError):
        Program(world, storage, person).post()
    assert person.visits == []


def test_a_refresh_keeps_what_its_answer_leaves_out(world: World) -> None:
    program = logged_in(world, age=3601)
    world.authorization.rotates = False
    before = program.stored

    def terse() -> HttpResponse:
        answer = world.authorization.token({**grant(program), "grant_type": "refresh_token"})[1]
        return document({"access_token": answer["access_token"], "token_type": "Bearer"}, TOKEN)

    world.faults = [terse]
    assert program.post() == 200
    assert program.stored.tokens.refresh_token == before.tokens.refresh_token
    assert program.stored.tokens.scope == before.tokens.scope
    assert program.stored.generation == before.generation + 1


def test_who_holds_the_later_record_puts_it_back_over_one_that_landed_late(
    world: World, tmp_path: Path
) -> None:
    files = FileStorage(tmp_path / "store")
    program = Program(world, storage=files)
    files.save(credential(world))
    program.post()
    late = program.stored
    world.clock.go(3601)
    assert program.post() == 200
    good = program.stored
    files.vault.write(Item.of(late.key), dumps(late))
    world.clock.go(3600 - 20)
    assert program.post() == 200  # due: it looks into the store, and renews its own
    assert (world.refreshes, world.authorization.reused) == (2, [])
    assert program.stored.generation == good.generation + 1


def test_a_login_after_a_logout_is_not_overwritten_by_what_another_still_holds(
    world: World, tmp_path: Path
) -> None:
    files = FileStorage(tmp_path / "store")
    program = Program(world, storage=files)
    files.save(replace(credential(world), generation=9))
    program.post()
    files.delete(program.session.key)
    files.save(credential(world))
    again = program.stored
    world.clock.go(3600 - 20)
    program.post()
    assert program.stored.generation == again.generation + 1
