"""The keyrings of this process, each with the one thread that talks to it.

Only a call in another thread can be given up, and a thread that exists already can still
write while the interpreter ends. A call that was given up before its turn never begins.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any, Final, TypeAlias, TypeVar

from ..events import Event, Listener, tell
from ..threads import fresh_in_children
from .plugin_output import captured, summary

T = TypeVar("T")
_A_WHILE: Final = 2.0
_SLICE: Final = 0.25
_AN_INSTANT: Final = 1e-6
_OVERLOADED: Final = 30.0
_WELL_USED: Final = 4  # threads for each processor
_Job: TypeAlias = "tuple[Callable[[], Any], Future[Any]] | None"


class Stuck(Exception):
    """The keyring did not answer in time; it is left alone until it has."""


class Ring:
    """One backend. Calls `action(backend)` one at a time, in a thread of its own."""

    def __init__(self, backend: Any = None) -> None:
        self.backend = backend
        self.stuck = False
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def call(self, action: Callable[[Any], T], limit: float) -> T:
        """Return or raise what `action` does; `Stuck` after `limit` seconds. Later calls raise that
        too until those that were given up have ended: a program that runs for days goes on once
        a person has unlocked the keyring."""
        if self.stuck:
            raise Stuck
        answer: Future[T] = Future()
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(
                    target=_serve,
                    args=(self._jobs, self.backend is None),
                    name="mcp keyring",
                    daemon=True,
                )
                thread.start()  # may raise
                self._thread = thread
        self._jobs.put((lambda: action(self.backend), answer))
        if SHARED.waiting and limit > _A_WHILE:
            limit -= _A_WHILE
            wait([answer], _A_WHILE)
            if not answer.done():
                SHARED.waiting()
        _wait(answer, limit)
        if not answer.done():
            answer.cancel()
            self.stuck = True
            self._jobs.put((self._answers, Future()))  # after all that it has not answered
            raise Stuck
        return answer.result()

    def _answers(self) -> None:
        self.stuck = False

    def end(self) -> None:
        """Let the thread end once it is done."""
        self._jobs.put(None)


class Rings:
    """What the `keyring` library offers to this process, and which of it is used.

    `all` are those that keep secrets, in the order in which they are tried; None before they
    were looked for. `chosen` has passed the trial, holds a login, or is the only one;
    `checked` tells whether it was tried. `waiting` is called when a call takes long, `listener`
    when plug-ins of other packages print something.
    """

    waiting: Callable[[], None] | None = None
    listener: Listener | None = None

    def __init__(self) -> None:
        self._finder = Ring()
        self.all: tuple[Ring, ...] | None = None
        self.reset()
        fresh_in_children(self)

    def reset(self) -> None:
        """Start again, as a forked child must."""
        for ring in (self._finder, *(self.all or ())):
            ring.end()
        self._finder = Ring()
        self._looking = threading.Lock()
        self.all = None
        self.chosen: Ring | None = None
        self.checked = False

    def find(self, look: Callable[[], Sequence[Any]], limit: float) -> tuple[Ring, ...]:
        """All of them; the first call looks for them."""
        with self._looking:
            if self.all is None:
                backends = self._finder.call(lambda _: look(), limit)
                self.all = tuple(map(Ring, backends))
                self._finder.end()
            return self.all

    def tell(self, detail: str, rule: str = "") -> None:
        tell(self.listener, Event("storage", detail=detail, rule=rule))


def _wait(answer: Future[Any], limit: float) -> None:
    """Wait `limit` seconds at most, which pass more slowly on an overloaded machine.

    On such a machine a keyring is late because it gets no processor, not because it asks a person.
    """
    longest = max(limit, _OVERLOADED)
    while min(limit, longest) > _AN_INSTANT and not answer.done():
        # how many times more threads want to run than on a machine that is well used
        overload = max(_running() / (os.cpu_count() or 1) / _WELL_USED, 1.0)
        pause = min(_SLICE, limit * overload, longest)
        wait([answer], pause)
        limit, longest = limit - pause / overload, longest - pause


def _running() -> int:
    """How many threads want to run at this moment; 0 if the system does not tell."""
    try:
        with open("/proc/loadavg", encoding="ascii") as file:
            return int(file.read().split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):
        return 0


def _serve(jobs: SimpleQueue[_Job], quotable: bool) -> None:
    """Run jobs. `quotable`: they are given no secret, so what they print may be shown."""
    while (job := jobs.get()) is not None:
        action, answer = job
        if not answer.set_running_or_notify_cancel():
            continue
        output: list[str] = []
        try:
            with captured(output):
                value = action()
        except Exception as error:
            answer.set_exception(error)
        except BaseException as error:  # a plug-in that ends the program ends this call only
            answer.set_exception(RuntimeError(type(error).__name__))
        else:
            answer.set_result(value)
        if output:
            what = summary(output) if quotable else "it wrote something"
            SHARED.tell(f"a keyring plug-in: {what}")
        del job, action, answer  # a secret lives no longer than the call that writes it


SHARED: Final = Rings()
