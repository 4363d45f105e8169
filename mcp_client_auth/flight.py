"""One run of an operation at a time, and everybody who asks waits for the same Future.

The work has a thread of its own because it must outlive whoever asked: a refresh that is
cancelled after it was sent loses the rotated refresh token.
"""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from .errors import AuthError, Unavailable
from .forking import fresh_in_children

T = TypeVar("T")
_AT_EXIT: Final = 20.0
_WINDOWS: Final = sys.platform == "win32"


class _Wire:
    """The threads that have sent a refresh and must keep its answer; at exit no more are let on."""

    def __init__(self) -> None:
        self.ending = False
        self.reset()
        fresh_in_children(self)

    def reset(self) -> None:
        self._turn = threading.Condition()
        self._threads: set[threading.Thread] = set()

    def enter(self, thread: threading.Thread) -> None:
        with self._turn:
            if self.ending and thread is not threading.main_thread():
                raise Unavailable("the process is ending", code="ending", hint="Nothing was sent")
            self._threads.add(thread)

    def leave(self, thread: threading.Thread) -> None:
        with self._turn:
            self._threads.discard(thread)
            self._turn.notify_all()

    def close(self) -> None:
        with self._turn:
            self.ending = True
            own = {threading.current_thread()}
            # the wire, not the thread: one that waits for its next try is not waited for
            self._turn.wait_for(lambda: self._threads <= own, _AT_EXIT)


_wire = _Wire()
atexit.register(_wire.close)


class Flights:
    """The operations under way for one session."""

    def __init__(self) -> None:
        self.reset()
        fresh_in_children(self)

    def reset(self) -> None:
        self._mutex = threading.Lock()
        self._under_way: dict[str, Future[Any]] = {}

    def start(self, name: str, work: Callable[[], T]) -> Future[T]:
        """Join the run under way, or start one."""
        future, ours = self._join(name)
        if ours:
            thread = threading.Thread(
                target=self._fly, args=(name, future, work), name=f"mcp {name}", daemon=True
            )
            if _wire.ending or not _started(thread):  # too late for a thread: here and now
                self._fly(name, future, work)
        return future

    def here(self, name: str, work: Callable[[], T]) -> T:
        """The same on the caller's own thread, where the terminal and Ctrl-C belong."""
        future: Future[T]
        future, ours = self._join(name)
        if ours:
            self._fly(name, future, work)
        return wait(future)

    def _join(self, name: str) -> tuple[Future[Any], bool]:
        with self._mutex:
            if name in self._under_way:
                return self._under_way[name], False
            future: Future[Any] = Future()
            future.set_running_or_notify_cancel()  # else one cancelled waiter cancels it for all
            self._under_way[name] = future
            return future, True

    def _fly(self, name: str, future: Future[T], work: Callable[[], T]) -> None:
        try:
            result = work()
        except BaseException as error:
            self._land(name)  # before anyone wakes: whoever comes next starts afresh
            future.set_exception(error)
        else:
            self._land(name)
            future.set_result(result)

    def _land(self, name: str) -> None:
        with self._mutex:
            self._under_way.pop(name, None)


def _started(thread: threading.Thread) -> bool:
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


@contextmanager
def on_the_wire() -> Iterator[None]:
    """While this lasts a normal exit of the process waits: an answer must be kept."""
    thread = threading.current_thread()
    _wire.enter(thread)
    try:
        yield
    finally:
        _wire.leave(thread)


def settle() -> None:
    """Wait for what is on the wire, as the end of the process does, and let nothing more on it."""
    _wire.close()


def done(value: T) -> Future[T]:
    """A Future that needs no waiting."""
    future: Future[T] = Future()
    future.set_result(value)
    return future


def wait(future: Future[T]) -> T:
    """Block until it is done. An error comes as an instance of the waiter's own."""
    while _WINDOWS and not future.done():  # else Ctrl-C would not get through
        with suppress(TimeoutError):
            future.exception(0.2)
    try:
        return future.result()
    except AuthError as error:
        raise error.fresh() from None


async def await_(future: Future[T]) -> T:
    """The same for a task of asyncio or trio, whose cancellation leaves the work alone."""
    await until(future)
    return wait(future)


async def until(future: Future[Any]) -> None:
    """Suspend the task until it is done, however it ends."""
    if future.done():
        return
    import anyio

    woken = anyio.Event()
    soon = _call_soon()

    def wake(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop may have ended before the work did
            soon(woken.set)

    future.add_done_callback(wake)
    await woken.wait()


def _call_soon() -> Callable[[Callable[[], object]], object]:
    """How a foreign thread reaches the event loop that we are running on."""
    import asyncio

    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon
