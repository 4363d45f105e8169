"""The short form of the soak: the hour of it is `python -m tests.slow.crowd.soak 60`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.slow.crowd.soak import Soak

SECONDS = 40.0


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc and forks a server")
def test_processes_that_are_killed_at_servers_in_trouble_lose_nothing(tmp_path: Path) -> None:
    before = os.environ["MCP_CLIENT_AUTH_HOME"]
    try:
        report = Soak(tmp_path / "home", processes=20, servers=3, seed=1).run(SECONDS)
    finally:
        os.environ["MCP_CLIENT_AUTH_HOME"] = before
    assert report.wrong == [], "\n".join(report.lines())
    assert report.killed > 5
    assert report.spurious > 5
    assert report.refreshes > 10
