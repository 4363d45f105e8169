"""A storage that hosts share: it may be out of reach, and what one host has heard is for all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mcp_client_auth import LoginRequired, MemoryStorage, Options, StorageError, Unavailable
from mcp_client_auth.credential import Key, Note
from mcp_client_auth.session.renewal import save_what_is_left
from mcp_client_auth.session.single_flight import Flights
from mcp_client_auth.storage.store import OUTAGE, STORE_DOWN, SUPERSEDED
from tests.support.session_world import (
    KEY,
    SERVER,
    TOKEN,
    Program,
    World,
    credential,
    document,
    logged_in,
)

LAUNCH = Flights._launch
pytestmark = pytest.mark.usefixtures("here_and_now")


class Engine(MemoryStorage):
    """Out of reach while `down`; `news`: what another host does while one waits for its turn."""

    shared = True
    down = False
    news: Any = None

    def _load(self, key: Any) -> Any:
        self._reach()
        return super()._load(key)

    def _save(self, value: Any, key: Any) -> None:
        self._reach()
        super()._save(value, key)

    @contextmanager
    def turn(self, key: Key) -> Iterator[bool]:
        self._reach()
        if self.news:
            news, self.news = self.news, None
            news()
            yield False
            return
        with self.lock(key):
            yield True

    def _reach(self) -> None:
        if self.down:
            raise Unavailable("the engine cannot be reached", code=STORE_DOWN)


def program_of(world: World, storage: Engine, **options: Any) -> Program:
    return Program(world, storage, options=Options(**options))


def failing(storage: Engine) -> Any:
    def fail() -> None:
        storage.down = True

    return fail


def test_a_token_that_lives_is_used_while_the_engine_is_down(world: World) -> None:
    storage = Engine()
    program = program_of(world, storage)
    storage.save(credential(world))
    assert program.post() == 200
    storage.down = True
    world.clock.go(3600 - 30)
    assert [program.post() for _ in range(3)] == [200] * 3
    assert world.refreshes == 0
    storage.down = False
    world.clock.go(5)
    assert program.post() == 200
    assert world.refreshes == 1


def test_without_the_engine_nothing_is_refreshed_and_no_one_is_asked(world: World) -> None:
    storage = Engine()
    program = program_of(world, storage, patience=5)
    storage.save(credential(world, age=3601))
    storage.down = True
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            program.post()
        assert caught.value.code == STORE_DOWN
    assert world.sent == []
    assert 4 <= sum(world.clock.slept) / 2 <= 5
    storage.down = False
    assert program.post() == 200


def test_an_answer_that_came_while_the_engine_was_down_is_used_and_saved_later(
    world: World,
) -> None:
    storage = Engine()
    program = program_of(world, storage)
    storage.save(credential(world, age=3601))
    world.faults = [failing(storage)]
    assert [program.post(), program.post()] == [200, 200]
    assert world.refreshes == 1
    storage.down = False
    world.clock.go(2)  # at the latest, however long it was down
    assert program.post() == 200
    assert program.stored.tokens.access_token.reveal() == world.bearers[-1]
    assert world.refreshes == 1


def test_an_answer_is_saved_at_the_end_of_the_process(world: World) -> None:
    storage = Engine()
    program = program_of(world, storage)
    storage.save(credential(world, age=3601))
    world.faults = [failing(storage)]
    assert program.post() == 200
    storage.down = False
    save_what_is_left()
    assert program.stored.tokens.access_token.reveal() == world.bearers[-1]


def test_who_waits_for_a_turn_takes_what_has_come_meanwhile(world: World) -> None:
    storage = Engine()
    program, other = program_of(world, storage), program_of(world, storage)
    storage.save(credential(world, age=3601))
    storage.news = other.post
    assert program.post() == 200
    assert world.refreshes == 1
    assert world.bearers[0] == world.bearers[1]


def test_no_refresh_token_is_sent_once_another_has_renewed(world: World) -> None:
    """A host that stood still with the lease finds out when it proves that it can write."""
    storage = Engine()
    program = program_of(world, storage)
    storage.save(credential(world, age=3601))
    newer, save = credential(world, generation=1), storage._save

    def late(value: Any, key: Any) -> None:
        storage._save = save  # type: ignore[method-assign]
        storage.save(newer)
        raise StorageError("a newer login has been stored", code=SUPERSEDED)

    storage._save = late  # type: ignore[method-assign]
    assert program.post() == 200
    assert world.sent == []
    assert world.bearers == [newer.tokens.access_token.reveal()]


def test_all_hosts_pause_for_the_fault_that_one_has_met(world: World) -> None:
    storage = Engine()
    programs = [program_of(world, storage, patience=0) for _ in range(20)]
    storage.save(credential(world, age=3601))
    world.faults = [document({}, TOKEN, 503)] * 100
    for program in programs:
        with pytest.raises(Unavailable, match="503"):
            program.post()
    assert len(world.sent) == 1
    for _ in range(30):
        world.clock.go(1)
        for program in programs:
            with pytest.raises(Unavailable):
                program.post()
    assert len(world.sent) <= 7
    world.faults = []
    world.clock.go(60)
    assert [program.post() for program in programs] == [200] * 20
    assert world.refreshes == 1


def test_a_program_that_starts_after_a_pause_makes_the_next_one_longer(world: World) -> None:
    storage = Engine()
    storage.save(credential(world, age=3601))
    world.faults = [document({}, TOKEN, 503)] * 100
    for _ in range(30):
        with pytest.raises(Unavailable):
            program_of(world, storage, patience=0).post()
        world.clock.go(1)
    assert len(world.sent) <= 7


@pytest.mark.parametrize("note", ["", "{}", "[]", '{"wait": "long"}', '{"wait": 1e999}'])
def test_a_note_that_cannot_be_read_stops_no_one(world: World, note: str) -> None:
    storage = Engine()
    storage.save(credential(world, age=3601))
    storage.save(note, Note(KEY, OUTAGE))
    assert program_of(world, storage).post() == 200


def test_a_storage_of_one_host_is_asked_for_no_such_note(world: World) -> None:
    program = logged_in(world, age=3601)
    asked: list[Any] = []
    load = program.storage._load

    def noting(key: Any) -> Any:
        asked.append(key)
        return load(key)

    program.storage._load = noting  # type: ignore[method-assign]
    assert program.post() == 200
    assert Note(KEY, OUTAGE) not in asked


def test_whether_a_longer_path_is_ours_is_asked_off_the_callers_thread(world: World) -> None:
    """An event loop does not wait for an engine; for files the answer is quicker than a thread."""
    storage = Engine()
    program = program_of(world, storage)
    storage.save(credential(world))
    threads: list[str] = []
    summary = storage.summary

    def noting(key: Key) -> Any:
        threads.append(threading.current_thread().name)
        return summary(key)

    storage.summary = noting  # type: ignore[method-assign]
    deeper = f"{SERVER}/messages"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flights, "_launch", LAUNCH)
        assert program.client.post(deeper, json={}).status_code == 200
        asked = len(threads)
        assert program.client.post(deeper, json={}).status_code == 200
    assert asked >= 1
    assert len(threads) == asked, "the answer is remembered"
    assert threading.current_thread().name not in threads


def test_a_person_is_told_to_log_in_where_the_hosts_look(world: World) -> None:
    with pytest.raises(LoginRequired, match=r"Run: mcp-login \S+, with MCP_CLIENT_AUTH_STORAGE"):
        Program(world, storage=Engine()).post()
