"""A user without a home directory, as in a container that runs under an arbitrary user ID."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import httpx
import pytest

from mcp_client_auth import LoginRequired, MCPAuth, StorageError
from mcp_client_auth.paths import home, user_home
from mcp_client_auth.testing import DemoServer
from tests.support.inside import Inside

pwd = pytest.importorskip("pwd")
URL = "https://mcp.example.com/mcp"
_DIRECTORIES = (
    "HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "MCP_CLIENT_AUTH_HOME",
)


@pytest.fixture(autouse=True)
def homeless(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> NoReturn:
        raise KeyError("getpwuid(): uid not found: 1000670000")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    for name in _DIRECTORIES:
        monkeypatch.delenv(name, raising=False)


WORDS = [
    (URL,),
    ("login", URL, "--force"),
    ("token", URL),
    ("refresh", URL),
    ("logout", URL),
    ("logout", "--all"),
    ("status",),
    ("status", URL, "--check"),
    ("list",),
    ("a-name",),
]


@pytest.mark.parametrize(
    "words",
    [*WORDS, ("request", URL), ("exec", URL, "--", "true"), ("token", "a-name")],
    ids=" ".join,
)
def test_every_verb_ends_with_7_and_names_the_variable(
    words: tuple[str, ...], inside: Inside
) -> None:
    ran = inside(*words)
    assert (ran.code, "MCP_CLIENT_AUTH_HOME" in ran.err) == (7, True), ran.err


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_every_answer_in_json_says_so(words: tuple[str, ...], inside: Inside) -> None:
    ran = inside(*words, "--json")
    assert (ran.code, ran.answer["error"]["code"]) == (7, "no_home")


def test_a_login_ends_before_anything_is_sent(inside: Inside, server: DemoServer) -> None:
    assert inside(server.url).code == 7
    assert server.requests == []


def test_the_variable_helps(inside: Inside, server: DemoServer, tmp_path: Path) -> None:
    ran = inside(server.url, MCP_CLIENT_AUTH_HOME=str(tmp_path / "mine"))
    assert ran.code == 0, ran.err
    assert inside("token", server.url, MCP_CLIENT_AUTH_HOME=str(tmp_path / "mine")).code == 0


def test_the_doctor_says_so_among_its_findings(inside: Inside) -> None:
    ran = inside("doctor", "--json")
    [storage] = [f for f in ran.answer["findings"] if f["check"] == "local.storage"]
    assert storage["level"] == "error"
    assert "MCP_CLIENT_AUTH_HOME" in storage["remedy"]


@pytest.mark.parametrize("named", ["~/logins", "~nobody-of-that-name/logins"])
def test_a_home_that_cannot_be_found_is_not_looked_for_in_the_working_directory(
    named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_HOME", named)
    with pytest.raises(StorageError, match="depends on a directory that is not there") as caught:
        home()
    assert caught.value.code == "no_home"


def test_a_relative_place_in_a_directory_that_was_removed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setenv("MCP_CLIENT_AUTH_HOME", "logins")
    with pytest.raises(StorageError, match="not there"):
        home()


def test_files_of_other_programs_are_not_looked_for_in_the_working_directory(
    inside: Inside,
) -> None:
    (Path.cwd() / "~").mkdir()
    (Path.cwd() / "~" / ".claude.json").write_text('{"mcpServers": {"x": {"url": "' + URL + '"}}}')
    assert not Path(user_home(), ".claude.json").exists()
    ran = inside("import", "--yes")
    assert (ran.code, "--from DIRECTORY" in ran.err, os.devnull in ran.err) == (2, True, False)
    assert inside("import", "--yes", "--from", ".").code == 0


def test_a_program_that_keeps_its_logins_in_memory_needs_no_home(server: DemoServer) -> None:
    auth = MCPAuth(server.url, storage="memory", prompt=None)
    with httpx.Client(auth=auth) as client, pytest.raises(LoginRequired):
        client.post(server.url)
