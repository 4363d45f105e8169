"""Every test has a home of its own and no browser but the one that it names."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def isolated_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "mcp-client-auth"
    monkeypatch.setenv("MCP_CLIENT_AUTH_HOME", str(home))
    for name in ("BROWSER", "CI", "DISPLAY", "WAYLAND_DISPLAY", "MCP_CLIENT_AUTH_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    return home
