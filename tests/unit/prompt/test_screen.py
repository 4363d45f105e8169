"""What is written to a screen, byte for byte."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from typing import TypeAlias

import pytest

from mcp_client_auth.prompt import screen as module
from mcp_client_auth.prompt.console import Waiting
from mcp_client_auth.prompt.screen import Screen, blamed, link, tinted

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
    screen.say(tinted("done", "good"))
    assert capsys.readouterr().err == "word " * 40 + "\ndone\n"


def test_colours_mean_errors_warnings_hints_and_success(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_client_auth.environment.is_terminal", lambda stream: True)
    screen = Screen()
    screen.say(blamed("mcp-login:", "it failed"))
    screen.tell("take care", "warning")
    screen.say(tinted("one\n\ntwo", "hint"))
    screen.say(tinted("done", "good"))
    screen.say(tinted("plain", ""))
    assert stream() == (
        "\x1b[31mmcp-login:\x1b[0m it failed\n\x1b[33mtake care\x1b[0m\n"
        "\x1b[36mone\x1b[0m\n\n\x1b[36mtwo\x1b[0m\n\x1b[32mdone\x1b[0m\nplain\n"
    )
    monkeypatch.setenv("NO_COLOR", "1")
    screen.say(blamed("mcp-login:", "it failed"))
    assert stream() == "mcp-login: it failed\n"


def test_an_address_is_a_link_where_the_terminal_has_them(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "https://auth.example.com/authorize?state=1"
    assert link(url) == url
    monkeypatch.setenv("FORCE_HYPERLINK", "1")
    assert link(url) == f"\x1b]8;;{url}\x1b\\{url}\x1b]8;;\x1b\\"
    assert link("https://a/\x1b]8") == "https://a/\x1b]8", "nothing that would end it"
    Waiting(opens=True, pastes=False, on=Screen()).invite(url, "http://127.0.0.1:1/callback")
    assert f"\n\n  {link(url)}\n\n" in stream()


def test_a_long_wait_says_for_what_and_a_short_one_nothing(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen, drawn = Screen(), threading.Event()
    with screen.waiting_for("the answer"):
        pass
    assert stream() == ""
    monkeypatch.setattr(module, "_TICK", 0.001)
    draw = screen.draw

    def drawing(*parts: str) -> None:
        draw(*parts)
        drawn.set()

    monkeypatch.setattr(screen, "draw", drawing)
    with screen.waiting_for("the answer"):
        assert drawn.wait(60)
    text = stream()
    assert text.startswith("\rWaiting for the answer ... (0 s, Ctrl-C to cancel)")
    assert text.endswith("\r")


def test_a_wait_of_which_nobody_sees_the_line_starts_no_thread() -> None:
    with Screen().waiting_for("the answer"):
        assert "mcp waiting" not in {thread.name for thread in threading.enumerate()}


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
