"""The browser as it may be: missing, blocking, failing, too quick, twice, against it, or never."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mcp_client_auth.testing import DemoServer
from tests.support.terminal import BROWSER, Terminal

# What it does with the address, "$1"; the callback is the last page of who signs in.
KINDS = {
    "at once": f'{BROWSER} "$1"',
    "blocking": f'{BROWSER} "$1"; sleep 90',
    "twice": f'{BROWSER} "$1"; {BROWSER} "$1"',
    "failing after it": f'{BROWSER} "$1"; exit 7',
    "loud": f'echo page; echo words >&2; {BROWSER} "$1"',
    "denying": f'{BROWSER} --decision deny "$1"',
    "failing": "exit 7",
    "never": "true",
}
ENDS = {"denying": 4, "failing": 9, "never": 9, "missing": 9}


@pytest.fixture
def browser(request: pytest.FixtureRequest, terminal: Terminal) -> str:
    """The kind; the terminal's `$BROWSER` is one of it."""
    kind: str = request.param
    script = terminal.home / "browser"
    if kind != "missing":
        script.write_text(f"#!/bin/sh\n{KINDS[kind]}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    terminal.environment["BROWSER"] = str(script)
    return kind


@pytest.mark.parametrize("browser", [*KINDS, "missing"], indirect=True)
def test_a_browser_of_any_kind_ends_as_it_should(
    terminal: Terminal, server: DemoServer, browser: str
) -> None:
    patience = "1" if ENDS.get(browser) == 9 else "60"
    answer = terminal.run(server.url, "--timeout", patience)
    assert answer.code == ENDS.get(browser, 0), answer.err
    assert f"{server.issuer}/oauth2/authorize?" in answer.err  # the address is always shown
    assert answer.out == ""
    assert "words" not in answer.err
    assert server.token_requests("authorization_code") == (not answer.code)


def test_a_browser_that_answers_twice_gives_one_login(
    terminal: Terminal, server: DemoServer, tmp_path: Path
) -> None:
    again = (
        "import sys; from mcp_client_auth.testing import ScriptedBrowser as B\n"
        "import threading; b = [B(), B()]\n"
        "t = [threading.Thread(target=each.visit, args=(sys.argv[1],)) for each in b]\n"
        "[each.start() for each in t]; [each.join() for each in t]"
    )
    script = tmp_path / "both.py"
    script.write_text(again)
    terminal.environment["BROWSER"] = BROWSER.replace(
        "-m mcp_client_auth.testing.browser", str(script)
    )
    answer = terminal.log_in(server.url)
    assert answer.err.count("Logged in to") == 1
    assert server.token_requests("authorization_code") == 1
