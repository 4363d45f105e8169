"""What the user of each MCP host sees when a login is lost in the middle of a connection."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPT = Path(__file__).parent / "host.py"
SDK1 = os.environ.get("MCP_CLIENT_AUTH_SDK1_PYTHON", str(ROOT / ".venv-sdk1" / "bin" / "python"))
INSTALL = "python3 -m venv .venv-sdk1 && .venv-sdk1/bin/pip install -e '.[demo]' 'mcp<2'"
NAMES = {"sdk1": "official SDK 1.x", "sdk2": "official SDK 2.x", "fastmcp": "FastMCP 4.2"}

# host, mode, the call without a login, the call after a login elsewhere, leaving the connection
SEEN = [
    ("sdk2", "raise", "CancelledError", "MCPError", "LoginRequired"),
    ("sdk2", "response", "MCPError", "ok", "ok"),
    ("fastmcp", "raise", "MCPError", "LoginRequired", "LoginRequired"),
    ("fastmcp", "response", "MCPError", "ok", "ok"),
    ("sdk1", "raise", "CancelledError", "CancelledError", "LoginRequired"),
    ("sdk1", "response", "CancelledError", "CancelledError", "HTTPStatusError"),
]


@pytest.mark.parametrize(("host", "mode", "without", "after", "leaving"), SEEN)
def test_a_host_shows_a_lost_login(
    host: str, mode: str, without: str, after: str, leaving: str
) -> None:
    python = SDK1 if host == "sdk1" else sys.executable
    if not Path(python).exists():
        pytest.skip(f"the SDK 1.x wants a virtual environment of its own: {INSTALL}")
    command = [python, str(SCRIPT), host, mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"first": "ok", "second": without, "third": after, "ended": leaving}


def test_the_readme_has_the_same_table() -> None:
    readme = (ROOT / "README.md").read_text()
    for host, mode, *seen in SEEN:
        cells = ["works" if cell == "ok" else f"`{cell}`" for cell in seen]
        assert f"| {NAMES[host]} | `{mode}` | {' | '.join(cells)} |" in readme
