"""A person in SSH, whose browser is at his desk: no callback reaches the far host by itself."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.ptys import Pty, address, at_a_pty
from tests.support.python_path import ROOT
from tests.support.terminal import PATIENCE, Terminal, command
from tests.support.two_hosts import FAR_ADDRESS, PORT, Hosts, missing, two_hosts

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
SIGN_IN = """
import sys
from tests.support.ptys import signed_in
print(signed_in(sys.argv[1]))
"""
VISIT = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open(sys.argv[1], timeout=60).read().decode())
"""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with two_hosts(tmp_path_factory.mktemp("hosts")) as hosts:
        yield hosts


@contextmanager
def logging_in_over_ssh(hosts: Hosts, terminal: Terminal) -> Iterator[Pty]:
    names = ("HOME", "MCP_CLIENT_AUTH_HOME", "MCP_CLIENT_AUTH_STORAGE", "PYTHONPATH", "PATH")
    settings = [f"{name}={terminal.environment[name]}" for name in names]
    remote = shlex.join(["env", "-u", "BROWSER", *settings, *command(hosts.url)])
    words = hosts.ssh("-tt", "-p", str(PORT), f"root@{FAR_ADDRESS}", remote)
    with at_a_pty(words, terminal.environment, columns=200) as running:
        running.wait_for("Waiting for you")
        yield running


def last_address(hosts: Hosts, running: Pty) -> str:
    """Where the browser ends; it signs in at the far host, which has the authorization server."""
    words = (sys.executable, "-c", SIGN_IN, address(running.text))
    done = subprocess.run(
        hosts.at_far(*words), cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def visit(hosts: Hosts, url: str) -> subprocess.CompletedProcess[str]:
    words = hosts.at_desk(sys.executable, "-c", VISIT, url)
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)


def test_the_page_does_not_load_and_its_address_is_pasted(hosts: Hosts, terminal: Terminal) -> None:
    with logging_in_over_ssh(hosts, terminal) as running:
        last = last_address(hosts, running)
        assert "refused" in visit(hosts, last).stderr
        running.type(f"{last}&padding={'x' * 5000}\r")  # a terminal in canonical mode takes 4,095
        assert running.end() == 0, running.text
    assert "Logged in to" in running.text
    assert last.partition("?")[2] not in running.text
    assert terminal.run("token", hosts.url).code == 0


def test_the_command_that_is_shown_lets_the_page_load(hosts: Hosts, terminal: Terminal) -> None:
    with logging_in_over_ssh(hosts, terminal) as running:
        shown = re.search(r"^  ssh (-L .+?)\r?$", running.text, re.MULTILINE)
        assert shown, running.text
        tunnel = hosts.ssh("-N", *shlex.split(shown[1]))
        process = subprocess.Popen(tunnel, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            last = last_address(hosts, running)
            page = visit(hosts, last)
            end = time.monotonic() + PATIENCE
            while page.returncode and time.monotonic() < end:  # the tunnel is on its way
                page = visit(hosts, last)
            assert 'class="signed-in"' in page.stdout, page.stdout + page.stderr
        finally:
            process.kill()
            process.communicate()
        assert running.end() == 0, running.text
    assert "Logged in to" in running.text
