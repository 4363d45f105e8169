"""Programs that start their servers as commands, each through the bridge to a server of its own:
what they list, call, are asked, told of and cancel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth.testing import DemoServer, Settings
from tests.slow.interop import processes
from tests.slow.interop.processes import HERE, install_line, node_modules
from tests.support.ports import free_port
from tests.support.python_path import ROOT, search_path
from tests.support.terminal import PATIENCE, Terminal, command

Words = Callable[[], list[str]]
BRIDGED = HERE / "bridged"
SDK1 = ROOT / ".venv-sdk1" / "bin" / "python"
TOOLS = ["add", "ask", "endings", "hang", "large", "talk"]
SEEN = {
    "server": True,
    "sum": "-3",
    "large": 1_000_000,
    "talk": "told",
    "asked": "blue",
    "ended": "1",
    "progress": [1, 2],
}


def node(*script: str) -> list[str]:
    found = shutil.which("node")
    if found is None or not (node_modules() / "@modelcontextprotocol" / "inspector").exists():
        pytest.skip(f"Node and packages are needed: {install_line()}")
    return [found, *script]


def sdk1(script: str) -> list[str]:
    if not SDK1.exists():
        pytest.skip(f"the SDK 1.x is needed in {SDK1.parents[1].name}")
    return [str(SDK1), str(BRIDGED / script)]


def python(script: str) -> list[str]:
    return [sys.executable, str(BRIDGED / script)]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@contextmanager
def serving(words: Sequence[str]) -> Iterator[str]:
    environment = {**os.environ, "PYTHONPATH": search_path(ROOT)}
    with processes.server([*words, str(free_port())], environment) as url:
        yield url


def run(terminal: Terminal, *words: str) -> Any:
    environment = {**terminal.environment, "PYTHONPATH": search_path(ROOT)}
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PAIRS: dict[str, tuple[Words, Words]] = {
    "SDK 1.x to the SDK's server": (
        lambda: sdk1("host_sdk.py"),
        lambda: [*python("server.py"), "sdk"],
    ),
    "SDK 2.x to FastMCP": (
        lambda: python("host_sdk.py"),
        lambda: [*python("server.py"), "fastmcp"],
    ),
    "SDK 2.x to HTTP+SSE of the SDK 1.x": (
        lambda: python("host_sdk.py"),
        lambda: [*sdk1("server.py"), "sdk-sse"],
    ),
    "FastMCP to HTTP+SSE of FastMCP": (
        lambda: python("host_fastmcp.py"),
        lambda: [*python("server.py"), "fastmcp-sse"],
    ),
    "TypeScript to TypeScript": (
        lambda: node(str(BRIDGED / "host.mjs")),
        lambda: node(str(BRIDGED / "server.mjs")),
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_a_host_does_through_the_bridge_all_that_it_does(terminal: Terminal, pair: str) -> None:
    host, server = PAIRS[pair]
    with serving(server()) as url:
        seen = run(terminal, *host(), *command("bridge", url))
    tools, polled = seen.pop("tools"), seen.pop("poll", "")
    assert seen == SEEN
    assert set(tools) >= {*TOOLS}
    assert polled == ("polled" if "sse" not in pair.lower() and "FastMCP" not in pair else "")


def test_the_inspectors_command_line_lists_and_calls(terminal: Terminal) -> None:
    """It hands few variables of its own environment to the servers that it starts."""
    package = node_modules() / "@modelcontextprotocol" / "inspector"
    inspector = node(str(package / "clients" / "launcher" / "build" / "index.js"), "--cli")
    with DemoServer(Settings(sessions=True)) as server:
        terminal.log_in(server.url)
        names = ("MCP_CLIENT_AUTH_HOME", "MCP_CLIENT_AUTH_STORAGE", "PYTHONPATH")
        given = [word for name in names for word in ("-e", f"{name}={terminal.environment[name]}")]
        inspector += [*command("bridge", server.url), *given, "--method"]
        listed = run(terminal, *inspector, "tools/list")
        called = run(terminal, *inspector, "tools/call", "--tool-name", "whoami")
    assert {tool["name"] for tool in listed["tools"]} >= {"whoami", "list_notes"}
    assert called["content"][0]["text"]
