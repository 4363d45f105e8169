"""The configuration with which an MCP client starts the bridge: a row for each client."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..origin import split

_ORDINARY: Final = ("mcp", "www", "api")  # common first labels of hosts, which say nothing
_ODD: Final = re.compile(r"[^A-Za-z0-9_-]+")


class Start(NamedTuple):
    """A command with its arguments, under a name."""

    name: str
    command: str
    args: list[str]


class Configuration(NamedTuple):
    """`file`: where it belongs, for people; `text`: what it says."""

    file: str
    text: Callable[[Start], str]


def _json(*path: str, **more: Any) -> Callable[[Start], str]:
    def text(start: Start) -> str:
        entry: Any = {**more, "command": start.command, "args": start.args}
        return _nested(path, start, entry)

    return text


def _nested(path: tuple[str, ...], start: Start, entry: Any) -> str:
    for name in reversed((*path, start.name)):
        entry = {name: entry}
    return json.dumps(entry, indent=2, ensure_ascii=False)


def _text(template: str) -> Callable[[Start], str]:
    """Return a function that fills in TOML or YAML; both accept JSON's strings and lists."""

    def text(start: Start) -> str:
        parts = {"command": start.command, "args": start.args}
        return template.format(
            name=start.name,
            **{key: json.dumps(value, ensure_ascii=False) for key, value in parts.items()},
        )

    return text


_SERVERS: Final = "mcpServers"
CLIENTS: Final = {
    "claude-code": Configuration(".mcp.json or ~/.claude.json", _json(_SERVERS, type="stdio")),
    "claude-desktop": Configuration(
        "claude_desktop_config.json (Settings, Developer, Edit Config)", _json(_SERVERS)
    ),
    "cline": Configuration("the settings file of the extension", _json(_SERVERS)),
    "codex": Configuration(
        "~/.codex/config.toml",
        _text("[mcp_servers.{name}]\ncommand = {command}\nargs = {args}"),
    ),
    "continue": Configuration(
        "config.yaml",
        _text("mcpServers:\n  - name: {name}\n    command: {command}\n    args: {args}"),
    ),
    "copilot-cli": Configuration(
        "~/.copilot/mcp-config.json", _json(_SERVERS, type="local", tools=["*"])
    ),
    "cursor": Configuration(
        "~/.cursor/mcp.json or .cursor/mcp.json", _json(_SERVERS, type="stdio")
    ),
    "gemini-cli": Configuration("~/.gemini/settings.json", _json(_SERVERS)),
    "goose": Configuration(
        "~/.config/goose/config.yaml",
        _text(
            "extensions:\n  {name}:\n    type: stdio\n    cmd: {command}\n    args: {args}\n"
            "    envs: {{}}\n    enabled: true\n    timeout: 300"
        ),
    ),
    "jetbrains": Configuration("Settings, Tools, AI Assistant, MCP", _json(_SERVERS)),
    "kiro": Configuration("~/.kiro/settings/mcp.json", _json(_SERVERS)),
    "librechat": Configuration(
        "librechat.yaml",
        _text("mcpServers:\n  {name}:\n    type: stdio\n    command: {command}\n    args: {args}"),
    ),
    "lm-studio": Configuration("mcp.json (Program, Edit mcp.json)", _json(_SERVERS)),
    "opencode": Configuration(
        "opencode.json",
        lambda start: _nested(
            ("mcp",), start, {"type": "local", "command": [start.command, *start.args]}
        ),
    ),
    "vscode": Configuration(".vscode/mcp.json", _json("servers", type="stdio")),
    "windsurf": Configuration("~/.codeium/windsurf/mcp_config.json", _json(_SERVERS)),
    "zed": Configuration("settings.json", _json("context_servers")),
}


def start_of(url: str, names: dict[str, str], options: list[str]) -> Start:
    """Return how to start the bridge to `url` as this program was started; by its absolute path,
    because graphical clients search few directories. `names`: the user's names for servers."""
    words = ["bridge", url, *options]
    installed = shutil.which("mcp-login", path=str(Path(sys.executable).parent))
    installed = installed or shutil.which("mcp-login")
    # Windows looks in the working directory first; and clients start it in a directory of theirs,
    # in which Python would look for modules
    if installed and os.path.isabs(installed):
        return Start(_name(url, names), installed, words)
    return Start(_name(url, names), sys.executable, ["-P", "-m", "mcp_client_auth", *words])


def _name(url: str, names: dict[str, str]) -> str:
    given = next((name for name, server in names.items() if server == url), "")
    host = split(url).hostname or ""
    labels = [label for label in host.split(".") if label not in _ORDINARY]
    first = labels[0] if labels and not labels[0].isdigit() and ":" not in host else "server"
    return _ODD.sub("-", given or first).strip("-") or "server"
