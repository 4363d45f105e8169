"""How many branches of each module the unit tests take: `python -m tests.coverage [ROOM …]`.

A module's line: branches taken, branches there are, and in percent; `-` where there is none.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.python_path import ROOT


def measured(rooms: list[str]) -> dict[str, Any]:
    """The report of coverage.py; the tests of the rooms must pass."""
    places = [f"tests/unit/{room}" for room in rooms] or ["tests/unit"]
    sources = [f"mcp_client_auth/{room}" for room in rooms] or ["mcp_client_auth"]
    with tempfile.TemporaryDirectory() as scratch:
        data, report = Path(scratch) / "data", Path(scratch) / "report.json"
        coverage = [sys.executable, "-m", "coverage"]
        measure = ["run", f"--data-file={data}", "--branch", f"--source={','.join(sources)}"]
        tests = ["-m", "pytest", "-q", "-m", "not slow", *places]
        subprocess.run([*coverage, *measure, *tests], cwd=ROOT, check=True)
        write = ["json", f"--data-file={data}", "-q", "-o", str(report)]
        subprocess.run([*coverage, *write], cwd=ROOT, check=True)
        found: dict[str, Any] = json.loads(report.read_text())
        return found


def line(name: str, summary: dict[str, int]) -> str:
    taken, all_of_them = summary["covered_branches"], summary["num_branches"]
    share = f"{100 * taken / all_of_them:4.0f} %" if all_of_them else "     -"
    return f"{name:44} {taken:5} {all_of_them:5} {share}"


def main() -> int:
    report = measured(sys.argv[1:])
    for name, module in sorted(report["files"].items()):
        if module["summary"]["num_statements"]:
            print(line(name.removeprefix("mcp_client_auth/"), module["summary"]))
    print(line("all", report["totals"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
