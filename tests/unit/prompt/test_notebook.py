"""A notebook's output and its box; real kernels are in `tests/slow/notebooks`."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from mcp_client_auth.environment import kernel
from mcp_client_auth.prompt.base import Invitation
from mcp_client_auth.prompt.notebook import (
    NotebookDisplay,
    Output,
    entered,
    notebook_output,
    notebook_prompt,
)

PAGE = "https://auth.example.com/authorize?state=s&prompt=<b>"
CODE = Invitation("https://mcp.example.com/mcp", "default", "https://auth.example.com/d", "W-<M>")


class Frontend:
    """Keeps what is published, as (text, HTML, whether it replaces)."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bool]] = []

    def publish(self, *, data: dict[str, str], transient: dict[str, str], update: bool) -> None:
        self.seen.append((data["text/plain"], data["text/html"], update))

    @property
    def output(self) -> Output:
        return Output(self.publish)


class Cells:
    """Where the outputs of each cell stand, by their texts."""

    def __init__(self) -> None:
        self.running, self.outputs = 1, dict[str, list[object]]()

    def publish(self, *, data: dict[str, str], transient: dict[str, str], update: bool) -> None:
        identity = transient["display_id"]
        assert update == (identity in self.outputs)
        self.outputs.setdefault(identity, [self.running, ""])[1] = data["text/plain"]


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """As a kernel hears them, also where SIGINT is inherited as ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def never() -> bool:
    return False


def wait(label: str) -> str:
    """A box that no one fills."""
    for _ in range(1500):
        time.sleep(0.02)
    raise AssertionError("the box was not closed")


def test_what_is_entered_is_handed_on() -> None:
    assert entered(lambda label: "pasted", never, 60) == "pasted"


def test_a_decided_race_closes_the_box() -> None:
    decided = threading.Event()
    threading.Timer(0.1, decided.set).start()
    assert entered(wait, decided.is_set, 60) is None


def test_the_end_of_the_time_closes_the_box() -> None:
    assert entered(wait, never, 0.1) is None


def test_an_interrupt_by_the_person_is_one() -> None:
    def ask(label: str) -> str:
        _thread.interrupt_main()
        return wait(label)

    with pytest.raises(KeyboardInterrupt):
        entered(ask, never, 60)


def test_no_interrupt_of_ours_comes_after_the_box() -> None:
    """What is entered in the moment of the decision: the box is left when none is on its way."""
    decided = threading.Event()

    def ask(label: str) -> str:
        decided.set()
        time.sleep(0.01)
        return "late"

    for _ in range(20):
        decided.clear()
        assert entered(ask, decided.is_set, 60) in ("late", None)
    for _ in range(20):
        time.sleep(0.01)


@pytest.mark.parametrize("error", [EOFError, NotImplementedError])
def test_a_box_that_cannot_be_asked_is_not_asked_again(error: type[Exception]) -> None:
    asked: list[str] = []

    def ask(label: str) -> str:
        asked.append(label)
        raise error

    display = shown(Frontend(), ask)
    display.waiting(60)
    display.waiting(59)
    assert len(asked) == 1


def shown(frontend: Frontend, box: Callable[[str], str] | None = None) -> NotebookDisplay:
    display = NotebookDisplay(frontend.output, box)
    request: Any = SimpleNamespace(
        redirect_uri="http://127.0.0.1:1/callback", scope=("notes:read", "notes:write")
    )
    race: Any = SimpleNamespace(decided=False)
    with display.source(request, race):
        display.invite(PAGE, "http://127.0.0.1:1/callback")
    return display


def test_everything_that_is_shown_is_escaped_and_the_text_is_whole() -> None:
    frontend = Frontend()
    display = shown(frontend)
    display.show_code(CODE)
    display.say("Received <i>")
    text, html, update = frontend.seen[-1]
    assert update
    assert PAGE in text.splitlines()
    assert not {"<b>", "<M>", "<i>"} & set(html.replace(">", "> ").split())
    assert 'href="https://auth.example.com/authorize?state=s&amp;prompt=&lt;b&gt;"' in html


def test_the_output_is_one_and_ends_empty() -> None:
    frontend = Frontend()
    display = shown(frontend)
    display.over()
    assert [update for _, _, update in frontend.seen] == [False, True]
    assert frontend.seen[-1][0] == ""


def test_a_later_cell_that_signs_in_again_has_an_output_of_its_own() -> None:
    cells = Cells()
    output = Output(cells.publish, lambda: cells.running)
    output.show("sign in")
    output.clear()
    output.show("logged in")
    cells.running = 2
    output.show("sign in for more scope")
    cells.running = 3  # the person has interrupted the second, and goes on
    output.clear()
    assert list(cells.outputs.values()) == [[1, "logged in"], [2, ""]]


def test_the_box_is_asked_only_on_the_thread_where_it_can_be_closed() -> None:
    """A request signs in on another thread: an interrupt from there would end its cell."""
    frontend, asked = Frontend(), list[str]()

    def ask(label: str) -> str:
        asked.append(label)
        return ""

    def sign_in() -> None:
        shown(frontend, ask).waiting(60)

    thread = threading.Thread(target=sign_in)
    thread.start()
    thread.join()
    assert asked == []
    text = frontend.seen[-1][0]
    assert "below" not in text
    assert 'interrupt this cell and use login(…, scope="notes:read notes:write"): ' in text


def test_where_nothing_was_shown_nothing_is_cleared() -> None:
    frontend = Frontend()
    frontend.output.clear()
    assert frontend.seen == []


def test_a_frontend_that_has_gone_away_is_no_error() -> None:
    def publish(**how: object) -> None:
        raise OSError

    Output(publish).show("text")


def test_the_end_of_a_code_is_told_to_who_saw_one() -> None:
    frontend = Frontend()
    display = shown(frontend)
    display.no_code("refused")
    assert len(frontend.seen) == 1
    display.show_code(CODE)
    display.no_code("refused")
    assert "The code can no longer be used: refused." in frontend.seen[-1][0]


@pytest.mark.parametrize("allowed", [True, False])
def test_a_box_is_promised_only_where_the_frontend_may_be_asked(
    allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = SimpleNamespace(_allow_stdin=allowed, getpass=wait)
    shell = SimpleNamespace(kernel=running)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    frontend = Frontend()
    prompt: Any = notebook_prompt(frontend.output, opens=True)
    prompt._display.invite(PAGE, "http://127.0.0.1:1/callback")
    assert ("into the box below" in frontend.seen[0][0]) == allowed


def test_outside_of_a_notebook_there_is_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert (kernel(), notebook_output()) == (None, None)


@pytest.mark.parametrize(
    ("mode", "visited", "shown"),
    [("edit", True, True), ("edit", False, False), ("run", True, False), ("script", False, False)],
)
def test_in_marimo_only_a_cell_in_the_editor_has_someone_who_sees_it(
    monkeypatch: pytest.MonkeyPatch, mode: str, visited: bool, shown: bool
) -> None:
    replaced: list[str] = []
    marimo = SimpleNamespace(
        app_meta=lambda: SimpleNamespace(mode=mode, request=object() if visited else None),
        Html=lambda text: text,
        output=SimpleNamespace(replace=replaced.append),
    )
    monkeypatch.setitem(sys.modules, "marimo", marimo)
    output = notebook_output()
    assert bool(output) is shown
    if output:
        NotebookDisplay(output, opens=True).invite(PAGE, "http://127.0.0.1:1/callback")
        assert "state=s&amp;prompt=&lt;b&gt;" in replaced[-1]
        assert "alogin" not in replaced[-1]
        output.clear()
        assert replaced[-1] == "<span></span>"
