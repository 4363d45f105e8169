"""Which servers the configuration files of other programs name."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth.cli.mcp_configs import known_launches
from mcp_client_auth.cli.mcp_remote import Launch

URL = "https://mcp.example.com/mcp"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def launches(home: Path, entry: dict[str, Any], file: str = ".claude.json") -> list[Launch]:
    place = home / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"mcpServers": {"notes": entry}}))
    return known_launches(home, home.parent / "here")


STARTS: dict[str, tuple[dict[str, Any], Launch]] = {
    "npx": ({"command": "npx", "args": ["-y", "mcp-remote", URL]}, Launch(URL)),
    "a version": ({"command": "npx", "args": ["mcp-remote@latest", URL, "3334"]}, Launch(URL)),
    "a shell of Windows": (
        {"command": "cmd", "args": ["/c", "npx", "mcp-remote", URL]},
        Launch(URL),
    ),
    "installed": ({"command": "/usr/local/bin/mcp-remote", "args": [URL]}, Launch(URL)),
    "installed on Windows": ({"command": r"C:\npm\mcp-remote.cmd", "args": [URL]}, Launch(URL)),
    "a resource": (
        {"command": "npx", "args": ["mcp-remote", URL, "--resource", "https://r.example/"]},
        Launch(URL, "https://r.example/"),
    ),
    "a resource that is disabled": (
        {
            "command": "npx",
            "args": ["mcp-remote", URL, "--resource", "x:y", "--disable-resource-parameter"],
        },
        Launch(URL),
    ),
    "headers and parameters": (
        {
            "command": "npx",
            "args": ["mcp-remote", "--header", "X-A:  ${A}", URL, "--authorize-param", "a=b=c"],
        },
        Launch(URL, parameters=(("a", "b=c"),), headers=(("X-A", "${A}"),)),
    ),
    "a metadata document": (
        {"command": "npx", "args": ["mcp-remote", URL, "--client-metadata-url", "https://c.x/c"]},
        Launch(URL, document="https://c.x/c"),
    ),
    "HTTP": ({"type": "http", "url": URL}, Launch(URL)),
}


@pytest.mark.parametrize(("entry", "launch"), STARTS.values(), ids=STARTS)
def test_a_start_is_understood(home: Path, entry: dict[str, Any], launch: Launch) -> None:
    assert launches(home, entry) == [launch]


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "npx", "args": ["another-program", URL]},
        {"command": "npx", "args": ["mcp-remote"]},
        {"command": "npx", "args": ["mcp-remote", "--help"]},
        {"command": "npx", "args": "mcp-remote " + URL},
        {"command": 7, "args": ["mcp-remote", URL]},
        {"command": "npx", "args": ["mcp-remote", 7]},
        {"url": 7},
        {},
    ],
)
def test_what_starts_no_mcp_remote_is_none(home: Path, entry: dict[str, Any]) -> None:
    assert launches(home, entry) == []


FILES = [".claude.json", ".cursor/mcp.json", ".codeium/windsurf/mcp_config.json"]
SETTINGS = {"darwin": "Library/Application Support", "win32": "AppData/Roaming"}
FILES += [
    f"{SETTINGS.get(sys.platform, '.config')}/{file}"
    for file in ("Claude/claude_desktop_config.json", "Code/User/mcp.json")
]


@pytest.mark.parametrize("file", [*FILES, "../here/.mcp.json", "../here/.vscode/mcp.json"])
def test_a_file_is_found(home: Path, file: str) -> None:
    home.mkdir()
    (home.parent / "here").mkdir()
    assert launches(home, {"url": URL}, file) == [Launch(URL)]


def test_servers_of_projects_count(home: Path) -> None:
    home.mkdir()
    projects = {"/src/a": {"mcpServers": {"x": {"url": URL}}}, "/src/b": {"mcpServers": {}}}
    (home / ".claude.json").write_text(json.dumps({"projects": projects, "history": [[], "x"]}))
    assert known_launches(home, home) == [Launch(URL)]


@pytest.mark.parametrize("content", [b"", b"// words", b"[1]", b"[" * 100_000, b"\xff"])
def test_a_file_that_is_not_understood_is_passed_over(home: Path, content: bytes) -> None:
    home.mkdir()
    (home / ".claude.json").write_bytes(content)
    assert known_launches(home, home) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX links and pipes")
def test_a_link_is_followed_and_a_pipe_is_not_waited_for(home: Path) -> None:
    home.mkdir()
    (home / "dotfiles.json").write_text(json.dumps({"mcpServers": {"x": {"url": URL}}}))
    (home / ".claude.json").symlink_to(home / "dotfiles.json")
    os.mkfifo(home / ".mcp.json")
    assert known_launches(home, home) == [Launch(URL)]
