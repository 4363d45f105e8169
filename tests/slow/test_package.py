"""The built wheel is what is tested: installed alone, it has the command and its demo."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from tests.support.python_path import ROOT


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_wheel_runs_the_demo(tmp_path: Path) -> None:
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", str(ROOT))
    run(*build, "--outdir", str(tmp_path))
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "mcp_client_auth/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "examples"))]

    venv.create(tmp_path / "venv", with_pip=True)
    home = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    run(str(home / "python"), "-m", "pip", "install", "-q", f"{wheel}[demo]")
    shown = run(str(home / "mcp-login"), "demo", "--no-browser")
    assert "15  answer" in shown
    assert "notes:read" in shown
    assert "mcp-login 0." in run(str(home / "mcp-login"), "--version")
