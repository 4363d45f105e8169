"""A terminal, and a demo server, for each test of the command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Helpers beside the tests: they are not installed, and no package.
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

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
