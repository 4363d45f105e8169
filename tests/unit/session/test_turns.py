"""A crowd waits in line: so many at once, so many at one place, one place after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mcp_client_auth import Unavailable
from mcp_client_auth.session.single_flight import Flights, wait
from mcp_client_auth.session.turns import MOST, MOST_AT_ONE, Elsewhere, Turn, Turns

LONG = 30.0


class Crowd:
    """Runs that begin when it is their turn and end when they are let go."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.begun: list[str] = []
        self.refused: list[Exception] = []
        self.threads: set[threading.Thread] = set()
        self._change = threading.Condition()
        self._open: set[str] = set()
        self._ended = 0

    def join(self, place: str, name: str = "", error: Exception | None = None) -> None:
        name = name or place

        def run() -> Exception | None:
            with self._change:
                self.begun.append(name)
                self.threads.add(threading.current_thread())
                self._change.notify_all()
                assert self._change.wait_for(lambda: name in self._open, LONG)
                self._ended += 1
                self._change.notify_all()
            return error

        self.turns.take(place, Turn(run, self._refuse))

    def _refuse(self, error: Exception) -> None:
        with self._change:
            self.refused.append(error)
            self._change.notify_all()

    def let_go(self, *names: str) -> None:
        with self._change:
            self._open.update(names)
            self._change.notify_all()

    def until(self, holds: Callable[[], bool]) -> None:
        with self._change:
            assert self._change.wait_for(holds, LONG), (self.begun, self._ended, self.refused)

    def ended(self, number: int) -> None:
        self.until(lambda: self._ended == number)


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    made = Crowd()
    yield made
    made.let_go(*"ABCDEFGH", *(f"{place}{n}" for place in "ABCDEFGH" for n in range(100)))


def test_so_many_run_at_one_place_and_the_rest_wait(crowd: Crowd) -> None:
    for _ in range(100):
        crowd.join("A")
    crowd.until(lambda: len(crowd.begun) == MOST_AT_ONE)
    crowd.let_go("A")
    crowd.ended(100)
    assert len(crowd.threads) == MOST_AT_ONE


def test_so_many_run_in_all(crowd: Crowd) -> None:
    for place in "ABCDEFGH":
        for _ in range(20):
            crowd.join(place)
    crowd.until(lambda: len(crowd.begun) == MOST)
    assert set(crowd.begun) == set("ABCD")
    crowd.let_go(*"ABCDEFGH")
    crowd.ended(160)
    assert len(crowd.threads) <= MOST


def test_a_place_that_hangs_stalls_no_other(crowd: Crowd) -> None:
    for _ in range(100):
        crowd.join("A")
    for _ in range(100):
        crowd.join("B")
    crowd.let_go("B")
    crowd.ended(100)
    assert crowd.begun.count("B") == 100
    assert crowd.begun.count("A") == MOST_AT_ONE


def test_places_have_their_turn_one_after_the_other(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_client_auth.session.turns.MOST", 1)
    for name in ("A0", "E1", "E2", "E3", "F1", "F2", "G1"):
        crowd.join(name[0], name)
    crowd.let_go("A0", "E1", "E2", "E3", "F1", "F2", "G1")
    crowd.ended(7)
    assert crowd.begun == ["A0", "E1", "F1", "G1", "E2", "F2", "E3"]


def test_who_has_to_go_elsewhere_waits_there_and_begins_afresh(crowd: Crowd) -> None:
    for n in range(MOST_AT_ONE):
        crowd.join("B", f"B{n}")
    crowd.until(lambda: len(crowd.begun) == MOST_AT_ONE)
    runs: list[str] = []
    there = threading.Event()

    def moving() -> None:
        runs.append("run")
        crowd.turns.go_to("B")
        runs.append("there")
        there.set()

    crowd.turns.take("A", Turn(moving, crowd.refused.append))
    crowd.join("A", "A1")
    crowd.let_go("A1")
    crowd.ended(1)
    assert "there" not in runs
    crowd.let_go("B3")
    assert there.wait(LONG)
    assert runs == ["run", "run", "there"]


def test_who_finds_room_elsewhere_goes_on(crowd: Crowd) -> None:
    """And what waited where they were has its turn."""
    moved, go = threading.Semaphore(0), threading.Event()

    def moving() -> None:
        crowd.turns.go_to("B")
        moved.release()
        assert go.wait(LONG)

    for _ in range(MOST_AT_ONE):
        crowd.turns.take("A", Turn(moving, crowd.refused.append))
    for _ in range(MOST_AT_ONE):
        assert moved.acquire(timeout=LONG)
    for _ in range(MOST_AT_ONE):
        crowd.join("A")
    crowd.until(lambda: len(crowd.begun) == MOST_AT_ONE)
    go.set()


def test_who_waits_for_a_person_leaves_the_turn_to_others(crowd: Crowd) -> None:
    left, go = threading.Semaphore(0), threading.Event()

    def leaving() -> None:
        crowd.turns.leave()
        crowd.turns.leave()  # of no more effect
        left.release()
        assert go.wait(LONG)

    for _ in range(3 * MOST_AT_ONE):
        crowd.turns.take("A", Turn(leaving, crowd.refused.append))
    for _ in range(3 * MOST_AT_ONE):
        assert left.acquire(timeout=LONG)
    for _ in range(MOST_AT_ONE + 1):
        crowd.join("A")
    crowd.until(lambda: len(crowd.begun) == MOST_AT_ONE)
    go.set()


def test_a_thread_without_a_turn_goes_anywhere(crowd: Crowd) -> None:
    for _ in range(MOST_AT_ONE):
        crowd.join("A")
    crowd.turns.go_to("A")
    crowd.turns.leave()
    crowd.until(lambda: len(crowd.begun) == MOST_AT_ONE)


def test_where_a_whole_share_has_failed_in_a_row_those_who_wait_fail_too(crowd: Crowd) -> None:
    for n in range(50):
        crowd.join("A", f"A{n}", Unavailable("down", url="https://auth.example/token"))
    crowd.join("B")
    names = [f"A{n}" for n in range(50)]
    for name in names[:7]:
        crowd.let_go(name)
    crowd.ended(7)
    crowd.until(lambda: len(crowd.begun) == MOST_AT_ONE + 1 + 7)
    assert crowd.refused == []
    crowd.let_go(names[7])
    crowd.until(lambda: len(crowd.refused) == 50 - len(crowd.begun) + 1)
    assert {(type(e), str(e)) for e in crowd.refused} == {
        (Unavailable, "down (https://auth.example/token)")
    }
    assert len({id(error) for error in crowd.refused}) == len(crowd.refused)
    assert "B" in crowd.begun


def test_one_success_among_faults_keeps_everyone_in_line(crowd: Crowd) -> None:
    for n in range(50):
        crowd.join("A", f"A{n}", None if n % 8 == 7 else Unavailable("now and then"))
    for n in range(50):  # one by one, so that the order is certain
        crowd.let_go(f"A{n}")
        crowd.ended(n + 1)
    assert crowd.refused == []


def test_without_a_new_thread_it_is_done_here_and_now(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    ran: list[threading.Thread] = []
    turns = Turns()

    def run() -> None:
        ran.append(threading.current_thread())

    for _ in range(20):
        turns.take("A", Turn(run, lambda error: None))
    assert ran == [threading.current_thread()] * 20
    turns.go_to("B")  # this thread has no turn of its own


def test_a_forked_child_begins_afresh(crowd: Crowd) -> None:
    for _ in range(20):
        crowd.join("A")
    crowd.until(lambda: len(crowd.begun) == MOST_AT_ONE)
    crowd.turns.reset()
    done = threading.Event()
    crowd.turns.take("A", Turn(lambda: done.set(), crowd.refused.append))
    assert done.wait(LONG)


def test_a_run_that_goes_elsewhere_is_one_run_for_its_callers() -> None:
    """The Future of a flight is that of all its tries."""
    flights, tries = Flights("https://a.example/"), []

    def work() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise Elsewhere(f"https://b.example/{len(tries)}")
        return len(tries)

    assert wait(flights.start("renew", work)) == 3
    assert flights._under_way == {}


def test_what_may_wait_for_a_person_has_a_thread_of_its_own() -> None:
    from mcp_client_auth.threads import Cancel

    flights: list[Any] = [Flights("https://a.example/") for _ in range(MOST + 10)]
    go, begun = threading.Event(), threading.Semaphore(0)

    def work() -> str:
        begun.release()
        assert go.wait(LONG)
        return threading.current_thread().name

    futures = [each.start("login", work, Cancel()) for each in flights]
    for _ in futures:
        assert begun.acquire(timeout=LONG)
    go.set()
    assert {wait(future) for future in futures} == {"mcp login"}
