"""What an installation brings along: packages, and bytes on the disk."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mcp_client_auth

OURS = "mcp-client-auth"


class Weight(NamedTuple):
    packages: int
    megabytes: float


def brought_along(name: str) -> set[str]:
    """The names of all packages that it needs on this system, without those of extras."""
    found: set[str] = set()
    rest = [name]
    while rest:
        one = canonicalize_name(rest.pop())
        if one in found:
            continue
        try:
            needed = distribution(one).requires or []
        except PackageNotFoundError:  # of another system, behind a marker of its own
            continue
        found.add(one)
        for line in needed:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                rest.append(requirement.name)
    return found - {canonicalize_name(name)}


def weight(name: str) -> Weight:
    """Of what it needs, and of its own files; what Python compiles is not counted."""
    needed = brought_along(name)
    size = sum(map(_size_of, needed)) + (_own() if name == OURS else _size_of(name))
    return Weight(len(needed), size / 1e6)


def _size_of(name: str) -> int:
    files = distribution(name).files or []
    paths = (Path(str(file.locate())) for file in files if "__pycache__" not in file.parts)
    return sum(path.stat().st_size for path in paths if path.is_file())


def _own() -> int:
    """It may be installed from its source here."""
    place = Path(mcp_client_auth.__file__).parent
    return sum(file.stat().st_size for file in place.rglob("*.py"))
