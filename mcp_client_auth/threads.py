"""How the threads of one program are cancelled, notice Ctrl-C while they wait, and start afresh
in a forked child.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, Protocol

from .errors import LoginFailed, UsageError
from .events import logger

if TYPE_CHECKING:
    from concurrent.futures import Future

_WAKE: Final = 0.5
_INTERRUPTED: Final = "The login was interrupted; nothing was changed."
_SLICE: Final = 0.2 if sys.platform == "win32" else None


def shortest(*seconds: float | None) -> float | None:
    """The longest single wait: on Windows Ctrl-C is only noticed between waits. None: no limit."""
    return min((span for span in (*seconds, _SLICE) if span is not None), default=None)


def done_within(future: Future[Any], seconds: float | None = None) -> bool:
    """Wait until it is done, `seconds` at most; return whether it is."""
    end = None if seconds is None else time.monotonic() + seconds
    while not future.done():
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            return False
        with suppress(TimeoutError):
            future.exception(shortest(left))
    return True


def is_async(call: object) -> bool:
    return iscoroutinefunction(call) or iscoroutinefunction(getattr(type(call), "__call__", None))  # noqa: B004


def require_plain(name: str, call: object) -> None:
    """Raise `UsageError` for an `async def`: a thread that called it would run nothing of it, and
    no person would be asked."""
    if is_async(call):
        raise UsageError(
            f"{name} is an async function",
            hint="Expected one that returns at once, on any thread. It may hand its argument to"
            " an event loop: loop.call_soon_threadsafe(…)",
        )


class Cancel:
    """Whether work is still needed. It can be cancelled from any thread, once."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self.cancelled = False
        self._calls: list[Callable[[], object]] = []

    def cancel(self) -> None:
        with self._turn:
            self.cancelled, calls = True, self._calls
            self._calls = []
        for call in calls:
            try:
                call()
            except Exception:  # a prompt's own; the caller that cancels has its own error to raise
                logger.warning("a prompt failed while its login was cancelled", exc_info=True)

    def then(self, call: Callable[[], object]) -> None:
        """Call it on cancellation; at once, if that has happened."""
        with self._turn:
            if not self.cancelled:
                self._calls.append(call)
                return
        call()

    def check(self) -> None:
        if self.cancelled:
            raise aborted()


class _Never(Cancel):
    """The `Cancel` of all work that no one cancels."""

    def cancel(self) -> None:
        raise TypeError("this is shared by all work that no one cancels")

    def then(self, call: Callable[[], object]) -> None:
        pass


NEVER: Final = _Never()


def aborted() -> LoginFailed:
    return LoginFailed("the login was aborted", code="aborted", hint="Nothing was changed")


class Resettable(Protocol):
    def reset(self) -> None:
        """Take new locks and forget what is under way."""


_resettable: Final[weakref.WeakSet[Resettable]] = weakref.WeakSet()


def fresh_in_children(thing: Resettable) -> None:
    """Call `thing.reset()` in every forked child that inherits it.

    In a child, locks are held and results are owed by threads that do not exist there.
    """
    _resettable.add(thing)


class FreshInChildren:
    """State of a process that all sessions share; it is reset in every forked child."""

    def __init__(self) -> None:
        self.reset()
        fresh_in_children(self)

    def reset(self) -> None:
        raise NotImplementedError


def _reset_all() -> None:
    for thing in list(_resettable):
        thing.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)


class _Ends(FreshInChildren):
    """The functions to call when this process ends."""

    def reset(self) -> None:
        self.calls: set[Callable[[], object]] = set()


_ends: Final = _Ends()


def at_end_of_child(call: Callable[[], object], turn: int) -> None:
    """Call it when this process ends, if it is a `multiprocessing` child, a higher `turn` first.

    A forked child ends without `atexit`; in other children it is called as well. However often it
    is registered, it is called once.
    """
    if call in _ends.calls:
        return
    _ends.calls.add(call)
    started = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if started and util and started.parent_process() is not None:
        util.Finalize(None, call, exitpriority=turn)


@contextmanager
def interruptible() -> Iterator[None]:
    """Around a login in IPython: an interrupt ends it at once, and is shown as one line."""
    if "IPython" not in sys.modules:
        yield
        return
    import asyncio

    with _awake():
        try:
            yield
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
                # what IPython shows in place of the frames that it went through
                vars(error)["_render_traceback_"] = lambda: [_INTERRUPTED]
            raise


@contextmanager
def _awake() -> Iterator[None]:
    """Keep the event loop awake: only then does a kernel notice an interrupt of an `await`."""
    import asyncio

    loop, over = None, False
    with suppress(RuntimeError):
        loop = asyncio.get_running_loop()

    def wake() -> None:
        if loop and not over:
            loop.call_later(_WAKE, wake)

    wake()
    try:
        yield
    finally:
        over = True
