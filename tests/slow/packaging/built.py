"""The sdist and the wheel as they are released, and a virtual environment with what was built."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.version import Version

from tests.slow.packaging.pythons import PROJECT
from tests.support.python_path import ROOT

EPOCH: Final = "1700000000"  # any time, so that no build has its own
_PIP: Final = (sys.executable, "-m", "pip", "--disable-pip-version-check")


@dataclass(frozen=True, slots=True)
class Built:
    sdist: Path
    wheel: Path

    @property
    def files(self) -> tuple[Path, Path]:
        return self.sdist, self.wheel


@dataclass(frozen=True, slots=True)
class Installed:
    """A virtual environment."""

    home: Path

    @property
    def python(self) -> Path:
        return self._programs / "python"

    @property
    def command(self) -> Path:
        return self._programs / "mcp-login"

    def add(self, *what: str | Path) -> None:
        ran(*_PIP, "--python", self.python, "install", "--quiet", "--no-compile", *what)

    @property
    def _programs(self) -> Path:
        return self.home / ("Scripts" if sys.platform == "win32" else "bin")


def ran(
    *command: str | Path, cwd: Path | None = None, environment: dict[str, str] | None = None
) -> str:
    """Its stdout and stderr; fails with both."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=900,
        cwd=cwd,
        env={**own, **(environment or {})},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def build(into: Path, source: Path = ROOT, epoch: str = EPOCH) -> Built:
    """The sdist, and from that the wheel, by what this environment has of hatchling."""
    command = (sys.executable, "-m", "build", "--no-isolation", "--outdir", into, source)
    ran(*command, environment={"SOURCE_DATE_EPOCH": epoch})
    [sdist], [wheel] = into.glob("*.tar.gz"), into.glob("*.whl")
    return Built(sdist, wheel)


def install(
    home: Path, python: str, wheel: Path, extras: str = "", options: Iterable[str | Path] = ()
) -> Installed:
    """The wheel in a virtual environment of its own, which needs no pip."""
    ran(python, "-m", "venv", "--without-pip", home)
    made = Installed(home)
    made.add(f"{wheel}[{extras}]" if extras else str(wheel), *options)
    return made


def lowest(*more: str) -> list[str]:
    """Each dependency at the lowest version that pyproject.toml names, as constraints.

    `more` are requirements of the tests, which may want a newer one.
    """
    extras = PROJECT["optional-dependencies"]
    named = [*PROJECT["dependencies"], *(line for name in RUN_TIME for line in extras[name])]
    pins: dict[str, Version] = {}
    for requirement in map(Requirement, named):
        pins[requirement.name] = bound(requirement)
    for requirement in map(Requirement, more):
        if requirement.name in pins:
            pins[requirement.name] = max(bound(requirement), pins[requirement.name])
    return [f"{name}=={version}" for name, version in sorted(pins.items())]


def bound(requirement: Requirement) -> Version:
    """A new major is to be met by our tests, not hidden by an upper bound."""
    [only] = requirement.specifier
    assert only.operator == ">=", f"{requirement}: a lower bound and no other"
    return Version(only.version)


RUN_TIME: Final = ("httpx2", "socks", "redis", "postgres", "demo")
