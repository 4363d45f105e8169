"""A terminal, and a demo server, for each test of the command; and both for less."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Helpers beside the tests: they are not installed, and no package.
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from hostile import World
from inside import Inside
from terminal import Terminal

from mcp_client_auth.testing import DemoServer, Settings


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[DemoServer]:
    """A running server; `parametrize("server", [Settings(…)], indirect=True)` sets it up."""
    settings: Settings = getattr(request, "param", Settings())
    with DemoServer(settings) as server:
        yield server


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """The command without a process of its own."""
    return Inside(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def lasting() -> Iterator[DemoServer]:
    with DemoServer() as server:
        yield server


@pytest.fixture
def shared(lasting: DemoServer) -> DemoServer:
    """A server for a whole file of tests: whoever stops it or changes it has one of his own."""
    lasting.clear_requests()
    return lasting


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world
