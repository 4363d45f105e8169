"""One run at a time, a Future for everybody, and an error of each waiter's own."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import anyio
import pytest

from mcp_client_auth import InsufficientScope, LoginFailed, Unavailable
from mcp_client_auth.grants.gathering import Gathering
from mcp_client_auth.session import single_flight, steps
from mcp_client_auth.session.single_flight import (
    Flights,
    await_,
    done,
    on_the_wire,
    until,
    wait,
)
from mcp_client_auth.session.steps import sheltered
from mcp_client_auth.session.turns import Elsewhere
from mcp_client_auth.threads import Cancel

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
        assert self.go.wait(60)
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


WAYS: dict[str, Callable[[Flights], str]] = {
    "a caller who may leave": lambda flights: flights.here("login", lambda: "later"),
    "a request": lambda flights: wait(flights.start("login", lambda: "later")),
    "a request that wants a scope": lambda flights: wait(
        flights.gather("login", ["read"], lambda wanted, _: f"later: {wanted.take()}")[0]
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_who_comes_while_a_run_ends_that_all_have_left_starts_afresh(way: str) -> None:
    flights, caller, cancel = Flights(), Cancel(), Cancel()
    left, go = threading.Event(), threading.Event()

    def aborted() -> str:
        left.set()
        go.wait(20)
        raise LoginFailed("aborted")

    def run() -> None:
        with pytest.raises(LoginFailed):
            flights.here("login", aborted, cancel, caller=caller)

    first = threading.Thread(target=run)
    first.start()
    left.wait(20)
    caller.cancel()
    later: list[str] = []
    second = threading.Thread(target=lambda: later.append(WAYS[way](flights)))
    second.start()
    second.join(0.05)
    assert later == [], "one after the other"
    go.set()
    first.join()
    second.join()
    assert len(later) == 1
    assert later[0].startswith("later")
    assert flights.under_way("login") is None


@pytest.mark.parametrize("begun_by_a_request", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_a_login_that_begins_while_one_that_was_closed_ends_has_a_run_of_its_own(
    way: str, *, begun_by_a_request: bool
) -> None:
    """As at the second press of a button, while the first login waits for a slow server."""
    flights, cancel = Flights(), Cancel()
    begun, go = threading.Event(), threading.Event()

    def aborted() -> str:
        begun.set()
        go.wait(60)
        raise LoginFailed("aborted")

    def request() -> str:
        return wait(flights.start("login", aborted, cancel))

    def run() -> None:
        with pytest.raises(LoginFailed):
            request() if begun_by_a_request else flights.here("login", aborted, cancel)

    first = threading.Thread(target=run)
    first.start()
    assert begun.wait(60)
    flights.cancel_all()
    later: list[str] = []
    second = threading.Thread(target=lambda: later.append(WAYS[way](flights)))
    second.start()
    second.join(0.05)
    assert later == [], "one after the other"
    go.set()
    first.join()
    second.join()
    assert [each[:5] for each in later] == ["later"]


def test_a_run_within_a_turn_that_goes_on_elsewhere_is_run_again() -> None:
    flights, runs = Flights("server"), iter([Elsewhere("token endpoint"), None])

    def login() -> str:
        if error := next(runs):
            raise error
        return "logged in"

    future = flights.start("answer", lambda: flights.here("login", login))
    assert future.result(60) == "logged in"
    assert flights.under_way("login") is None


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


def test_the_interruption_of_one_caller_is_an_error_of_ours_for_the_others() -> None:
    """Ctrl-C raised in a task of another thread would end its event loop."""
    flights, work = Flights(), Work()
    caught: list[BaseException] = []

    def join() -> None:
        try:
            flights.here("login", work)
        except BaseException as error:
            caught.append(error)

    joining = threading.Thread(target=join)

    def interrupted() -> None:
        joining.start()
        while flights._under_way["login"].callers != 2:
            time.sleep(0.001)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flights.here("login", interrupted)
    joining.join(60)
    assert [(type(error), getattr(error, "code", "")) for error in caught] == [
        (LoginFailed, "aborted")
    ]


# Cancellation


def test_a_future_under_way_cannot_be_cancelled() -> None:
    work = Work()
    future = Flights().start("renew", work)
    assert not future.cancel()
    work.go.set()
    assert wait(future) == 1


@pytest.mark.parametrize("request_joins", [False, True])
def test_a_run_is_cancelled_with_its_last_caller_unless_a_request_waits_too(
    request_joins: bool,
) -> None:
    flights, work, cancel = Flights(), Work(), Cancel()
    callers = [Cancel(), Cancel()]
    threads = [
        threading.Thread(
            target=lambda caller=caller: flights.here("login", work, cancel, caller=caller)
        )
        for caller in callers
    ]
    for thread in threads:
        thread.start()
    while flights._under_way.get("login") is None or flights._under_way["login"].callers < 2:
        time.sleep(0.001)
    if request_joins:
        flights.start("login", work)
    callers[0].cancel()
    cancel.check()
    callers[1].cancel()
    assert cancel.cancelled is not request_joins
    work.go.set()
    for thread in threads:
        thread.join(60)
    assert work.runs == 1


def test_a_caller_who_presses_ctrl_c_is_no_caller_any_more(ctrl_c: Callable[[], None]) -> None:
    flights, work, cancel, other = Flights(), Work(), Cancel(), Cancel()
    thread = threading.Thread(
        target=flights.here, args=("login", work, cancel), kwargs={"caller": other}
    )
    thread.start()
    assert work.begun.wait(60)

    def press() -> None:
        main_is_in("here", "wait", "exception")
        ctrl_c()

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        flights.here("login", work)
    assert not cancel.cancelled
    other.cancel()
    assert cancel.cancelled
    work.go.set()
    thread.join(60)


def test_all_runs_can_be_cancelled_and_those_of_other_flights_are_not() -> None:
    flights, work, cancel, other = Flights(), Work(), Cancel(), Cancel()
    future = flights.start("login", work, cancel)
    flights.start("renew", work)
    elsewhere = Flights().start("login", work, other)
    flights.cancel_all()
    assert (cancel.cancelled, other.cancelled) == (True, False)
    work.go.set()
    wait(future)
    wait(elsewhere)


def test_who_comes_too_late_for_a_run_is_told() -> None:
    flights, work = Flights(), Work()

    def closing(gathering: Gathering, cancel: Cancel) -> int:
        gathering.take()
        assert gathering.closes()
        return work()

    future, joined = flights.gather("step-up", ["a"], closing)
    assert joined
    assert work.begun.wait(60)
    assert flights.gather("step-up", ["b"], closing) == (future, False)
    work.go.set()
    assert wait(future) == 1


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Interrupts the main thread, also in a process that was started in the background."""
    if sys.platform == "win32":
        pytest.skip("POSIX signals")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    main = threading.main_thread().ident
    assert main is not None
    yield lambda: signal.pthread_kill(main, signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def main_is_in(*names: str) -> None:
    """Return when the main thread stands in these functions of ours, in this order."""
    main = threading.main_thread().ident
    assert main is not None
    ours, end = ("steps.py", "single_flight.py", "_base.py"), time.monotonic() + 60
    while time.monotonic() < end:
        frames = traceback.extract_stack(sys._current_frames()[main])
        here = [frame.name for frame in frames if frame.filename.endswith(ours)]
        if tuple(here[-len(names) :]) == names:
            return
        time.sleep(0.001)


def interrupted_while(
    work: Callable[[], object], ctrl_c: Callable[[], None], times: int = 1
) -> float:
    def press() -> None:
        main_is_in("sheltered", "wait", "exception")
        ctrl_c()
        if times == 2:
            main_is_in("sheltered", "exception")
            ctrl_c()

    threading.Thread(target=press, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        sheltered(work)
    return time.monotonic() - began


def test_ctrl_c_waits_for_what_must_be_kept(
    ctrl_c: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "_AFTER_CTRL_C", 60)
    kept: list[str] = []

    def work() -> None:
        main_is_in("sheltered", "exception")  # interrupted already
        kept.append("yes")

    interrupted_while(work, ctrl_c)
    assert kept == ["yes"]


def test_ctrl_c_does_not_wait_for_ever(ctrl_c: Callable[[], None]) -> None:
    work = Work()
    assert 0.9 < interrupted_while(work, ctrl_c) < 50
    work.go.set()


def test_a_second_ctrl_c_does_not_wait(
    ctrl_c: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "_AFTER_CTRL_C", 60)
    work = Work()
    assert interrupted_while(work, ctrl_c, times=2) < 50
    work.go.set()


def test_what_is_sheltered_gives_its_value_and_its_error() -> None:
    assert sheltered(lambda: 1) == 1
    with pytest.raises(Unavailable):
        sheltered(failing(Unavailable("no")))


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
    assert work.begun.wait(60)
    threading.Timer(0.1, work.go.set).start()
    for each in threads:
        each.join(60)
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
from mcp_client_auth.session.single_flight import Flights, on_the_wire
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
from mcp_client_auth.session.single_flight import Flights, wait
def late():
    print(wait(Flights().start("renew", lambda: "done")))
atexit.register(late)
import concurrent.futures.thread
"""
    assert run(code) == "done\n"


def test_a_thread_is_on_the_wire_only_as_long_as_it_says() -> None:
    from mcp_client_auth.session import single_flight as flight

    with on_the_wire():
        assert threading.current_thread() in flight._wire._threads
    assert threading.current_thread() not in flight._wire._threads


def test_a_reset_forgets_what_is_under_way() -> None:
    """As in a forked child, where nobody will end it."""
    flights, work = Flights(), Work()
    stranded = flights.start("renew", work)
    single_flight._shared.reset()
    assert wait(flights.start("renew", lambda: "afresh")) == "afresh"
    work.go.set()
    wait(stranded)


def test_a_waiter_whose_loop_has_ended_is_closed_in_silence() -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # the task is destroyed, that is meant
    waiter: Any = until(Future())
    task = loop.create_task(waiter)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    waiter.close()
    assert waiter.cr_frame is None, "it has ended"
    del task
