"""What is written to a screen, byte for byte."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import TypeAlias

import pytest

from mcp_client_auth.prompt import screen as module
from mcp_client_auth.prompt.console import Waiting
from mcp_client_auth.prompt.screen import Screen, green

Stream: TypeAlias = Callable[[], str]


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stream:
    monkeypatch.setattr(module, "is_terminal", lambda stream: True)
    monkeypatch.setenv("TERM", "xterm")
    return lambda: capsys.readouterr().err


def test_a_line_is_drawn_over_and_gives_way_to_those_that_stay(stream: Stream) -> None:
    screen = Screen()
    screen.draw("waiting", "long")
    screen.draw("waiting")
    screen.say("a line")
    screen.clear()
    assert stream() == (
        "\rwaiting long\rwaiting     \b\b\b\b\b\r       \ra line\n\rwaiting\r       \r"
    )


def test_the_same_line_is_not_drawn_twice(stream: Stream) -> None:
    screen = Screen()
    screen.draw("waiting")
    screen.draw("waiting")
    assert stream() == "\rwaiting"


@pytest.mark.parametrize(
    ("width", "drawn"), [(80, "one two three"), (10, "one two"), (7, "one"), (3, "on")]
)
def test_what_does_not_fit_is_left_out(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, width: int, drawn: str
) -> None:
    monkeypatch.setattr(Screen, "width", property(lambda self: width))
    Screen().draw("one", "two", "three")
    assert stream() == "\r" + drawn


def test_words_are_wrapped_and_what_is_to_be_copied_is_not(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Screen, "width", property(lambda self: 10))
    Screen().tell("one two three\n  ssh -L a long command\n")
    assert stream() == "one two\nthree\n  ssh -L a long command\n\n"


def test_elsewhere_nothing_is_drawn_wrapped_or_coloured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = Screen()
    screen.draw("waiting")
    screen.tell("word " * 40)
    screen.say(green("done"))
    assert capsys.readouterr().err == "word " * 40 + "\ndone\n"


def test_in_the_background_nothing_is_drawn_over_the_shell(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_in_front", lambda: False)
    Screen().draw("waiting")
    assert stream() == ""


def test_a_terminal_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for gone in (closed, None):
        monkeypatch.setattr(sys, "stderr", gone)
        screen = Screen()
        screen.say("a line")
        screen.draw("waiting")
        screen.clear()


@pytest.mark.parametrize(
    ("left", "clock"), [(600.0, "10:00"), (580.6, "9:41"), (59.4, "0:59"), (4181, "1:09:41")]
)
def test_the_time_left_is_told_as_a_clock_tells_it(stream: Stream, left: float, clock: str) -> None:
    desk = Waiting(opens=False, pastes=True, on=Screen())
    desk.waiting(left)
    assert stream() == f"\rWaiting for you to sign in, {clock} left (Ctrl-C to cancel)"
