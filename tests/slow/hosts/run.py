"""Walks a login's life in every MCP host, each in an environment of its own; prints the table.

    python -m tests.slow.hosts.run [HOST …] [--remove]

An environment is made where it is missing, in `.venv-hosts`; `--remove` deletes each after its
row. The exit status is 1 when a host lacks what docs/hosts.md promises of it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.slow.hosts.hosts import HOSTS, Host

ROOT = Path(__file__).resolve().parents[3]
COLUMNS = (
    "login",
    "second process",
    "token ends",
    "step-up",
    "two loops",
    "nobody in a call",
    "nobody at connect",
    "own messages",
    "slow person",
)
PROMISED = COLUMNS[:6]  # of the others each host makes what it makes
HERE = {"mcp2": "mcp", "fastmcp4": "fastmcp"}  # what the environment of the tests has, too
_PATIENCE = 900.0


def environment(host: Host) -> Path:
    """The interpreter of the host's environment, which is made if it is not there."""
    if host.name in HERE:
        importlib.metadata.version(HERE[host.name])
        return Path(sys.executable)
    if host.name == "mcp1" and (shared := ROOT / ".venv-sdk1" / "bin" / "python").exists():
        return shared
    place = ROOT / ".venv-hosts" / host.name
    python, ready = place / "bin" / "python", place / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        install = [str(python), "-m", "pip", "install", "-q", "-e", ".[demo]", *host.requirements]
        subprocess.run(install, check=True, cwd=ROOT, timeout=_PATIENCE)
        ready.touch()
    return python


def walk(host: Host, columns: Sequence[str]) -> dict[str, str]:
    """What came of each column; what is missing was never reached."""
    command = [str(environment(host)), "-m", "tests.slow.hosts.life", host.name, *columns]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "MCP_USE_ANONYMIZED_TELEMETRY": "false"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True, timeout=_PATIENCE
        )
        out = done.stdout
    except subprocess.TimeoutExpired as late:
        out = (late.stdout or b"").decode()
    lines = [json.loads(line) for line in out.splitlines() if line.startswith('["')]
    return {name: outcome for name, outcome, _ in lines}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="run.py")
    parser.add_argument("hosts", nargs="*", metavar="HOST", help="names (default: all)")
    parser.add_argument("--remove", action="store_true", help="delete each environment again")
    options = parser.parse_args(arguments)
    chosen = [host for host in HOSTS if not options.hosts or host.name in options.hosts]
    print(f"| host | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}", flush=True)
    failed = not chosen
    for host in chosen:
        try:
            outcome = walk(host, COLUMNS)
        except subprocess.SubprocessError as error:
            outcome = dict.fromkeys(COLUMNS, f"not installed: {type(error).__name__}")
        cells = [outcome.get(column, "never reached") for column in COLUMNS]
        print(f"| {host.shown} | {' | '.join(cells)} |", flush=True)
        failed |= any(outcome.get(column) != "ok" for column in PROMISED)
        if options.remove:
            shutil.rmtree(ROOT / ".venv-hosts" / host.name, ignore_errors=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
