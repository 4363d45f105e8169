"""The short address in a run of the command: the browser's command line, and the screen."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_client_auth.testing import DemoServer
from tests.support.terminal import BROWSER, Terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="xdg-open is of Linux")
# As on a desktop, also where the tests run in a container.
COMMAND = """
from mcp_client_auth.environment import Machine
Machine.place = "here"
from mcp_client_auth.cli import main
main()
"""
TOLD = "The short address was opened a second time"


def run(terminal: Terminal, server: DemoServer, opener: str) -> tuple[str, str]:
    """What the browser was given, and what the person has read; the login is done."""
    given, script = terminal.home / "given", terminal.home / "bin" / "xdg-open"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nprintf %s "$*" > {given}\n{opener}\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    environment = {**terminal.environment, "DISPLAY": ":0"}
    environment["PATH"] = f"{script.parent}:{environment['PATH']}"
    del environment["BROWSER"]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, server.url],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return Path(given).read_text(), done.stderr


def test_the_browser_is_given_the_short_one_and_the_person_reads_both(
    terminal: Terminal, server: DemoServer
) -> None:
    given, told = run(terminal, server, f'{BROWSER} "$1"')
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{16}", given)
    assert told.index(given) < told.index(f"{server.issuer}/oauth2/authorize?")
    assert TOLD not in told


def test_a_second_visit_is_told_to_the_person_who_may_still_sign_in(
    terminal: Terminal, server: DemoServer
) -> None:
    first = "import httpx, sys; print(httpx.get(sys.argv[1]).headers['location'])"
    look = "import httpx, sys; httpx.get(sys.argv[1])"
    script = f"""
        page=$({sys.executable} -c "{first}" "$1")
        {sys.executable} -c "{look}" "$1"
        {BROWSER} "$page"
    """
    _, told = run(terminal, server, script)
    assert TOLD in told
