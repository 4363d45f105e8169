"""What the mark of the plugin is given is heeded or refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from mcp_client_auth.testing import DemoServer, Settings, plugin


def started(request: pytest.FixtureRequest, home: Path, *marks: pytest.MarkDecorator) -> Any:
    for mark in marks:
        request.node.add_marker(mark)
    fixture = cast("Any", plugin.mcp_auth_server).__wrapped__
    servers: Iterator[DemoServer] = fixture(request, home)
    return servers


def test_settings_in_a_place_are_refused(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    mark = pytest.mark.mcp_auth_server(Settings(dpop="required"))
    with pytest.raises(TypeError, match="by their names"):
        next(started(request, tmp_path, mark))


@pytest.mark.mcp_auth_server(dpop="required")
def test_settings_by_name_are_heeded(mcp_auth_server: DemoServer) -> None:
    assert mcp_auth_server.settings.dpop == "required"
