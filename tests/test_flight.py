"""One run at a time, a Future for everybody, and an error of each waiter's own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import traceback
from concurrent.futures import Future
from typing import Any

import anyio
import pytest

from mcp_client_auth import InsufficientScope, Unavailable
from mcp_client_auth.flight import Flights, await_, done, on_the_wire, until, wait

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Work:
    """Runs until it is let go; counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.begun, self.go = threading.Event(), threading.Event()
        self.thread: threading.Thread | None = None

    def __call__(self) -> int:
        self.runs += 1
        self.thread = threading.current_thread()
        self.begun.set()
        assert self.go.wait(10)
        return self.runs


def failing(error: BaseException) -> Any:
    def work() -> None:
        raise error

    return work


def test_who_comes_while_it_runs_joins() -> None:
    flights, work = Flights(), Work()
    futures = [flights.start("renew", work) for _ in range(50)]
    work.go.set()
    assert {wait(future) for future in futures} == {1}
    assert work.runs == 1


def test_who_comes_afterwards_starts_afresh() -> None:
    flights, work = Flights(), Work()
    work.go.set()
    assert [wait(flights.start("renew", work)) for _ in range(3)] == [1, 2, 3]


def test_a_waiter_that_wakes_can_start_the_same_again() -> None:
    """The run has landed before anybody hears of it."""
    flights, again = Flights(), []
    work = Work()
    future = flights.start("renew", work)
    future.add_done_callback(lambda _: again.append(flights.start("renew", work)))
    work.go.set()
    wait(future)
    while not again:
        pass
    assert wait(again[0]) == 2


def test_another_operation_does_not_wait() -> None:
    flights, work = Flights(), Work()
    slow = flights.start("login", work)
    assert wait(flights.start("renew", lambda: "quick")) == "quick"
    assert not slow.done()
    work.go.set()
    wait(slow)


def test_another_credential_does_not_wait() -> None:
    work = Work()
    slow = Flights().start("renew", work)
    assert wait(Flights().start("renew", lambda: "quick")) == "quick"
    work.go.set()
    wait(slow)


def test_work_has_a_daemon_thread_of_its_own() -> None:
    work = Work()
    work.go.set()
    wait(Flights().start("renew", work))
    assert work.thread not in (None, threading.current_thread())
    assert work.thread.daemon
    assert work.thread.name == "mcp renew"


def test_work_can_run_on_the_callers_thread() -> None:
    work = Work()
    work.go.set()
    Flights().here("login", work)
    assert work.thread is threading.current_thread()


def test_the_callers_thread_joins_what_runs_already() -> None:
    flights, work = Flights(), Work()
    flights.start("login", work)
    threading.Timer(0.05, work.go.set).start()
    assert flights.here("login", work) == 1
    assert work.thread is not threading.current_thread()


# Errors


def test_each_waiter_has_an_instance_of_the_error_for_himself() -> None:
    cause = InsufficientScope("no", requested=("a",), granted=("b",), hint="do", url="https://x/")
    future = Flights().start("renew", failing(cause))
    caught = []
    for _ in range(3):
        with pytest.raises(InsufficientScope) as raised:
            wait(future)
        caught.append(raised.value)
    assert len({id(error) for error in [cause, *caught]}) == 4
    assert all(vars(error) == vars(cause) for error in caught)


def test_a_thousand_waiters_do_not_grow_a_traceback() -> None:
    future = Flights().start("renew", failing(Unavailable("no")))
    depths, causes = [], set()
    for _ in range(1000):
        try:
            wait(future)
        except Unavailable as error:
            depths.append(len(traceback.extract_tb(error.__traceback__)))
            causes.add((error.__cause__, error.__suppress_context__))
    assert set(depths) == {2}
    assert causes == {(None, True)}


def test_what_is_no_error_of_ours_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        wait(Flights().start("renew", lambda: 1 // 0))


def test_after_an_error_the_next_one_starts_afresh() -> None:
    flights = Flights()
    with pytest.raises(Unavailable):
        wait(flights.start("renew", failing(Unavailable("no"))))
    assert wait(flights.start("renew", lambda: "yes")) == "yes"


def test_an_interrupted_run_does_not_block_the_next() -> None:
    flights = Flights()
    with pytest.raises(KeyboardInterrupt):
        flights.here("login", failing(KeyboardInterrupt()))
    assert flights.here("login", lambda: "yes") == "yes"


# Cancellation


def test_a_future_under_way_cannot_be_cancelled() -> None:
    work = Work()
    future = Flights().start("renew", work)
    assert not future.cancel()
    work.go.set()
    assert wait(future) == 1


@BACKENDS
def test_a_cancelled_waiter_leaves_the_work_and_the_others_alone(backend: str) -> None:
    work = Work()
    future = Flights().start("renew", work)
    answers: list[int] = []

    async def stays() -> None:
        answers.append(await await_(future))

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(stays)
            with anyio.move_on_after(0.02) as scope:
                await await_(future)
            assert scope.cancelled_caught
            work.go.set()

    anyio.run(main, backend=backend)
    assert answers == [1]


def test_a_native_timeout_leaves_the_work_alone() -> None:
    work = Work()
    future = Flights().start("renew", work)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(await_(future), 0.02)

    asyncio.run(main())
    work.go.set()
    assert wait(future) == 1


@BACKENDS
def test_a_loop_that_has_ended_does_not_disturb_the_work(backend: str) -> None:
    work = Work()
    future = Flights().start("renew", work)

    async def main() -> None:
        with anyio.move_on_after(0.02):
            await until(future)

    anyio.run(main, backend=backend)
    work.go.set()
    assert wait(future) == 1


@BACKENDS
def test_tasks_of_several_loops_and_threads_wait_for_one_run(backend: str) -> None:
    flights, work = Flights(), Work()
    answers: list[int] = []

    async def main() -> None:
        answers.append(await await_(flights.start("renew", work)))

    def loop() -> None:
        anyio.run(main, backend=backend)

    def thread() -> None:
        answers.append(wait(flights.start("renew", work)))

    threads = [threading.Thread(target=target) for target in (loop, loop, thread, thread)]
    for each in threads:
        each.start()
    assert work.begun.wait(10)
    threading.Timer(0.1, work.go.set).start()
    for each in threads:
        each.join(10)
    assert answers == [1] * 4


@BACKENDS
def test_what_is_done_is_not_waited_for(backend: str) -> None:
    async def main() -> str:
        return await await_(done("at once"))

    assert anyio.run(main, backend=backend) == "at once"


@BACKENDS
def test_a_task_has_an_error_of_its_own(backend: str) -> None:
    cause = Unavailable("no")
    future: Future[None] = Flights().start("renew", failing(cause))

    async def main() -> None:
        with pytest.raises(Unavailable) as raised:
            await await_(future)
        assert raised.value is not cause

    anyio.run(main, backend=backend)


# The end of the process


def test_without_a_new_thread_the_work_is_done_here_and_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        threading.Thread, "start", failing_method(RuntimeError("can't start new thread"))
    )
    work = Work()
    work.go.set()
    assert wait(Flights().start("renew", work)) == 1
    assert work.thread is threading.current_thread()


def failing_method(error: Exception) -> Any:
    def method(self: object) -> None:
        raise error

    return method


LEAVES = """
import threading, time
from mcp_client_auth.flight import Flights, on_the_wire
entered = threading.Event()
def work():
    with on_the_wire():
        entered.set()
        time.sleep(0.4)
        print("kept", flush=True)
{more}
Flights().start("renew", work)
entered.wait()
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_a_normal_exit_waits_for_a_refresh_on_the_wire() -> None:
    assert run(LEAVES.format(more="")) == "kept\n"


def test_a_normal_exit_does_not_wait_for_what_is_not_on_the_wire() -> None:
    code = LEAVES.format(more="    time.sleep(60)\n    print('late')")
    assert run(code) == "kept\n"


def test_what_is_begun_at_the_end_of_the_process_runs_here_and_now() -> None:
    code = """
import atexit
from mcp_client_auth.flight import Flights, wait
def late():
    print(wait(Flights().start("renew", lambda: "done")))
atexit.register(late)
import concurrent.futures.thread
"""
    assert run(code) == "done\n"


def test_a_thread_is_on_the_wire_only_as_long_as_it_says() -> None:
    from mcp_client_auth import flight

    with on_the_wire():
        assert threading.current_thread() in flight._wire._threads
    assert threading.current_thread() not in flight._wire._threads


def test_a_reset_forgets_what_is_under_way() -> None:
    """As in a forked child, where nobody will end it."""
    flights, work = Flights(), Work()
    stranded = flights.start("renew", work)
    flights.reset()
    assert wait(flights.start("renew", lambda: "afresh")) == "afresh"
    work.go.set()
    wait(stranded)
