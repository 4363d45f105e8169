"""Twenty users begin in one process of a web application and finish in another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from mcp_client_auth import FileStorage
from mcp_client_auth.testing import DemoServer
from tests.support.app_browser import AppBrowser
from tests.support.python_path import ROOT

USERS = [f"user {number}" for number in range(20)]


def process(way: str, place: Path | str, url: str, told: Any) -> list[str]:
    """One that begins, does what it is told, and ends."""
    script = str(ROOT / "tests" / "support" / "web_process.py")
    done = subprocess.run(
        [sys.executable, script, way, str(place), url],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    answer: list[str] = json.loads(done.stdout)
    return answer


def test_twenty_users_begin_in_one_process_and_finish_in_another(
    server: DemoServer, tmp_path: Path
) -> None:
    pages = process("begin", tmp_path, server.url, USERS)
    callbacks = [AppBrowser().sign_in(page) for page in pages]
    wrong = [*USERS[1:], "nobody"]  # each brings the response to the sign-in of their neighbour
    stolen = process("finish", tmp_path, server.url, list(zip(wrong, callbacks, strict=True)))
    assert stolen == ["not_this_login"] * 20
    own = list(zip(USERS, callbacks, strict=True))
    assert process("finish", tmp_path, server.url, own) == ["done"] * 20
    assert process("finish", tmp_path, server.url, own) == ["spent"] * 20
    assert len(FileStorage(tmp_path).list()) == 20
    assert server.count("/register") == 1
    assert server.token_requests("authorization_code") == 20
    assert not list(tmp_path.glob("*.pending"))
