"""What the benchmarks count is asserted here; what they time is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from counts import NEEDED, crowds, requests_of_logins


def test_no_request_is_needless(tmp_path: Path) -> None:
    assert requests_of_logins(tmp_path) == NEEDED


def test_one_expiry_is_one_refresh_in_every_crowd(tmp_path: Path) -> None:
    """In small; `tests/crowd` and the benchmarks themselves have them in full."""
    found = crowds(tmp_path, tasks=200, objects=5, processes=5)
    assert {kind: crowd.refreshes for kind, crowd in found.items()} == dict.fromkeys(found, 1)
    assert [(crowd.failures, crowd.logins) for crowd in found.values()] == [(0, 0)] * 3


def test_the_command_prints_its_table() -> None:
    command = [sys.executable, str(Path(__file__).with_name("run.py")), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 1), done.stderr  # a missed target is for people to judge
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) > 20
    assert all(
        " at most " in line or " at least " in line or " exactly " in line for line in lines[1:]
    )
