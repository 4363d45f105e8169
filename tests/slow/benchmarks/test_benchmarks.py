"""What the benchmarks count is asserted here; what they time is not."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_client_auth import HttpTransport
from tests.slow.benchmarks.counts import NEEDED, crowds, requests_of_logins
from tests.slow.benchmarks.round_trips import Person, Unhurried, distance, ours
from tests.support.python_path import ROOT


def test_no_request_is_needless(tmp_path: Path) -> None:
    assert requests_of_logins(tmp_path) == NEEDED


def test_one_expiry_is_one_refresh_in_every_crowd(tmp_path: Path) -> None:
    """In small; `tests/slow/crowd` and the benchmarks themselves have them in full."""
    found = crowds(tmp_path, tasks=200, objects=5, processes=5)
    assert {kind: crowd.refreshes for kind, crowd in found.items()} == dict.fromkeys(found, 1)
    assert [(crowd.failures, crowd.logins) for crowd in found.values()] == [(0, 0)] * 3


@pytest.mark.parametrize("elsewhere", [False, True], ids=["one origin", "two"])
@pytest.mark.parametrize("ahead", [True, False], ids=["ahead", "not"])
def test_a_login_makes_one_connection_to_each_origin(
    tmp_path: Path, ahead: bool, elsewhere: bool
) -> None:
    """Beside the caller's own; and none that is not used."""
    made: list[str] = []

    class Watched(HttpTransport if ahead else Unhurried):  # type: ignore[misc]
        def __init__(self, url: str, **how: Any) -> None:
            super().__init__(url, on_tls=lambda url, _: made.append(url), **how)

    with distance(tmp_path / "far", 0.0, elsewhere=elsewhere) as there:
        person = Person(there.trusted, there.server.issuer)
        ours(there, person, Watched)
        person.close()
        assert made[0].startswith(there.server.url.removesuffix("/mcp"))
        assert [url.startswith(there.server.issuer) for url in made[1:]] == [True] * elsewhere


def test_the_network_charges_a_round_trip_for_each_handshake_and_each_answer(
    tmp_path: Path,
) -> None:
    """TCP, TLS and an answer are three; the next answer on that connection is one."""
    rtt = 0.1
    with (
        distance(tmp_path / "far", rtt, elsewhere=False) as there,
        httpx.Client(verify=there.trusted, trust_env=False) as client,
    ):
        for trips in (3, 1):
            began = time.perf_counter()
            client.get(there.server.issuer)
            assert time.perf_counter() - began >= trips * rtt


def test_the_command_prints_its_table() -> None:
    command = [sys.executable, "-m", "tests.slow.benchmarks.run", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode in (0, 1), done.stderr  # a missed target is for people to judge
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) > 20
    assert all(
        " at most " in line or " at least " in line or " exactly " in line for line in lines[1:]
    )


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read there")
def test_the_bridges_are_compared_and_ours_is_small() -> None:
    command = [sys.executable, "-m", "tests.slow.benchmarks.bridges", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1), done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("mcp-login bridge") for line in lines)
    (memory,) = [line for line in lines if "memory of the bridge" in line]
    assert "MISSED" not in memory
