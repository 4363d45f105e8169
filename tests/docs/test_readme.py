"""Every command of the README runs as it stands, except for the server's address.

Its Python snippets run with those of the other pages: `test_snippets.py`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_client_auth.testing import DemoServer, Settings
from tests.support.documents import EXAMPLE, page
from tests.support.python_path import ROOT

pytestmark = pytest.mark.slow

SHELL = [line for text in page("README.md").blocks("sh") for line in text.splitlines()]
FROM_NOTHING = [line for line in SHELL if line.startswith("python3 -m venv")]


@pytest.fixture
def environment(isolated_home: Path) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    browser = f"{sys.executable} -m mcp_client_auth.testing.browser"
    return {
        **os.environ,
        "PATH": path,
        "BROWSER": browser,
        "MCP_CLIENT_AUTH_STORAGE": "file",
        "MCP_CLIENT_AUTH_HOME": str(isolated_home),
    }


def run(command: list[str], environment: dict[str, str], cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SESSIONS = pytest.mark.parametrize("sessions", [False, True], ids=["no sessions", "sessions"])


@SESSIONS
def test_the_commands_run_one_after_the_other(sessions: bool, environment: dict[str, str]) -> None:
    commands = [line for line in SHELL if line not in FROM_NOTHING]
    assert len(commands) == 7
    with DemoServer(Settings(sessions=sessions)) as server:
        script = "set -e\n" + "\n".join(commands).replace(EXAMPLE, server.url)
        out = run(["bash", "-c", script], environment)
        assert server.url in out
        assert "add_note text=STRING" in out
        assert '{"login_name": "Ada"' in out
        statuses = [r.status for r in server.requests if r.path == "/mcp"]
        # a session begins once the first request shows that the server requires one, and ends
        session = ([400, 200, 202], [200]) if sessions else ([], [])
        listed, called = ([*session[0], *[200] * n, *session[1]] for n in (1, 2))
        # the login's two, those of `tools` and `call`, curl's GET, and that of the check
        assert statuses == [401, 200, *listed, *called, 405, 200]


def test_the_demo_runs_from_nothing_but_the_tracked_files(tmp_path: Path) -> None:
    demo, tests = FROM_NOTHING
    assert demo.endswith("mcp-login demo")
    assert tests.endswith("pytest")  # `.ci/run` takes this line from the README and runs it
    here = tmp_path / "checkout"
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).exists():
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, here / name)
    bare = {k: os.environ[k] for k in os.environ if k.startswith(("PATH", "PIP_", "SSL_", "HOME"))}
    assert "notes:read" in run(["bash", "-c", demo], bare, here)
