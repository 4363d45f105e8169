"""The interpreters of this machine that the package supports.

`PYTHONS` names them (paths or commands, separated as in `PATH`); otherwise it is every
`pythonX.Y` on `PATH`, and those of pyenv where that is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Final

from tests.support.python_path import ROOT

PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
_CLASSIFIER: Final = "Programming Language :: Python :: "
SUPPORTED: Final = tuple(
    line.removeprefix(_CLASSIFIER)
    for line in PROJECT["classifiers"]
    if line.startswith(_CLASSIFIER + "3.")
)
INSTALL: Final = "install it, or name it: PYTHONS=/path/to/python3.13:… (pyenv install 3.13)"


@cache
def pythons() -> dict[str, str]:
    """The path of an interpreter for each supported version that is here."""
    named = os.environ.get("PYTHONS", "").split(os.pathsep)
    found: dict[str, str] = {"{}.{}".format(*sys.version_info): sys.executable}
    for command in [*filter(None, named), *map("python{}".format, SUPPORTED), *_of_pyenv()]:
        path = shutil.which(command)
        version = _version(path) if path else ""
        if path and version in SUPPORTED:
            found.setdefault(version, path)
    return found


def _of_pyenv() -> list[str]:
    if not (pyenv := shutil.which("pyenv")):
        return []
    root = _said([pyenv, "root"])
    versions = sorted(_said([pyenv, "versions", "--bare"]).split(), reverse=True)
    return [str(Path(root) / "versions" / version / "bin" / "python") for version in versions]


def _version(path: str) -> str:
    """Empty for what does not run, as the shims of pyenv for a version that is not chosen."""
    return _said([path, "-c", "import sys; print('{}.{}'.format(*sys.version_info))"])


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
