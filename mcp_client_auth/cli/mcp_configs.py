"""Which servers the user's MCP programs know: their configuration files, read and never written.

For an import, a server found there is a guess, which counts only if a name in the cache proves it.
For a name, it matters whose file it is: the user's own, or one that came with a directory.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ..errors import UsageError
from ..paths import is_foreign
from ..secret import quoted
from .mcp_remote import Launch, Unusable, read_object, require_regular

_LARGEST: Final = 16 << 20  # Claude Code keeps its history beside its servers
_PROGRAM: Final = re.compile(r"(?:.*[\\/])?mcp-remote(?:-client)?(?:@[^\\/]*)?(?:\.cmd|\.exe)?")
_HEADER: Final = re.compile(r"([A-Za-z0-9_-]+):\s*(.*)")


def known_launches(home: Path, here: Path) -> list[Launch]:
    """Every start of mcp-remote, and every server, in the files at their usual places."""
    launches: dict[Launch, None] = {}
    for place in (*islice(_nearby_places(here), 3), *_own_places(home)):
        try:
            raw, _ = read_object(place.resolve(), _LARGEST)
        except (Unusable, OSError, RuntimeError):
            continue  # these are the files of other programs: not there, or not for us
        launches.update(
            dict.fromkeys(launch for entry in _entries(raw) for launch in _launches(entry))
        )
    return list(launches)


@dataclass(frozen=True, slots=True)
class NamedServer:
    """A server that a configuration gives a name.

    `own`: it is in the user's own configuration, not in a file that came with a directory.
    """

    url: str
    place: Path
    own: bool


def require_ours(state: os.stat_result, *, mine: bool = False) -> None:
    """Refuse a file that does not belong to this user, as it may have come with a directory.

    `mine`: one in the home directory may also be root's: some tools link them from a store.
    """
    require_regular(state)
    if is_foreign(state) and not (mine and state.st_uid == 0):
        raise Unusable("it belongs to another user")


def named_server(name: str, home: Path, here: Path | None) -> NamedServer | None:
    """The server of this name: in the person's own configuration first, then in the nearest file.

    Raises `UsageError` where one file gives the name to several servers.
    """
    own = ((place, True) for place in _own_places(home))
    nearby = ((place, False) for place in _nearby_places(here))
    for place, mine in (*own, *nearby):
        require = partial(require_ours, mine=mine)
        try:
            raw, _ = read_object(place.resolve() if mine else place, _LARGEST, require)
        except (Unusable, OSError, RuntimeError):
            continue
        urls = list(
            dict.fromkeys(launch.url for e in _entries(raw, name) for launch in _launches(e))
        )
        if len(urls) > 1:
            raise UsageError(
                f"{quoted(name, 80)} stands for {len(urls)} servers in {quoted(str(place))}",
                hint="Pass the URL of the one that you mean",
            )
        if urls:
            return NamedServer(urls[0], place, mine)
    return None


def passed_over(here: Path | None) -> tuple[Path, str] | None:
    """Return the nearest file whose names are unknown because it was not read, and why."""
    for place in _nearby_places(here):
        with suppress(OSError):
            state = place.lstat()
            if stat.S_ISLNK(state.st_mode) or is_foreign(state):
                return place, "it is a symbolic link, or it belongs to another user"
            try:
                read_object(place, _LARGEST, require_ours)
            except Unusable as error:
                return place, str(error)
    return None


def _nearby_places(here: Path | None) -> Iterator[Path]:
    if here is not None:
        yield here / ".mcp.json"
        yield here / ".cursor" / "mcp.json"
        yield here / ".vscode" / "mcp.json"
        yield from (folder / ".mcp.json" for folder in here.parents)


def _own_places(home: Path) -> tuple[Path, ...]:
    if sys.platform == "darwin":
        settings = home / "Library" / "Application Support"
    elif sys.platform == "win32":
        settings = Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
    else:
        settings = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return (
        home / ".claude.json",
        home / ".cursor" / "mcp.json",
        home / ".codeium" / "windsurf" / "mcp_config.json",
        home / ".gemini" / "settings.json",
        settings / "Claude" / "claude_desktop_config.json",
        settings / "Code" / "User" / "mcp.json",
    )


def _entries(raw: Any, name: str | None = None) -> Iterator[dict[str, Any]]:
    """Every server, or those of this name, in each `mcpServers` or `servers` at any depth."""
    rest = [raw]
    while rest:
        value = rest.pop()
        if isinstance(value, list):
            rest.extend(value)
        elif isinstance(value, dict):
            rest.extend(value.values())
            for table in (value.get("mcpServers"), value.get("servers")):
                if isinstance(table, dict):
                    entries = table.values() if name is None else [table.get(name)]
                    yield from (entry for entry in entries if isinstance(entry, dict))


def _launches(entry: dict[str, Any]) -> Iterator[Launch]:
    for name in ("url", "httpUrl", "serverUrl"):
        if isinstance(entry.get(name), str):
            yield Launch(entry[name])
    arguments = entry.get("args")
    words = [entry.get("command"), *(arguments if isinstance(arguments, list) else ())]
    if not all(isinstance(word, str) for word in words):
        return
    at = next((number for number, word in enumerate(words, 1) if _PROGRAM.fullmatch(word)), None)
    # what mcp-remote reads from its arguments to name its files
    headers, words = _taken(words[at:], "--header")
    if at is None or not words or "://" not in words[0]:
        return
    pairs = [(m[1], m[2]) for text in headers if (m := _HEADER.fullmatch(text))]
    parameters = [text.partition("=") for text in _taken(words, "--authorize-param")[0]]
    without = "--disable-resource-parameter" in words
    yield Launch(
        words[0],
        "" if without else _first(words, "--resource"),
        tuple((name.strip(), value) for name, _, value in parameters),
        tuple(pairs),
        _first(words, "--client-metadata-url"),
    )


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
