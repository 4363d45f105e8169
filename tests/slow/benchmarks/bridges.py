"""Bridges side by side: `python -m tests.slow.benchmarks.bridges` (`--quick` for a look).

`mcp-login bridge`, mcp-remote, and fastmcp-remote where `--fastmcp-remote PATH` names it, between
the official SDK's client and one demo server; beside them that client alone. Each has its login
stored before, but fastmcp-remote, which gets a token. Exit code 1 when a target was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO

import anyio
import httpx2
import mcp
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from tests.slow.benchmarks.run import Row, ms, page
from tests.slow.interop.processes import node_modules
from tests.slow.interop.test_mcp_remote import mcp_remote
from tests.support.python_path import LEAN, ROOT, search_path
from tests.support.terminal import Terminal, command

INITIALIZE: Final = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "host", "version": "1"},
}
OURS, DIRECT = "mcp-login bridge", "no bridge"
MOST_MB: Final = 45
MOST_ADDED: Final = 1.1
PARALLEL: Final = 100
PATIENCE: Final = 120


@dataclass(frozen=True, slots=True)
class Bridge:
    """How it is started."""

    name: str
    words: tuple[str, ...]
    environment: Mapping[str, str]

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        """With a session begun."""
        pipe = subprocess.PIPE
        with subprocess.Popen(
            self.words, env=self.environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
        ) as process:
            try:
                say(process, {"id": 0, "method": "initialize", "params": INITIALIZE})
                assert "result" in hear(process), self.name
                yield process
            finally:
                process.kill()

    def transport(self, log: TextIO) -> Any:
        command, *words = self.words
        how = StdioServerParameters(command=command, args=words, env={**self.environment})
        return stdio_client(how, errlog=log)


@dataclass(slots=True)
class Figures:
    """`starts` and `calls` in seconds, `spent` in those of CPU until the session had begun;
    `memory` in MB, after the calls."""

    starts: list[float] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def say(process: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    assert process.stdin
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The next response."""
    assert process.stdout
    for line in process.stdout:
        message = json.loads(line)
        if "method" not in message:
            assert isinstance(message, dict)
            return message
    raise EOFError


def spent(process: subprocess.Popen[bytes]) -> float:
    """Its CPU time by now, in seconds."""
    times = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def resident(process: subprocess.Popen[bytes]) -> float:
    """Its memory, in MB."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def start(bridge: Bridge, figures: Figures) -> None:
    began = time.perf_counter()
    with bridge.started() as process:
        figures.starts.append(time.perf_counter() - began)
        figures.spent.append(spent(process))


def remember(bridge: Bridge, figures: Figures) -> None:
    """The memory after a hundred calls at once, after a hundred one after the other."""
    with bridge.started() as process:
        say(process, {"method": "notifications/initialized"})
        call = {"name": "whoami", "arguments": {}}
        for number in range(1, 101):
            say(process, {"id": number, "method": "tools/call", "params": call})
            assert hear(process)["result"]
        for number in range(101, 101 + PARALLEL):
            say(process, {"id": number, "method": "tools/call", "params": call})
        for _ in range(PARALLEL):
            assert hear(process)["result"]
        figures.memory.append(resident(process))


async def calls(
    url: str,
    token: str,
    bridges: list[Bridge],
    found: dict[str, Figures],
    rounds: int,
    silent: TextIO,
) -> None:
    """Call by call, in alternation; then a hundred at once that take 0.2 s each."""
    async with AsyncExitStack() as stack:
        headers = {"Authorization": f"Bearer {token}"}
        http = await stack.enter_async_context(
            httpx2.AsyncClient(headers=headers, timeout=PATIENCE, trust_env=False)
        )
        clients: dict[str, Any] = {
            DIRECT: mcp.Client(streamable_http_client(url, http_client=http), mode="legacy")
        }
        for bridge in bridges:
            clients[bridge.name] = mcp.Client(bridge.transport(silent), mode="legacy")
        for client in clients.values():
            await stack.enter_async_context(client)
            for _ in range(20):
                await client.call_tool("whoami", {})
        order = [*clients]
        for turn in range(rounds):
            for name in order[:: 1 if turn % 2 else -1]:
                began = time.perf_counter()
                await clients[name].call_tool("whoami", {})
                found[name].calls.append(time.perf_counter() - began)
        for name, client in clients.items():
            began = time.perf_counter()
            async with anyio.create_task_group() as group:
                for _ in range(PARALLEL):
                    group.start_soon(client.call_tool, "slow", {"seconds": 0.2})
            found[name].together.append(time.perf_counter() - began)


@contextmanager
def demo() -> Iterator[str]:
    words = [sys.executable, "-m", "mcp_client_auth.testing", "--sessions"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()


def known(url: str, home: Path, fastmcp_remote: str) -> tuple[list[Bridge], str]:
    """The bridges that are here, each with a login, and a token."""
    terminal = Terminal(home)
    terminal.log_in(url)
    token = terminal.run("token", url).out.strip()
    lean = {**terminal.environment, "PYTHONPATH": search_path(ROOT, LEAN)}
    bridges = [Bridge(OURS, tuple(command("bridge", url)), lean)]
    node, script = shutil.which("node"), node_modules() / "mcp-remote" / "dist" / "proxy.js"
    if node and script.exists():
        mcp_remote(home / "cache", url)
        environment = {**os.environ, "MCP_REMOTE_CONFIG_DIR": str(home / "cache")}
        bridges.append(Bridge("mcp-remote", (node, str(script), url), environment))
    if fastmcp_remote:
        words = (
            fastmcp_remote,
            url,
            "--auth",
            "none",
            "--header",
            f"Authorization: Bearer {token}",
        )
        bridges.append(Bridge("fastmcp-remote", words, {**os.environ, "HOME": str(home)}))
    return bridges, token


def measured(bridges: list[Bridge], token: str, url: str, quick: bool) -> dict[str, Figures]:
    found = {name: Figures() for name in (DIRECT, *(each.name for each in bridges))}
    for turn in range(2 if quick else 11):
        for bridge in bridges[:: 1 if turn % 2 else -1]:
            start(bridge, found[bridge.name])
    for bridge in bridges:
        remember(bridge, found[bridge.name])
    with open(os.devnull, "w") as silent:
        anyio.run(partial(calls, url, token, bridges, found, 10 if quick else 300, silent))
    return found


def table(found: dict[str, Figures]) -> str:
    """All that was measured: medians, and of CPU time the least."""
    lines = [
        f"{'':18}{'start':>10}{'CPU of it':>10}{'a call':>10}{'100 at once':>13}{'memory':>10}"
    ]
    for name, figures in found.items():
        cells: list[tuple[list[float], Callable[[list[float]], str]]] = [
            (figures.starts, lambda each: ms(statistics.median(each))),
            (figures.spent, lambda each: ms(min(each))),
            (figures.calls, lambda each: ms(statistics.median(each))),
            (figures.together, lambda each: ms(statistics.median(each))),
            (figures.memory, lambda each: f"{max(each):.0f} MB"),
        ]
        texts = [shown(each) if each else "" for each, shown in cells]
        widths = (10, 10, 10, 13, 10)
        lines.append(
            f"{name:18}" + "".join(f"{t:>{w}}" for t, w in zip(texts, widths, strict=True))
        )
    return "\n".join(lines)


def rows(found: dict[str, Figures]) -> list[Row]:
    ours, direct = found[OURS], found[DIRECT]
    mine, base = statistics.median(ours.calls), statistics.median(direct.calls)
    judged = [
        Row("a call through the bridge / without", ms(mine), ms(base), mine / base, MOST_ADDED),
        Row("memory of the bridge, in MB", f"{ours.memory[0]:.1f} MB", "", ours.memory[0], MOST_MB),
    ]
    if remote := found.get("mcp-remote"):
        mine, base = statistics.median(ours.starts), statistics.median(remote.starts)
        judged.append(Row("start to a session / mcp-remote's", ms(mine), ms(base), mine / base, 1))
        mine, base = ours.together[0], remote.together[0]
        what = f"{PARALLEL} calls at once / through mcp-remote"
        judged.append(Row(what, ms(mine), ms(base), mine / base, 1))
    return judged


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--fastmcp-remote", default="", metavar="PATH", help="its command")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, demo() as url:
        bridges, token = known(url, Path(home), options.fastmcp_remote)
        found = measured(bridges, token, url, options.quick)
    print(table(found) + "\n\n" + page(judged := rows(found)))
    return 0 if all(row.met for row in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
