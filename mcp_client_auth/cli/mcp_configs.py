"""Which servers a person's MCP programs know: their configuration files, read and never written.

What stands there is a guess at a server, no more: it counts where a name in the cache proves it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from .mcp_remote import Launch, Pairs, Unusable, read_object

_LARGEST: Final = 16 << 20  # Claude Code keeps its history beside its servers
_PROGRAM: Final = re.compile(r"(?:.*[\\/])?mcp-remote(?:-client)?(?:@[^\\/]*)?(?:\.cmd|\.exe)?")
_HEADER: Final = re.compile(r"([A-Za-z0-9_-]+):\s*(.*)")


def known_launches(home: Path, here: Path) -> list[Launch]:
    """Every start of mcp-remote, and every server, in the files at their usual places."""
    found: dict[Launch, None] = {}
    for place in _places(home, here):
        try:
            raw, _ = read_object(place.resolve(), _LARGEST)
        except (Unusable, OSError, RuntimeError):
            continue  # these are the files of other programs: not there, or not for us
        found.update(
            dict.fromkeys(launch for entry in _servers(raw) for launch in _launches(entry))
        )
    return list(found)


def named_server(name: str, home: Path, here: Path) -> tuple[str, Path] | None:
    """The URL that a configuration gives this name, and the file: the nearest one counts."""
    above = (folder / ".mcp.json" for folder in here.parents)
    for place in (*_places(home, here), *above):
        try:
            raw, _ = read_object(place.resolve(), _LARGEST)
        except (Unusable, OSError, RuntimeError):
            continue
        for entry in _named(raw, name):
            for launch in _launches(entry):
                return launch.url, place
    return None


def _places(home: Path, here: Path) -> tuple[Path, ...]:
    settings = _settings(home)
    return (
        here / ".mcp.json",
        here / ".cursor" / "mcp.json",
        here / ".vscode" / "mcp.json",
        home / ".claude.json",
        home / ".cursor" / "mcp.json",
        home / ".codeium" / "windsurf" / "mcp_config.json",
        home / ".gemini" / "settings.json",
        settings / "Claude" / "claude_desktop_config.json",
        settings / "Code" / "User" / "mcp.json",
    )


def _settings(home: Path) -> Path:
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
    return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")


def _servers(raw: Any) -> Iterator[dict[str, Any]]:
    for table in _tables(raw):
        yield from (entry for entry in table.values() if isinstance(entry, dict))


def _named(raw: Any, name: str) -> Iterator[dict[str, Any]]:
    yield from (entry for table in _tables(raw) if isinstance(entry := table.get(name), dict))


def _tables(raw: Any) -> Iterator[dict[str, Any]]:
    """Every `mcpServers` or `servers`, at any depth."""
    rest = [raw]
    while rest:
        value = rest.pop()
        if isinstance(value, list):
            rest.extend(value)
        elif isinstance(value, dict):
            rest.extend(value.values())
            tables = (value.get(name) for name in ("mcpServers", "servers"))
            yield from (table for table in tables if isinstance(table, dict))


def _launches(entry: dict[str, Any]) -> Iterator[Launch]:
    for name in ("url", "httpUrl", "serverUrl"):
        if isinstance(entry.get(name), str):
            yield Launch(entry[name])
    arguments = entry.get("args")
    words = [entry.get("command"), *(arguments if isinstance(arguments, list) else ())]
    if all(isinstance(word, str) for word in words):
        at = [number for number, word in enumerate(words) if _PROGRAM.fullmatch(word)]
        yield from _started(words[at[0] + 1 :]) if at else ()


def _started(words: list[str]) -> Iterator[Launch]:
    """What mcp-remote makes of its arguments, as far as it names its files by them."""
    headers, words = _taken(words, "--header")
    if not words or "://" not in words[0]:
        return
    pairs = [match.groups() for text in headers if (match := _HEADER.fullmatch(text))]
    parameters = [text.partition("=") for text in _taken(words, "--authorize-param")[0]]
    without = "--disable-resource-parameter" in words
    yield Launch(
        words[0],
        "" if without else _first(words, "--resource"),
        tuple((name.strip(), value) for name, _, value in parameters),
        _pairs(pairs),
        _first(words, "--client-metadata-url"),
    )


def _pairs(found: list[tuple[str, ...]]) -> Pairs:
    return tuple((name, value) for name, value in found)


def _first(words: list[str], option: str) -> str:
    values = _taken(words, option)[0]
    return values[0].strip() if values else ""


def _taken(words: list[str], option: str) -> tuple[list[str], list[str]]:
    """The values of an option that may stand several times, and the words without it."""
    values, rest, at = [], [], 0
    while at < len(words):
        if words[at] == option and at + 1 < len(words):
            values.append(words[at + 1])
            at += 2
        else:
            rest.append(words[at])
            at += 1
    return values, rest
