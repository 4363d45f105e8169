"""Starts and ends the processes of these tests: servers, the command, a program that uses it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.slow.interop import warm
from tests.slow.interop.warm import Warm
from tests.support.python_path import ROOT, search_path

HERE = Path(__file__).parent
HOST = "127.0.0.1"
START, STOP, COMMAND = 30.0, 5.0, 60.0


class NotStarted(Exception):
    """A server ended or kept silent instead of saying that it listens."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a process ended."""

    code: int
    out: str
    err: str


def node_modules() -> Path:
    given = os.environ.get("MCP_CLIENT_AUTH_NODE_MODULES")
    return Path(given) if given else ROOT / "node_modules"


def install_line() -> str:
    lists = "tests/slow/conformance/pins.txt tests/slow/interop/pins.txt"
    return f"npm install --no-save --no-package-lock --prefix . $(cat {lists})"


@contextmanager
def server(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """A running server's address; its process group is gone on the way out."""
    with tempfile.NamedTemporaryFile("r") as errors:
        process = _started(arguments, environment, Path(errors.name))
        try:
            line = _first_line(process)
            if not line:
                raise NotStarted(f"{arguments}: {errors.read()[-2000:]}")
            yield str(json.loads(line)["url"])
        finally:
            _stop(process)


@contextmanager
def at_most(seconds: float, process: subprocess.Popen[Any]) -> Iterator[None]:
    """Kill it then, and on the way out, and close its pipes."""
    too_late = threading.Timer(seconds, process.kill)
    too_late.start()
    try:
        yield
    finally:
        too_late.cancel()
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                with suppress(OSError):  # what was still to be written goes nowhere
                    pipe.close()


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    heard: Callable[[str], None] | None = None,
) -> Answer:
    """A process to its end; one that does not end in time is killed with all it started.

    `heard` gets each line of its stderr as it comes.
    """
    with subprocess.Popen(
        arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        too_late = threading.Timer(COMMAND, lambda: _signal(process, _KILL))
        too_late.start()
        try:
            told = _listened(process, heard) if heard else ""
            out, err = process.communicate()
        finally:
            too_late.cancel()
        return Answer(process.returncode, out, told + err)


def run_script(arguments: Sequence[str], environment: Mapping[str, str]) -> Answer:
    """A Python script that loads the SDK or FastMCP, to its end."""
    if not warm.POSSIBLE:
        return run([sys.executable, *arguments], environment)
    with tempfile.NamedTemporaryFile("r") as errors:
        process = Warm(arguments, environment, Path(errors.name))
        too_late = threading.Timer(COMMAND, lambda: _signal(process, _KILL))
        too_late.start()
        try:
            with process.stdout:
                out = process.stdout.read()
            return Answer(process.wait(COMMAND), out, errors.read())
        finally:
            too_late.cancel()


def _listened(process: subprocess.Popen[str], heard: Callable[[str], None]) -> str:
    """All of its stderr; its stdout has to be short."""
    told = ""
    for line in process.stderr or ():
        heard(line)
        told += line
    return told


def command(*arguments: str) -> list[str]:
    """`mcp-login` as it is installed beside this Python, else from the checkout."""
    installed = shutil.which("mcp-login", path=str(Path(sys.executable).parent))
    if installed:
        return [installed, *arguments]
    start = "import sys; sys.argv[0] = 'mcp-login'; from mcp_client_auth.cli import main; main()"
    return [sys.executable, "-c", start, *arguments]


_KILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)


def _started(
    arguments: Sequence[str], environment: Mapping[str, str] | None, errors: Path
) -> subprocess.Popen[str] | Warm:
    environment = {**(environment or os.environ), "PYTHONPATH": search_path()}
    python, *script = arguments
    if python == sys.executable and warm.POSSIBLE:
        return Warm(script, environment, errors)
    with errors.open("w") as stderr:
        return subprocess.Popen(
            arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )


def _first_line(process: subprocess.Popen[str] | Warm) -> str:
    too_late = threading.Timer(START, process.kill)
    too_late.start()
    try:
        return process.stdout.readline() if process.stdout else ""
    finally:
        too_late.cancel()
        too_late.join()


def _stop(process: subprocess.Popen[str] | Warm) -> None:
    _signal(process, signal.SIGTERM)
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        _signal(process, _KILL)
        process.wait(STOP)
    if process.stdout:
        process.stdout.close()


def _signal(process: subprocess.Popen[str] | Warm, number: int) -> None:
    if not hasattr(os, "killpg"):
        os.kill(process.pid, number)
        return
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
