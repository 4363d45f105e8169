"""The one thread of this process that talks to the OS keyring.

Only a call in another thread can be given up, and a thread that is there already can still
write while the interpreter ends. What was given up before its turn is never begun.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any, Final, TypeAlias, TypeVar

from ..forking import fresh_in_children

T = TypeVar("T")
_A_WHILE: Final = 2.0
_Job: TypeAlias = "tuple[Callable[[], Any], Future[Any]] | None"


class Stuck(Exception):
    """The keyring did not answer in time; it is left alone for the rest of the process."""


class KeyringThread:
    """Calls `action(backend)` one at a time. `find` looks for the backend at the first call.

    `waiting` is told when a call takes long.
    """

    waiting: Callable[[], None] | None = None

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self.reset()
        fresh_in_children(self)

    def reset(self) -> None:
        """Begin afresh, as a forked child must."""
        self._jobs.put(None)
        self._jobs = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self.stuck = False
        self.checked = False
        self.backend: Any = None

    def call(self, find: Callable[[], Any], action: Callable[[Any], T], limit: float) -> T:
        """What `action` gives, or raises; `Stuck` after `limit` seconds and from then on."""
        if self.stuck:
            raise Stuck
        answer: Future[T] = Future()
        self._start()
        self._jobs.put((lambda: action(self._found(find)), answer))
        if self.waiting and limit > _A_WHILE:
            limit -= _A_WHILE
            wait([answer], _A_WHILE)
            if not answer.done():
                self.waiting()
        try:
            return answer.result(limit)
        except TimeoutError:
            if answer.done():
                raise
            answer.cancel()
            self.stuck = True
            raise Stuck from None

    def _found(self, find: Callable[[], Any]) -> Any:
        if self.backend is None:
            self.backend = find()
        return self.backend

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=_serve, args=(self._jobs,), name="mcp keyring", daemon=True
                )
                self._thread.start()


def _serve(jobs: SimpleQueue[_Job]) -> None:
    while (job := jobs.get()) is not None:
        action, answer = job
        if not answer.set_running_or_notify_cancel():
            continue
        try:
            answer.set_result(action())
        except BaseException as error:
            answer.set_exception(error)
        del job, action, answer  # what was written lives no longer than its writing


SHARED: Final = KeyringThread()
