"""Version 0.1.0, as it was released, at a home that this version has written, and back again.

It reads what it knows, says what is newer, and spoils neither: who goes back for a day, or has two
versions on one machine, loses no login. The program itself comes from the history of the
repository; what 0.1.0 wrote, and this version reads, is in `tests/flows/test_earlier_versions.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_client_auth import FileStorage, Secret
from mcp_client_auth.testing import DemoServer
from tests.support.inside import Inside, credential
from tests.support.python_path import ROOT

COMMIT = "e50588a"  # of tests/data/0.1.0/write.py
URL = "https://{}.example.invalid/mcp"


class Earlier:
    def __init__(self, place: Path, home: Path) -> None:
        self.place, self.home = place, home

    def __call__(self, *words: str) -> tuple[int, str]:
        """The exit code, and stdout with stderr behind it."""
        own = {"PYTHONPATH": str(self.place), "MCP_CLIENT_AUTH_HOME": str(self.home)}
        more = {"MCP_CLIENT_AUTH_STORAGE": "file", "HOME": str(self.home.parent)}
        done = subprocess.run(
            [sys.executable, "-m", "mcp_client_auth", *words],
            env={**os.environ, **own, **more},
            cwd=self.place,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("earlier")
    archive = place / "it.tar"
    command = ["git", "archive", "--output", str(archive), COMMIT, "mcp_client_auth"]
    if subprocess.run(command, cwd=ROOT, capture_output=True).returncode:
        pytest.skip(f"the history of the repository back to {COMMIT} is needed: git fetch")
    subprocess.run(["tar", "-xf", archive, "-C", place], check=True)
    return place


@pytest.fixture
def earlier(program: Path, inside: Inside) -> Earlier:
    told = Earlier(program, inside.home / "logins")
    assert "0.1.0" in told("--version")[1]
    return told


def secrets(home: Path) -> dict[str, bytes]:
    """The records; the index may be written anew, and locks come and go."""
    return {path.name: path.read_bytes() for path in home.glob("*.secret")}


def test_a_login_outlives_two_versions_that_take_turns(
    inside: Inside, earlier: Earlier, server: DemoServer
) -> None:
    """A refresh token is good once here: who presents the old one ends the login."""
    inside.log_in(server.url, "--name", "work")
    for _ in range(2):
        assert earlier("refresh", "work")[0] == 0
        assert inside("refresh", "work").code == 0
    for ran in (earlier("status", "work", "--check"), earlier("token", server.url)):
        assert ran[0] == 0, ran
    assert inside("status", "work", "--check").code == 0
    assert server.token_requests("refresh_token") == 4
    assert server.count("/register") == 1
    assert earlier("logout", "work")[0] == 0
    assert inside("token", server.url).code == 3


def test_what_it_does_not_know_it_leaves_as_it_is(inside: Inside, earlier: Earlier) -> None:
    ours = {name: URL.format(name) for name in ("ordinary", "newest", "headers", "gone")}
    for name, url in ours.items():
        inside.keep(credential(url, f"planted-{name}"))
    gateway = {"https://headers.example.invalid": {"X-Key": Secret("planted-gateway")}}
    inside.keep(replace(inside.held(ours["headers"]), headers=gateway))
    inside.record(ours["newest"]).write_text(json.dumps({"version": 99, "something": ["else"]}))
    before = secrets(earlier.home)
    for words in (["token"], ["refresh"], ["exec"]):
        end = ["--", "true"] if words == ["exec"] else []
        code, said = earlier(*words, ours["newest"], *end)
        assert (code, "newer version" in said) == (7, True), said
    assert earlier("token", ours["ordinary"]) == (0, "planted-ordinary\n")
    assert earlier("token", ours["headers"])[0] in (0, 7)
    assert all(url in earlier("list")[1] for url in ours.values())
    assert secrets(earlier.home) == before
    assert earlier("logout", ours["gone"], "--local")[0] == 0
    del before[inside.record(ours["gone"]).name]
    assert secrets(earlier.home) == before
    assert inside("token", ours["headers"]).out == "planted-headers\n"
    assert inside.held(ours["headers"]).headers == gateway


def test_among_very_many_it_finds_what_we_sort_and_we_what_it_adds(
    inside: Inside, earlier: Earlier
) -> None:
    """We keep the names of many logins in groups, of which 0.1.0 knows nothing."""
    storage = FileStorage(earlier.home)
    for number in range(260):
        storage.save(credential(URL.format(f"mcp-{number}")))
    assert len(storage.list()) == len(storage.list()) == 260
    assert earlier("list")[1].count(".example.invalid/mcp") == 260
    assert earlier("logout", URL.format("mcp-7"), "--local")[0] == 0
    assert len(storage.list()) == 259
    assert inside("list", "--json").answer["logins"][0]["storage"] == "file"
