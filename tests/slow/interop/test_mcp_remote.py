"""A login made by the real mcp-remote, and taken over from it."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from mcp_client_auth.cli.mcp_remote_words import KNOWN
from mcp_client_auth.cli.verbs.bridge import command as bridge
from mcp_client_auth.testing import DemoServer, ScriptedBrowser
from tests.slow.interop.person import Person
from tests.slow.interop.processes import COMMAND, at_most, install_line, node_modules
from tests.support.ports import free_port

NOBODY = f"{shlex.quote(sys.executable)} -c pass"  # a browser that opens and stays blank


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer() as server:
        yield server


@functools.cache
def port_of(cache: Path) -> int:
    """The one that it derives from the URL may be taken, and the address that it shows stale."""
    return free_port()


def mcp_remote(cache: Path, url: str, *arguments: str) -> None:
    """Its own client: it signs in, connects, lists the tools and ends with its standard input."""
    node, script = shutil.which("node"), node_modules() / "mcp-remote" / "dist" / "client.js"
    if node is None or not script.exists():
        pytest.skip(f"Node and mcp-remote are needed: {install_line()}")
    process = subprocess.Popen(
        [node, str(script), url, str(port_of(cache)), *arguments],
        env={**os.environ, "MCP_REMOTE_CONFIG_DIR": str(cache), "BROWSER": NOBODY},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with at_most(COMMAND, process):
        said = _signed_in(process.stdout or ())
        assert process.wait() == 0, said


def _signed_in(lines: Iterable[str]) -> str:
    """Visits the address when there is somebody to come back to: it is shown before that."""
    said, address, listening, browser = "", "", False, ScriptedBrowser()
    for line in lines:
        said += line
        address = line.strip() if "/authorize?" in line and line.startswith("http") else address
        listening = listening or "callback server running" in line
        if address and listening and not browser.visits:
            browser.visit(address)
    return said


def tokens_file(cache: Path) -> Path:
    (found,) = cache.rglob("*_tokens.json")
    return found


@pytest.fixture
def cache(person: Person) -> Path:
    cache = person.home / "cache"
    person.extra = {"MCP_REMOTE_CONFIG_DIR": str(cache), "HOME": str(person.home)}
    return cache


def take_over(person: Person, *arguments: str) -> str:
    answer = person.mcp_login("import", "--yes", "--store", "file", *arguments)
    assert answer.code == 0, answer.err
    return answer.err


def test_a_login_is_taken_over_with_what_its_cache_records(
    person: Person, server: DemoServer, cache: Path
) -> None:
    mcp_remote(cache, server.url)
    before = tokens_file(cache).read_bytes()
    assert "renews automatically" in take_over(person, server.url)
    assert person.token(server.url) == json.loads(before)["access_token"]
    assert tokens_file(cache).read_bytes() == before
    assert server.count("/register") == 1  # mcp-remote's own


def test_a_login_that_it_has_refreshed_early_is_still_renewable(
    person: Person, server: DemoServer, cache: Path
) -> None:
    mcp_remote(cache, server.url)
    file = tokens_file(cache)
    file.write_text(json.dumps({**json.loads(file.read_text()), "expires_at": 1}))
    mcp_remote(cache, server.url)
    assert server.token_requests("refresh_token") == 1
    assert "issuer" not in json.loads(file.read_text())
    assert "renews automatically" in take_over(person, server.url)


def test_how_it_was_started_is_read_out_of_a_configuration(
    person: Person, server: DemoServer, cache: Path
) -> None:
    options = ["--resource", server.url, "--header", "X-Tenant: a", "--authorize-param", "ui=b"]
    mcp_remote(cache, server.url, *options)
    entry = {"command": "npx", "args": ["-y", "mcp-remote", server.url, *options]}
    (person.home / ".claude.json").write_text(json.dumps({"mcpServers": {"notes": entry}}))
    assert "renews automatically" in take_over(person)


def test_its_debug_log_names_the_server(person: Person, server: DemoServer, cache: Path) -> None:
    mcp_remote(cache, server.url, "--debug")
    assert f"Imported the login to {server.url}" in take_over(person)


def test_each_option_that_it_reads_is_known_to_the_bridge() -> None:
    program = node_modules() / "mcp-remote" / "dist"
    if not program.is_dir():
        pytest.skip(f"mcp-remote is needed: {install_line()}")
    texts = [file.read_text("utf-8") for file in program.glob("*.js")]
    theirs = {flag for text in texts for flag in re.findall(r'"(--[a-z][a-z0-9-]+)"', text)}
    assert "--static-oauth-client-info" in theirs
    ours = {name for each in bridge.params for name in each.opts} | {"--help", "--version"}
    assert theirs - KNOWN - ours == set()
