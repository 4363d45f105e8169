"""Each snippet of docs/testing.md is a test file beside the conftest.py of the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.python_path import ROOT

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "testing.md").read_text()
CONFTEST, *FILES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_snippets_of_the_page_pass(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for number, text in enumerate(FILES):
        (tmp_path / f"test_{number}.py").write_text(text)
    # a developer's own settings are not seen, and a warning is an error
    own = {"MCP_CLIENT_AUTH_ACCOUNT": "mine", "CI": "true", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "--strict-markers", "."]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    assert f"{''.join(FILES).count('def test_')} passed" in done.stdout
