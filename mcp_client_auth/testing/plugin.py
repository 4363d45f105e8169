"""A pytest plugin for programs that embed the library.

`pytest_plugins = ["mcp_client_auth.testing.plugin"]` in the root `conftest.py`; nothing is
started before a test asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .browser import ScriptedBrowser
from .server import DemoServer
from .settings import Settings

_MARK = "mcp_auth_server"
_END = 60.0


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{_MARK}(**settings): how the server of this fixture behaves, as `Settings`"
    )


@pytest.fixture
def mcp_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where logins are stored, as files; the machine's own logins are neither seen nor touched."""
    for name in [name for name in os.environ if name.startswith("MCP_CLIENT_AUTH_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "mcp-client-auth"
    monkeypatch.setenv("MCP_CLIENT_AUTH_HOME", str(home))
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", "file")
    return home


@pytest.fixture
def mcp_auth_server(request: pytest.FixtureRequest, mcp_home: Path) -> Iterator[DemoServer]:
    """An MCP server and its authorization server; `@pytest.mark.mcp_auth_server(dpop="required")`
    or `parametrize("mcp_auth_server", [Settings(…)], indirect=True)` sets them up."""
    settings: Settings | None = getattr(request, "param", None)
    if settings is None:
        given = list(request.node.iter_markers(_MARK))
        if any(mark.args for mark in given):
            raise TypeError(f'{_MARK} takes settings by their names: {_MARK}(dpop="required")')
        marks = [mark.kwargs for mark in given]
        settings = Settings(**{name: mark[name] for mark in reversed(marks) for name in mark})
    with DemoServer(settings) as server:
        yield server


@pytest.fixture
def mcp_person(mcp_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedBrowser]:
    """A person at a browser, who allows every login of this process until `decision` is set."""
    person = ScriptedBrowser()
    monkeypatch.setattr("mcp_client_auth.prompt.open_browser.can_open", lambda *_: True)
    monkeypatch.setattr("mcp_client_auth.prompt.open_browser.open_url", person)
    yield person
    person.decision = "ignore"  # no one has decided by now
    assert person.join(_END), "the browser is still open"
