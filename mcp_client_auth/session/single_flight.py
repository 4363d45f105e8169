"""One run of an operation at a time, while every caller waits for the same Future.

The work is on another thread because it must outlive its callers: a refresh that is cancelled
after it was sent loses the rotated refresh token. A crowd of renewals waits in line for a thread
(`turns`). A login has a thread of its own, and is cancelled with its callers unless one of them
is a request, which it outlives.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from ..errors import AuthError, Unavailable
from ..grants.gathering import Gathering
from ..threads import (
    Cancel,
    FreshInChildren,
    aborted,
    at_end_of_child,
    done_within,
    interruptible,
)
from .turns import TURNS, Elsewhere, Turn

T = TypeVar("T")
_AT_EXIT: Final = 20.0
_LOOK: Final = 1.0  # how often a waiting caller checks whether it is late


class _Wire(FreshInChildren):
    """The threads with a sent request whose answer must be kept; at exit no more are let on."""

    ending = False

    def reset(self) -> None:
        self._turn = threading.Condition()
        self._threads: set[threading.Thread] = set()

    def enter(self, thread: threading.Thread) -> None:
        with self._turn:
            at_end_of_child(self.close, 2)
            if self.ending and thread is not threading.main_thread():
                raise Unavailable("the process is ending", code="ending", hint="Nothing was sent")
            self._threads.add(thread)

    def leave(self, thread: threading.Thread) -> None:
        with self._turn:
            self._threads.discard(thread)
            self._turn.notify_all()

    def close(self) -> None:
        self.settle(ending=True)

    def settle(self, *, ending: bool) -> None:
        own = {threading.current_thread()}
        with self._turn:
            self.ending |= ending
            # not for a thread between two tries, which has nothing on the wire
            self._turn.wait_for(lambda: self._threads <= own, _AT_EXIT)


_wire = _Wire()
atexit.register(_wire.close)


class Late(NamedTuple):
    """After how many seconds callers stop waiting for what is on the wire, and their error."""

    seconds: float
    error: AuthError


class _Awaited(Future[Any]):
    """A Future that callers stop waiting for when it is `late`, though it has not ended."""

    late: Late | None = None


_flying: Final = threading.local()  # the future of the flight that this thread runs


class _Flight:
    """One run. `callers`: how many callers wait that may leave. `outlives`: it goes on when all
    have left; otherwise it is cancelled then. `left`: it was cancelled, and no one joins it any
    more. `person`: it may wait for a person. `before`: a run that was left, whose end it waits
    for."""

    __slots__ = ("before", "callers", "cancel", "future", "gathering", "left", "outlives", "person")

    def __init__(self, cancel: Cancel, gathering: Gathering, before: _Awaited | None) -> None:
        self.cancel, self.gathering, self.before = cancel, gathering, before
        self.future = _Awaited()
        self.callers, self.outlives, self.left, self.person = 0, False, False, False


class _Shared(FreshInChildren):
    """What all sessions share, since there may be many: one mutex, held briefly.

    `processes`: how often this process was forked; runs from before that are its parent's.
    """

    processes = 0

    def reset(self) -> None:
        self.mutex = threading.Lock()
        self.processes += 1


_shared: Final = _Shared()
_NONE: Final[dict[str, _Flight]] = {}


class Flights:
    """The operations under way for one session. `place`: where they wait in line; if it is
    empty, they do not wait."""

    __slots__ = ("_place", "_process", "_under_way")

    def __init__(self, place: str = "") -> None:
        self._place, self._process, self._under_way = place, 0, _NONE

    def start(self, name: str, work: Callable[[], T], cancel: Cancel | None = None) -> Future[T]:
        """Join the run under way, or start one, which outlives its callers.

        `cancel`: checked by work that waits for a person; `cancel_all` sets it.
        """
        flight, ours = self._join(name, cancel, outlives=True, person=cancel is not None)
        if ours:
            self._launch(name, flight, work)
        future: Future[T] = flight.future
        return future

    def gather(
        self,
        name: str,
        wants: Iterable[str],
        work: Callable[[Gathering, Cancel], T],
    ) -> tuple[Future[T], bool]:
        """The same for work that looks at what its callers want, while others may still join.

        Also returns whether these wants joined; otherwise they came too late for that run.
        """
        flight, ours = self._join(name, None, outlives=True, person=True, wants=wants)
        if ours:
            self._launch(name, flight, lambda: work(flight.gathering, flight.cancel))
        future: Future[T] = flight.future
        return future, ours or flight.gathering.join(wants)

    def here(
        self,
        name: str,
        work: Callable[[], T],
        cancel: Cancel | None = None,
        *,
        caller: Cancel | None = None,
        joined: Callable[[], None] = lambda: None,
    ) -> T:
        """The same on the caller's own thread, where the terminal and Ctrl-C belong.

        It is cancelled once `caller` and every other caller is, unless it outlives them.
        `joined` is called before another caller's run is waited for.
        """
        flight, ours = self._join(name, cancel, outlives=False, person=True)
        if caller:
            caller.then(lambda: self._leave(flight))
        if ours:
            try:
                self._fly(name, flight, work)
            except Elsewhere:  # the run around it is run again, and begins another one here
                self._land(name, flight, aborted())
                raise
        else:
            joined()
        future: Future[T] = flight.future
        try:
            return wait(future)
        except KeyboardInterrupt:
            self._leave(flight)
            raise

    def under_way(self, name: str) -> Future[Any] | None:
        with _shared.mutex:
            flight = self._ours().get(name)
        return flight.future if flight else None

    def take(self, name: str) -> Future[Any] | None:
        """The run under way; if None, the caller owns the new run and ends it by `give`."""
        flight, ours = self._join(name, None, outlives=True)
        return None if ours else flight.future

    def give(self, name: str, value: object) -> None:
        """End a run that was taken, with this result."""
        with _shared.mutex:
            flight = self._ours().get(name)
        if flight:
            self._land(name, flight, None, value)

    def cancel_all(self) -> None:
        with _shared.mutex:
            flights = list(self._ours().values())
            for flight in flights:
                flight.left |= flight.person  # who logs in after this has not cancelled anything
        for flight in flights:
            flight.cancel.cancel()

    def _join(
        self,
        name: str,
        cancel: Cancel | None,
        *,
        outlives: bool,
        person: bool = False,
        wants: Iterable[str] = (),
    ) -> tuple[_Flight, bool]:
        with _shared.mutex:
            flight = self._ours().get(name)
            left = flight.future if flight and flight.left else None
            ours = flight is None or left is not None  # its error is not for later callers
            if flight is None or left:
                if not self._under_way:
                    self._process, self._under_way = _shared.processes, {}
                flight = _Flight(cancel or Cancel(), Gathering(wants), left)
                self._under_way[name] = flight
                # otherwise one cancelled waiter cancels it for all
                flight.future.set_running_or_notify_cancel()
                flight.person = person
            flight.outlives |= outlives
            flight.callers += not outlives
            return flight, ours

    def _ours(self) -> dict[str, _Flight]:
        """The runs of this process: those that were under way when it was forked never end here."""
        if self._process != _shared.processes:
            self._under_way = _NONE
        return self._under_way

    def _leave(self, flight: _Flight) -> None:
        with _shared.mutex:
            flight.callers -= 1
            flight.left |= not (flight.outlives or flight.callers > 0)
        if flight.left:
            flight.cancel.cancel()

    def _launch(self, name: str, flight: _Flight, work: Callable[[], T]) -> None:
        fly = partial(self._fly, name, flight, work)
        if self._place and not (flight.person or _wire.ending):
            return TURNS.take(self._place, Turn(fly, partial(self._land, name, flight)))
        if not _wire.ending:
            with suppress(RuntimeError):
                return threading.Thread(target=fly, name=f"mcp {name}", daemon=True).start()
        fly()  # too late for a thread: here and now
        return None

    def _fly(self, name: str, flight: _Flight, work: Callable[[], T]) -> Exception | None:
        before = getattr(_flying, "future", None)
        _flying.future = flight.future
        try:
            if flight.before:
                done_within(flight.before)
            result = work()
        except Elsewhere:
            raise  # it is run again
        except Exception as error:
            self._land(name, flight, error)
            return error
        except BaseException:  # Ctrl-C on this thread is not for the others who wait
            self._land(name, flight, aborted())
            raise
        finally:
            _flying.future = before
        self._land(name, flight, None, result)
        return None

    def _land(
        self, name: str, flight: _Flight, error: Exception | None, result: object = None
    ) -> None:
        with _shared.mutex:  # before anyone wakes: nothing is kept between two runs
            if self._ours().get(name) is flight:
                del self._under_way[name]
            self._under_way = self._under_way or _NONE
        if error:
            flight.future.set_exception(error)
        else:
            flight.future.set_result(result)


@contextmanager
def on_the_wire(late: Late | None = None) -> Iterator[None]:
    """While this lasts, a normal exit of the process waits, but at most `_AT_EXIT` seconds, and
    callers wait until it is `late`."""
    thread, future = threading.current_thread(), getattr(_flying, "future", None)
    _wire.enter(thread)
    if late and future:
        future.late = late._replace(seconds=time.monotonic() + late.seconds)
    try:
        yield
    finally:
        if late and future:
            future.late = None
        _wire.leave(thread)


def settle() -> None:
    """Wait for what is on the wire, as the end of the process does, and let nothing more on it."""
    _wire.close()


def settle_sent() -> None:
    """Wait as `settle` does, but still let others on it."""
    _wire.settle(ending=False)


def done(value: T) -> Future[T]:
    """A Future that needs no waiting."""
    future: Future[T] = Future()
    future.set_result(value)
    return future


def wait(future: Future[T]) -> T:
    """Block until it is done or late. Each waiter gets its own instance of an error."""
    while not future.done():
        if late := _late(future):
            raise late.fresh()
        done_within(future, _LOOK)
    try:
        return future.result()
    except AuthError as error:
        raise error.fresh() from None


def awaited(future: Future[T]) -> Generator[Future[Any], None, T]:
    """The future's result: a task waits for it while it is yielded, a thread waits here."""
    yield future
    return wait(future)


async def await_(future: Future[T]) -> T:
    """The same for a task of asyncio or trio, whose cancellation leaves the work alone."""
    await until(future)
    return wait(future)


async def cancellable(name: str, work: Callable[[Cancel], T]) -> T:
    """The result of work on a thread of its own; it is told when the task is cancelled."""
    caller = Cancel()
    future = Flights().start(name, lambda: work(caller))
    with interruptible():
        try:
            return await await_(future)
        except BaseException:
            caller.cancel()
            raise


async def until(future: Future[Any]) -> None:
    """Suspend the task until it is done, however it ends, or late."""
    if future.done():
        return
    import asyncio

    import anyio

    woken = anyio.Event()
    try:
        soon: Callable[..., object] = asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio

        soon = trio.lowlevel.current_trio_token().run_sync_soon

    def wake(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop may have ended before the work did
            soon(woken.set)

    future.add_done_callback(wake)
    while not (woken.is_set() or _late(future)):
        try:
            with anyio.move_on_after(_LOOK):
                await woken.wait()
        except RuntimeError as error:
            if isinstance(error.__context__, GeneratorExit):  # its loop has ended without it
                raise error.__context__ from None
            raise


def _late(future: Future[Any]) -> AuthError | None:
    late: Late | None = getattr(future, "late", None)
    return late.error if late and time.monotonic() >= late.seconds else None
