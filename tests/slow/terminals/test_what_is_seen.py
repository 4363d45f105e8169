"""What a person sees of a login: lines that fit, colours for those who want them, no silence."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

if sys.platform == "win32":
    pytest.skip("POSIX terminals", allow_module_level=True)

from mcp_client_auth.cli.progress import Patience
from mcp_client_auth.events import TRYING_AGAIN, Event
from mcp_client_auth.testing import DemoServer
from tests.support.hostile import World, document
from tests.support.ptys import WAITING, address, at_a_pty, drawn, logging_in, signed_in
from tests.support.terminal import Terminal, command

ENTER, CTRL_C = "\r", "\x03"


@pytest.fixture
def terminal(terminal: Terminal) -> Terminal:
    terminal.environment |= {"TERM": "xterm", "PS1": "$ ", "CODESPACES": "true"}
    return terminal


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def expire(terminal: Terminal) -> None:
    """Let the stored token have ended."""
    for name, text in terminal.stored().items():
        if name.endswith(".secret"):
            old = re.sub(rb'"expires_at":[\d.]+', b'"expires_at":1000.0', text)
            (terminal.store / name).write_bytes(old)


@pytest.mark.parametrize("columns", [40, 80])
def test_the_lines_fit_the_terminal(terminal: Terminal, server: DemoServer, columns: int) -> None:
    with logging_in(terminal, server, "--timeout", "100", columns=columns) as running:
        running.until(lambda: len(set(re.findall(r"\d:\d\d left", running.text))) > 1)
        running.type("half")
        running.wait_for("press Enter")
        rows = drawn(running.text, columns)
        assert running.press(CTRL_C) == 130
        at = next(number for number, row in enumerate(rows) if row.startswith("At the end"))
        *hint, last = rows[at:]
        if columns == 40:
            assert hint == [
                "At the end the page will not load: copy",
                "its address and paste it here.",
            ]
            assert last == "4 characters, press Enter."
        else:
            assert hint == [
                "At the end the page will not load: copy its address and paste it here."
            ]
            assert re.fullmatch(
                r"4 characters, press Enter\. Waiting for you to sign in, \d:\d\d left", last
            )
        assert address(running.text) in running.text  # whole, so that it can be copied
        after = [row for row in drawn(running.text, columns) if row]
        assert after[-1] == "mcp-login: interrupted"
        assert WAITING not in after[-2]


def test_no_line_of_the_progress_is_left_where_no_login_is_required(
    terminal: Terminal, world: World
) -> None:
    world.at("probe", document({"jsonrpc": "2.0", "id": 1, "result": {}}))
    world.at("resource", document({}, 404))
    with at_a_pty(command(world.url), terminal.environment) as running:
        assert running.end() == 0
        rows = drawn(running.text, 80)
    assert "requires no login" in " ".join(rows)
    assert rows[-1].strip() == "", rows


@pytest.mark.parametrize(
    ("environment", "coloured", "redrawn"),
    [
        ({}, True, True),
        ({"NO_COLOR": "1"}, False, True),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_colours_and_redrawn_lines_are_for_those_who_want_them(
    terminal: Terminal,
    server: DemoServer,
    environment: dict[str, str],
    coloured: bool,
    redrawn: bool,
) -> None:
    terminal.environment |= environment
    with logging_in(terminal, server) as running:
        running.type(signed_in(address(running.text)) + ENTER)
        assert running.end() == 0
        assert ("\x1b[32m" in running.text) == coloured
        assert (f"\r{WAITING}" in running.text) == redrawn
        assert ("\x1b" in running.text) == (coloured or redrawn)


def test_without_the_characters_for_it_plain_ones_stand(
    terminal: Terminal, server: DemoServer
) -> None:
    terminal.environment |= {"PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
    with logging_in(terminal, server) as running:
        assert running.text.isascii()
        assert "+ asked the server" in running.text


def test_not_at_a_terminal_there_are_plain_lines(terminal: Terminal, server: DemoServer) -> None:
    err = terminal.log_in(server.url).err
    waiting = r"Waiting for you to sign in \((10:00|9:5\d) left, Ctrl-C to cancel\)\n"
    assert re.search(waiting, err)
    assert err.count(WAITING) == 1
    assert "\r" not in err
    assert "\x1b" not in err


def test_a_server_that_is_not_reached_is_not_called_out_of_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    detail = "the proxy http://proxy.example cannot be reached: “Connection refused”"
    told = Patience(7)
    for _ in range(2):
        told(Event("refresh", "https://auth.example.com", 0, detail, TRYING_AGAIN))
    said = f"The login cannot be renewed now ({detail}); retrying for up to 7 s.\n"
    assert capsys.readouterr().err == said, "once"


@pytest.mark.parametrize("verb", ["token", "login"])
def test_a_passing_fault_is_said_while_it_is_waited_for(
    terminal: Terminal, world: World, verb: str
) -> None:
    terminal.log_in(world.url)
    expire(terminal)
    usual = world.usual("refresh")
    faults = iter((document({}, 503), document({}, 503)))
    world.at("refresh", lambda exchange: next(faults, usual)(exchange))
    words = command(verb, world.url)
    with at_a_pty(words, terminal.environment, columns=40) as running:
        assert running.end() == 0, running.text
        rows = drawn(running.text, 40)
        assert rows[0].startswith("The authorization server is not working")
        assert rows[:3][-1].endswith("10 s.")
        assert running.text.count("is not working") == 1


def test_a_token_that_is_piped_is_silent_about_a_fault(terminal: Terminal, world: World) -> None:
    terminal.log_in(world.url)
    expire(terminal)
    usual = world.usual("refresh")
    faults = iter([document({}, 503)])
    world.at("refresh", lambda exchange: next(faults, usual)(exchange))
    answer = terminal.run("token", world.url)
    assert (answer.code, answer.err) == (0, "")
