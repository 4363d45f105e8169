"""A login at a real terminal: what is pasted, what is shown, and how the terminal is left."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

if sys.platform == "win32":
    pytest.skip("POSIX terminals", allow_module_level=True)

from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings
from tests.support.ptys import WAITING, Pty, address, at_a_pty, drawn, logging_in, signed_in
from tests.support.terminal import Terminal, command

ENTER = "\r"
OFFERED = Settings(device_authorization=True, device_interval=1)
CTRL_C, CTRL_D, CTRL_U, CTRL_Z = "\x03", "\x04", "\x15", "\x1a"


@pytest.fixture
def terminal(terminal: Terminal) -> Terminal:
    terminal.environment |= {"TERM": "xterm", "PS1": "$ ", "CODESPACES": "true"}
    return terminal


SCRIPT = """
import sys
from mcp_client_auth import login
me = login(sys.argv[1])
print("LOGGED-IN", me.url)
print("NEXT", input())
"""


def secret_of(answer: str) -> str:
    found = re.search(r"code=([^&]+)", answer)
    assert found
    return found[1]


def code_beside(running: Pty) -> tuple[str, str]:
    """Link and code, once both are shown."""
    text = running.wait_for("/oauth2/device\r\n")
    found = re.search(r"any device, code (\S+):\s+(http\S+)", text)
    assert found, text
    return found[2], found[1]


@pytest.mark.parametrize("way", ["enter", "bracketed", "in pieces", "wrapped", "query alone"])
def test_a_pasted_address_is_an_answer(terminal: Terminal, server: DemoServer, way: str) -> None:
    with logging_in(terminal, server) as running:
        before = running.modes()
        answer = signed_in(address(running.text))
        if way == "enter":
            running.type(answer + ENTER)
        elif way == "bracketed":
            assert "\x1b[?2004h" in running.text
            running.type(f"\x1b[200~{answer}\n\x1b[201~")
        elif way == "in pieces":
            for piece in re.findall(r".{1,25}", answer):
                running.type(piece)
                time.sleep(0.02)
            running.wait_for(f"{len(answer)} characters, press Enter")
            running.type(ENTER)
        elif way == "wrapped":
            running.type("\r".join(re.findall(r".{1,40}", answer)) + ENTER)
        else:
            running.type(answer.partition("?")[2] + ENTER)
        assert running.end() == 0, running.text
        running.wait_for("kept in")
        assert f"Logged in to {server.url}" in running.text
        assert re.search(r"Received \d+ characters\.", running.text)
        assert secret_of(answer) not in running.text
        assert running.text.rindex("\x1b[?2004l") > running.text.rindex("\x1b[?2004h")
        assert before != running.modes()
        assert running.echoes()
    assert terminal.run("token", server.url).code == 0


def test_a_callback_wins_beside_it(terminal: Terminal, server: DemoServer) -> None:
    with logging_in(terminal, server) as running:
        running.type("half an ans")
        running.wait_for("11 characters, press Enter")
        answer = signed_in(address(running.text))
        assert "Signed in" in httpx.get(answer, trust_env=False).text
        assert running.end() == 0, running.text
        assert running.echoes()


def test_both_at_once_make_one_login(terminal: Terminal, server: DemoServer) -> None:
    with logging_in(terminal, server) as running:
        answer = signed_in(address(running.text))
        running.type(answer + ENTER)
        with suppress(httpx.HTTPError):  # the port may be free again already
            httpx.get(answer, trust_env=False, timeout=60)
        assert running.end() == 0, running.text
        assert "not the answer" not in running.text
    assert server.token_requests("authorization_code") == 1


@pytest.mark.parametrize("server", [OFFERED], indirect=True)
@pytest.mark.parametrize("asked", [("--device",), ()], ids=["asked for", "offered"])
@pytest.mark.parametrize("winner", ["callback", "paste", "device"])
def test_each_of_three_ways_wins(
    terminal: Terminal, server: DemoServer, asked: tuple[str, ...], winner: str
) -> None:
    with logging_in(terminal, server, *asked) as running:
        link, code = code_beside(running)
        if winner == "device":
            ScriptedBrowser().visit(f"{link}?user_code={code}")
        elif winner == "paste":
            running.type(signed_in(address(running.text)) + ENTER)
        else:
            httpx.get(signed_in(address(running.text)), trust_env=False)
        assert running.end() == 0, running.text
        running.wait_for("kept in")
        assert "is over" not in running.text
        assert running.echoes()
    assert server.token_requests("authorization_code") == (winner != "device")
    assert terminal.run("token", server.url).code == 0


@pytest.mark.parametrize("server", [OFFERED], indirect=True)
@pytest.mark.parametrize("columns", [40, 80])
def test_a_code_stands_whole_below_the_address_and_ctrl_c_ends_both(
    terminal: Terminal, server: DemoServer, columns: int
) -> None:
    with logging_in(terminal, server, "--device", columns=columns) as running:
        link, code = code_beside(running)
        rows = drawn(running.text, columns)
        at = rows.index(f"Or on any device, code {code}:")
        assert rows[at - 1 : at + 4] == ["", rows[at], "", f"  {link}", ""]
        assert max(n for n, row in enumerate(rows) if "paste it here" in row) < at
        assert running.press(CTRL_C) == 130
        assert "Traceback" not in running.text
        assert running.echoes()


def test_wrong_answers_are_said_in_a_line_each_and_the_wait_goes_on(
    terminal: Terminal, server: DemoServer
) -> None:
    with logging_in(terminal, server) as running:
        page = address(running.text)
        answer = signed_in(page)
        here = answer.partition("?")[0]
        port = here.split(":")[2].partition("/")[0]
        wrong = {
            re.sub(r"state=[^&]+", "state=planted", answer): "belongs to another login",
            answer.replace("127.0.0.1", "evil.example"): "the right one begins with",
            answer.replace(port, "9"): "the right one begins with",
            answer.replace("/callback", "/planted"): "the right one begins with",
            answer + "&code=planted": "it has a parameter twice",
            here + "?code=planted": "it has no “state”",
            "planted": "a code alone cannot be checked",
            page: "the address of the first page",
        }
        for text, why in wrong.items():
            seen = len(running.text)
            running.type(text + ENTER)
            assert why in running.wait_for(".\r\n", seen)[seen:]
        assert server.token_requests("authorization_code") == 0
        running.type("wrong" + CTRL_U + "x\x7f" + answer + ENTER)
        assert running.end() == 0, running.text
        assert "planted" not in running.text
        assert secret_of(answer) not in running.text


def test_an_answer_of_twenty_thousand_characters_arrives_whole(
    terminal: Terminal, server: DemoServer
) -> None:
    with logging_in(terminal, server) as running:
        answer = signed_in(address(running.text)) + "&padding=" + "x" * 20_000
        running.type(answer + ENTER)
        assert running.end() == 0, running.text
        assert f"Received {len(answer)} characters." in running.text


def test_ctrl_c_ends_it_at_once_and_leaves_the_terminal_as_it_was(
    terminal: Terminal, server: DemoServer
) -> None:
    words = ["sh", "-c", 'trap : INT; stty ixoff kill ^X; "$@"; echo ended $?; read line', "sh"]
    words += command(server.url, "--no-browser")
    with at_a_pty(words, terminal.environment) as running:
        running.wait_for("Asking")
        before = running.modes()
        running.wait_for(WAITING)
        assert not running.echoes()
        running.type("half an answer")
        running.wait_for("press Enter")
        running.type(CTRL_C)
        running.wait_for("ended 130")
        assert running.modes() == before
        assert "Traceback" not in running.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_that_ends_it_leaves_the_terminal_as_it_was(
    terminal: Terminal, server: DemoServer, number: signal.Signals
) -> None:
    with at_a_pty(command(server.url, "--no-browser"), terminal.environment) as running:
        before = running.modes()
        running.wait_for(WAITING)
        assert running.modes() != before
        running.send(number)
        assert running.end() == (143 if number == signal.SIGTERM else -number)
        assert running.modes() == before


def test_a_timeout_leaves_the_terminal_as_it_was(terminal: Terminal, server: DemoServer) -> None:
    words = command(server.url, "--no-browser", "--timeout", "1.5")
    with at_a_pty(words, terminal.environment) as running:
        before = running.modes()
        running.wait_for(WAITING)
        assert running.end() == 9
        assert running.modes() == before
        assert "mcp-login: no one signed in within 1.5 s" in drawn(running.text, 80)


def test_ctrl_d_ends_the_reading_and_not_the_wait(terminal: Terminal, server: DemoServer) -> None:
    with logging_in(terminal, server) as running:
        assert not running.echoes()
        running.type(CTRL_D)
        running.wait_for("still waiting for the browser")
        running.until(running.echoes)
        httpx.get(signed_in(address(running.text)), trust_env=False)
        assert running.end() == 0, running.text


def test_what_was_typed_before_the_question_is_no_answer_and_a_rest_is_not_left_to_the_shell(
    terminal: Terminal, server: DemoServer
) -> None:
    words = ["sh", "-c", 'read go; "$@"; echo ended; read rest; echo "rest <$rest>"', "sh"]
    words += command(server.url, "--no-browser")
    with at_a_pty(words, terminal.environment) as running:
        running.type("go\nearly\n")
        running.wait_for(WAITING)
        answer = signed_in(address(running.text))
        running.type(answer + ENTER + "a rest of it")
        running.wait_for("press Enter")
        running.type(CTRL_U + answer + ENTER)
        running.wait_for("ended")
        running.type("mine\n")
        running.wait_for("rest <mine>")
        assert "Received 5 characters" not in running.text


# Before and behind others


@contextmanager
def at_a_shell(terminal: Terminal, columns: int = 80) -> Iterator[Pty]:
    shell = ["bash", "--norc", "--noprofile", "--noediting", "-i"]
    with at_a_pty(shell, terminal.environment, columns=columns) as running:
        running.wait_for("$ ")
        yield running


def login_line(server: DemoServer) -> str:
    return " ".join(command(server.url, "--no-browser"))


def test_stopped_and_continued_it_gives_the_terminal_back_and_takes_it_again(
    terminal: Terminal, server: DemoServer
) -> None:
    with at_a_shell(terminal) as running:
        before = running.modes()
        running.type(login_line(server) + ENTER)
        running.wait_for(WAITING)
        answer = signed_in(address(running.text))
        running.type("half an ans")
        running.wait_for("11 characters")
        running.type(CTRL_Z)
        running.wait_for("Stopped")
        running.until(lambda: running.modes() == before)
        running.type("echo while $((1+1)) stopped" + ENTER)
        running.wait_for("while 2 stopped")
        running.type("fg" + ENTER)
        running.until(lambda: not running.echoes())
        running.type(CTRL_U + answer + ENTER)
        running.wait_for("kept in")
        running.type("echo mo''des" + ENTER)
        running.wait_for("modes\r\n")
        assert running.modes() == before
        assert "not the answer" not in running.text


def test_in_the_background_it_reads_nothing_and_is_not_stopped_for_it(
    terminal: Terminal, server: DemoServer
) -> None:
    with at_a_shell(terminal) as running:
        before = running.modes()
        running.type(login_line(server) + " & sleep 0" + ENTER)
        running.wait_for("paste it here")
        answer = signed_in(address(running.text))
        running.type("echo my''self" + ENTER)
        running.wait_for("myself\r\n")
        time.sleep(1.2)  # the line that is drawn anew would come each second
        assert running.modes() == before
        assert WAITING not in running.text
        running.type("jobs" + ENTER)
        running.wait_for("Running")
        running.type("fg" + ENTER)
        running.wait_for(WAITING)
        running.until(lambda: not running.echoes())
        running.type(answer + ENTER)
        running.wait_for("kept in")
        assert "Stopped" not in running.text
        running.until(lambda: running.modes() == before)


def test_a_terminal_that_hangs_up_takes_nothing_down_but_the_reading(
    terminal: Terminal, server: DemoServer, tmp_path: Path
) -> None:
    words = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command(server.url, "--no-browser")]
    log = tmp_path / "log"
    with (
        log.open("wb") as stderr,
        at_a_pty(words, terminal.environment, stderr=stderr.fileno()) as running,
    ):
        running.until(lambda: WAITING in log.read_text())
        assert not running.echoes()
        running.hang_up()
        time.sleep(0.5)
        httpx.get(signed_in(address(log.read_text())), trust_env=False)
        assert running.end() == 0, log.read_text()


# A script


def test_a_script_reads_a_pasted_answer_too_and_then_its_own_input(
    terminal: Terminal, server: DemoServer, tmp_path: Path
) -> None:
    script = tmp_path / "my_script.py"
    script.write_text(SCRIPT)
    # no browser can be opened: there is no display, and none is named
    environment = {k: v for k, v in terminal.environment.items() if k != "BROWSER"}
    with at_a_pty([sys.executable, str(script), server.url], environment) as running:
        before = running.modes()
        running.wait_for(WAITING)
        running.type(signed_in(address(running.text)) + ENTER)
        running.wait_for("LOGGED-IN")
        assert running.modes() == before
        running.type("mine\n")
        running.wait_for("NEXT mine")


def test_where_stdin_is_no_terminal_nothing_is_read(terminal: Terminal, server: DemoServer) -> None:
    """`a-list | while read line; do mcp-login …; done` keeps its list."""
    behind = f"{login_line(server)} --timeout 1; read first; echo $first"
    line = f"printf 'one\\ntwo\\n' | {{ {behind}; }}"
    done = subprocess.run(
        ["sh", "-c", line], env=terminal.environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "one\n"
    assert "paste it here" not in done.stderr
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
