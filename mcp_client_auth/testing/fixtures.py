"""pytest fixtures: `pytest_plugins = ["mcp_client_auth.testing.fixtures"]`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .browser import ScriptedBrowser
from .server import DemoServer
from .settings import Settings


@pytest.fixture
def mcp_server(request: pytest.FixtureRequest) -> Iterator[DemoServer]:
    """A running server; `parametrize("mcp_server", [Settings(…)], indirect=True)` sets it up."""
    settings: Settings = getattr(request, "param", Settings())
    with DemoServer(settings) as server:
        yield server


@pytest.fixture
def scripted_browser() -> Iterator[ScriptedBrowser]:
    """A person who allows everything."""
    browser = ScriptedBrowser()
    yield browser
    browser.join(5)
