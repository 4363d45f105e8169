"""A release in a clone of its own: one command does all of it, or nothing."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_client_auth import __version__
from tests.support.python_path import ROOT

NEXT = "99.0.0"


class Clone:
    """With the working tree as it is, committed."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._git(ROOT, "clone", "--quiet", "--no-tags", str(ROOT), str(place))
        changed = self._git(ROOT, "diff", "HEAD", "--binary")
        if changed:
            subprocess.run(["git", "apply"], cwd=place, input=changed, text=True, check=True)
        self.git("config", "user.name", "a maintainer")
        self.git("config", "user.email", "maintainer@example.com")
        self.commit()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "As it is here")

    def git(self, *words: str) -> str:
        return self._git(self.place, *words)

    @staticmethod
    def _git(where: Path, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=where, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def release(self, version: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "tests.release", version]
        done = subprocess.run(command, cwd=self.place, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def record(self, version: str) -> tuple[int, str]:
        """The last step of a release alone, with a file changed."""
        program = (
            "import sys; from tests import release\n"
            "try: release.record(sys.argv[1], {release.HOME: '# changed'})\n"
            "except release.NotReleased as why: sys.exit(str(why))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, version],
            cwd=self.place,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    def text(self, name: str) -> str:
        return (self.place / name).read_text("utf-8")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    if not (ROOT / ".git").exists():
        pytest.skip("a clone of the repository is needed: git clone")
    return Clone(tmp_path / "clone")


def test_a_release_is_one_command(clone: Clone) -> None:
    changes = clone.text("CHANGELOG.md")
    (clone.place / "CHANGELOG.md").write_text(
        changes.replace("## Unreleased\n", "## Unreleased\n\n- A change.\n", 1), "utf-8"
    )
    clone.commit()
    code, said = clone.release(NEXT)
    assert code == 0, said
    assert f"git push origin HEAD v{NEXT}" in said
    assert clone.git("log", "-1", "--format=%s").strip() == f"Release {NEXT}"
    assert clone.git("tag", "--points-at", "HEAD").strip() == f"v{NEXT}"
    changed = clone.git("diff", "--name-only", "HEAD~").split()
    assert changed == ["CHANGELOG.md", "mcp_client_auth/__init__.py"]
    assert clone.git("status", "--porcelain") == ""
    assert f'__version__ = "{NEXT}"' in clone.text("mcp_client_auth/__init__.py")
    assert f"## Unreleased\n\n## {NEXT} (" in clone.text("CHANGELOG.md")
    sums = [line.split("  ") for line in clone.text("dist/SHA256SUMS").splitlines()]
    assert len(sums) == 3
    for found, name in sums:
        content = (clone.place / "dist" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == found
    bill = json.loads(clone.text(f"dist/mcp_client_auth-{NEXT}.cdx.json"))
    assert bill["bomFormat"] == "CycloneDX"
    assert {"httpx", "authlib", "keyring"} <= {e["name"].lower() for e in bill["components"]}
    assert bill["metadata"]["component"]["name"] == "mcp-client-auth"
    # what was released is not released again, and an empty changelog is no release
    assert clone.release(NEXT)[0] == 1
    code, said = clone.release("100.0")
    assert (code, "has nothing below" in said) == (1, True), said


def test_what_cannot_be_released_changes_nothing(clone: Clone) -> None:
    before = clone.git("rev-parse", "HEAD")
    for version in ("0.0.1", __version__, "banana", "v9.9.9", "01.0.0"):
        code, said = clone.release(version)
        assert (code, "not released" in said) == (1, True), version
    (clone.place / "left.txt").write_text("of a change under way")
    code, said = clone.release(NEXT)
    assert (code, "left.txt" in said) == (1, True)
    assert clone.git("rev-parse", "HEAD") == before
    assert clone.git("status", "--porcelain").split() == ["??", "left.txt"]
    assert not (clone.place / "dist").exists()


def test_a_commit_or_tag_that_fails_leaves_nothing_behind(clone: Clone) -> None:
    before = clone.git("rev-parse", "HEAD")
    (clone.place / "later.txt").write_text("of a change that was begun meanwhile")
    clone.git("config", "gpg.program", "false")
    for failing, said in (("commit.gpgSign", "git commit"), ("tag.gpgSign", "git tag")):
        clone.git("config", failing, "true")
        code, err = clone.record(NEXT)
        assert (code, said in err) == (1, True), err
        assert clone.git("rev-parse", "HEAD") == before
        assert clone.git("status", "--porcelain").split() == ["??", "later.txt"]
        assert clone.git("tag", "--list") == ""
        clone.git("config", failing, "false")
    hook = clone.place / ".git" / "hooks" / "post-commit"  # another program is at work there
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n: > .git/index.lock\n")
    hook.chmod(0o755)
    clone.git("config", "tag.gpgSign", "true")
    code, err = clone.record(NEXT)
    assert (code, f"before, HEAD was {before.strip()}" in err) == (1, True), err
