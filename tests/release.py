"""A release: `python -m tests.release VERSION`, in a clean clone whose `bash .ci/run` has passed.

It sets the version, dates the changelog, builds sdist and wheel twice, and keeps them if both are
the same byte for byte, an index would take them, and what is installed of them lives a short life.
The list of what comes along (a software bill of materials, CycloneDX) and the checksums are made
beside them in `dist/`. Only then the two files are changed, committed and tagged, or left as they
were if one of that fails. It sends nothing: the last lines are what to run next.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from packaging.version import InvalidVersion, Version

from tests.slow.packaging.built import Built, build, install, ran
from tests.support.python_path import ROOT

HOME: Final = "mcp_client_auth/__init__.py"
CHANGES: Final = "CHANGELOG.md"
_VERSION: Final = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
_NEXT: Final = "## Unreleased"


class NotReleased(Exception):
    """Why not; beside `dist/` nothing was changed, unless it says so."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("version", help="such as 0.2.0")
    asked = parser.parse_args()
    try:
        release(asked.version)
    except (NotReleased, AssertionError) as why:
        print(f"not released: {why}", file=sys.stderr)
        return 1
    return 0


def release(version: str) -> None:
    require_clean()
    if git("tag", "--list", f"v{version}"):
        raise NotReleased(f"there is a tag v{version}")
    changed = {HOME: with_version(version), CHANGES: with_date(version)}
    epoch = git("log", "-1", "--format=%ct")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        built = [built_of(changed, place / each, epoch) for each in ("one", "two")]
        for one, two in zip(*(each.files for each in built), strict=True):
            if one.read_bytes() != two.read_bytes():
                raise NotReleased(f"two builds of {one.name} differ")
        bill = checked(built[0], place, epoch)
        keep(built[0], bill)
    record(version, changed)
    print(
        f"released {version}, here only. Next:\n"
        f"  git push origin HEAD v{version}\n"
        "  python -m twine upload dist/*.whl dist/*.tar.gz\n"
        "and attach dist/*.cdx.json and dist/SHA256SUMS to the release."
    )


def require_clean() -> None:
    git("var", "GIT_COMMITTER_IDENT")  # who could not commit learns it now
    if left := git("status", "--porcelain"):
        raise NotReleased(f"the clone is not clean:\n{left}")


def with_version(version: str) -> str:
    text = (ROOT / HOME).read_text("utf-8")
    [before] = _VERSION.findall(text)
    try:
        newer = Version(version) > Version(before) and str(Version(version)) == version
    except InvalidVersion:
        newer = False
    if not newer:
        raise NotReleased(f"{version} is not a version after {before}")
    return _VERSION.sub(f'__version__ = "{version}"', text)


def with_date(version: str) -> str:
    text = (ROOT / CHANGES).read_text("utf-8")
    changes = text.partition(f"{_NEXT}\n")[2].partition("\n## ")[0]
    if not changes.strip():
        raise NotReleased(f"{CHANGES} has nothing below {_NEXT}")
    today = datetime.datetime.now(datetime.UTC).date()
    return text.replace(f"{_NEXT}\n", f"{_NEXT}\n\n## {version} ({today})\n", 1)


def built_of(changed: dict[str, str], place: Path, epoch: str) -> Built:
    """From what is committed and nothing else, with the changes of the release."""
    place.mkdir()
    archive = place / "source.tar"
    git("archive", "--output", str(archive), "HEAD")
    source = place / "source"
    shutil.unpack_archive(archive, source, filter="data")
    for file, text in changed.items():
        (source / file).write_text(text, "utf-8")
    return build(place / "dist", source, epoch)


def checked(built: Built, place: Path, epoch: str) -> Path:
    """The bill of materials of what an index would take and what works once it is installed."""
    ran(sys.executable, "-m", "twine", "check", "--strict", *built.files)
    installed = install(place / "alone", sys.executable, built.wheel)
    bill = place / f"{built.wheel.name.split('-py3')[0]}.cdx.json"
    ran(
        *(sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"),
        *("--mc-type", "library", "--pyproject", ROOT / "pyproject.toml", "-o", bill),
        installed.python,
        environment={"SOURCE_DATE_EPOCH": epoch},
    )
    installed.add(f"{built.wheel}[demo]")
    short = ROOT / "tests" / "slow" / "packaging" / "short.py"
    ran(installed.python, "-W", "error", short, "httpx", cwd=place)
    return bill


def keep(built: Built, bill: Path) -> None:
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir()
    kept = [Path(shutil.copy2(file, dist)) for file in (*built.files, bill)]
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in kept]
    (dist / "SHA256SUMS").write_text("".join(sums))


def record(version: str, changed: dict[str, str]) -> None:
    """Commit the files as changed, and tag that; if one fails, undo what was done of it."""
    before = git("rev-parse", "HEAD")
    try:
        for file, text in changed.items():
            (ROOT / file).write_text(text, "utf-8")
        git("commit", "--quiet", "--message", f"Release {version}", "--", *changed)
        git("tag", "--annotate", f"v{version}", "--message", version)
    except BaseException as why:
        try:
            git("reset", "--quiet", "--soft", before)
            git("checkout", "--quiet", before, "--", *changed)
        except NotReleased as also:
            left = f"{', '.join(changed)} may be changed or committed; before, HEAD was {before}"
            raise NotReleased(f"{why}\n{also}\n{left}") from None
        raise


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise NotReleased(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
