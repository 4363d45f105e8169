"""The page about notebooks: its snippets run in a real kernel, and end as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mcp_client_auth.testing import DemoServer, ScriptedBrowser
from tests.support.kernels import kernel
from tests.support.python_path import ROOT

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "notebooks.md").read_text()
FIRST, SECOND = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLE = "https://mcp.example.com/mcp"


def test_the_snippets_run_in_a_kernel_as_they_stand(
    isolated_home: Path, server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", "file")
    browser = ScriptedBrowser()
    with kernel() as running:
        first = running.run(
            FIRST.replace(EXAMPLE, server.url), on_box=lambda cell: browser(cell.page)
        )
        second = running.run(SECOND.replace(EXAMPLE, server.url))
    assert (first.error, second.error, second.boxes) == ("", "", [])
    assert second.result == "{'Authorization': '****'}"
    assert f"# {second.result}" in SECOND
