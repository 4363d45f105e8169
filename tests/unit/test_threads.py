"""Waits that end in time, cancellations that reach everyone, and a clean start after a fork."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from mcp_client_auth import BrowserPrompt, DevicePrompt, MCPAuth, login, threads
from mcp_client_auth.errors import LoginFailed, UsageError
from mcp_client_auth.threads import Cancel, done_within, fresh_in_children, interruptible, shortest


def test_the_shortest_of_some_spans_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_SLICE", None)
    assert shortest(3.0, None, 2.0) == 2.0
    assert shortest(None) is None
    monkeypatch.setattr(threads, "_SLICE", 0.2)  # as on Windows
    assert shortest(3.0) == shortest(None) == 0.2
    assert shortest(0.1) == 0.1


@pytest.mark.parametrize("piece", [None, 0.01])
def test_a_future_is_waited_for_until_it_is_done_and_no_longer(
    piece: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_SLICE", piece)
    never: Future[Any] = Future()
    began = time.monotonic()
    assert not done_within(never, 0.05)
    assert 0.05 <= time.monotonic() - began < 60
    assert not done_within(never, -1)

    late: Future[Any] = Future()
    threading.Timer(0.03, late.set_exception, [TimeoutError("its own")]).start()
    assert done_within(late)
    assert done_within(late, 0)
    with pytest.raises(TimeoutError, match="its own"):
        late.result()


def test_a_cancellation_calls_each_listener_once_although_one_fails() -> None:
    cancel, calls = Cancel(), []

    def broken() -> None:
        raise RuntimeError

    cancel.check()
    cancel.then(broken)
    cancel.then(lambda: calls.append("before"))
    cancel.cancel()
    cancel.cancel()
    cancel.then(lambda: calls.append("after"))
    assert calls == ["before", "after"]
    with pytest.raises(LoginFailed) as caught:
        cancel.check()
    assert caught.value.code == "aborted"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks of POSIX")
def test_a_forked_child_begins_afresh() -> None:
    class Thing:
        fresh = False

        def reset(self) -> None:
            self.fresh = True

    thing = Thing()
    fresh_in_children(thing)
    child = os.fork()
    if not child:
        os._exit(0 if thing.fresh else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not thing.fresh


def test_an_interrupt_has_one_line_in_ipython(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    with pytest.raises(KeyboardInterrupt) as caught, interruptible():
        raise KeyboardInterrupt
    rendered: list[str] = getattr(caught.value, "_render_traceback_", list)()
    assert rendered == ["The login was interrupted; nothing was changed."]


def test_another_error_keeps_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    with pytest.raises(ValueError, match="other") as caught, interruptible():
        raise ValueError("other")
    assert not hasattr(caught.value, "_render_traceback_")


def test_elsewhere_an_interrupt_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with pytest.raises(KeyboardInterrupt) as caught, interruptible():
        raise KeyboardInterrupt
    assert not hasattr(caught.value, "_render_traceback_")


def test_what_is_called_at_the_end_of_a_child_is_called_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A storage that is down makes each of many sessions say it."""
    from multiprocessing import process, util

    said: list[tuple[object, int]] = []

    def first() -> None:
        pass

    def last() -> None:
        pass

    monkeypatch.setattr(process, "parent_process", lambda: process.current_process())
    monkeypatch.setattr(
        util, "Finalize", lambda of, call, exitpriority: said.append((call, exitpriority))
    )
    monkeypatch.setattr(threads, "_ends", threads._Ends())
    for _ in range(3):
        threads.at_end_of_child(last, 1)
        threads.at_end_of_child(first, 2)
    assert said == [(last, 1), (first, 2)]
    threads._ends.reset()  # as in a child of its own
    threads.at_end_of_child(first, 2)
    assert said[2:] == [(first, 2)]


async def shown_later(what: object) -> bool:
    raise AssertionError("no one waits for it")


class _Window:
    """What an application with an event loop of its own hands over."""

    invite = waiting = typed = say = over = staticmethod(shown_later)

    async def __call__(self, what: object) -> None:
        raise AssertionError("no one waits for it")


LATER: Any = shown_later
WINDOW: Any = _Window()
URL = "https://mcp.example.com/mcp"
ASYNC: dict[str, tuple[str, Callable[[], object]]] = {
    "a function": ("open_url", lambda: BrowserPrompt(LATER)),
    "a partial": ("open_url", lambda: BrowserPrompt(partial(LATER))),
    "an object": ("show_url", lambda: BrowserPrompt(lambda url: True, WINDOW)),
    "a display": ("invite of the display", lambda: BrowserPrompt(display=WINDOW)),
    "a code": ("show", lambda: DevicePrompt(LATER)),
    "events": ("on_event", lambda: MCPAuth(URL, on_event=WINDOW)),
    "events of a login": ("on_event", lambda: login(URL, on_event=LATER)),
}


@pytest.mark.parametrize("what", ASYNC)
def test_an_async_function_is_refused_where_a_thread_would_call_it(what: str) -> None:
    name, make = ASYNC[what]
    with pytest.raises(UsageError, match=f"^{name} is an async function") as caught:
        make()
    assert "returns at once" in str(caught.value)
