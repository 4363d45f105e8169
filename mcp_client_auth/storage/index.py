"""The index: one small file for each credential, with nothing secret in it.

It tells which storage holds the secret, so that a list needs no keyring and a login is found
again where it was made.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from typing import Any, Final

from ..credential import Key
from ..errors import StorageError
from ..home import ENTRY, READ, RECORD
from . import LOCK_WAIT, Summary
from .directory import Directory

_GRAVE: Final = ".deleted"
_SETTINGS: Final = "settings.conf"
_ALL: Final = Key("")
_A_DAY: Final = 86_400.0
_MOST: Final = 256 * 1024


class Index:
    """What is known of the credentials in one directory."""

    def __init__(self, directory: Directory | None = None) -> None:
        self.directory = directory or Directory()

    def put(self, summary: Summary) -> None:
        """Enter a credential; what was told of an earlier one's end is void."""
        self.directory.write(summary.key.id + ENTRY, json.dumps({"version": 1, **asdict(summary)}))
        self.directory.remove(summary.key.id + _GRAVE)

    def get(self, key: Key) -> Summary | None:
        """What is known of one; None for nothing, and for an entry that cannot be read."""
        with suppress(StorageError):
            return _entry(self.directory.read(key.id + ENTRY) or "")
        return None

    def has_file(self, key: Key) -> bool:
        """Whether the file storage keeps a record of `key`, whatever is known of it."""
        return os.path.lexists(self.directory.path / (key.id + RECORD))

    def drop(self, key: Key) -> None:
        self.directory.remove(key.id + ENTRY)

    def all(self) -> list[Summary]:
        """All credentials, by server and account; an unreadable entry is skipped."""
        try:
            names = [name for name in os.listdir(self.directory.path) if name.endswith(ENTRY)]
        except OSError:
            return []
        found = [entry for name in names if (entry := self._read(name))]
        return sorted(found, key=lambda s: (s.key.server, s.key.account, s.key.client))

    def bury(self, key: Key) -> None:
        """Note that everything up to the present generation of `key` is deleted for good.

        A write that was given up may land after the deletion; `buried` tells it.
        """
        entry = self.get(key)
        now = time.time()
        for grave in self.directory.path.glob("*" + _GRAVE):
            with suppress(OSError):
                if now - grave.stat().st_mtime > _A_DAY:
                    grave.unlink()
        if entry:
            self.directory.write(key.id + _GRAVE, str(entry.generation))

    def buried(self, key: Key, generation: int) -> bool:
        """Whether a record that has turned up is one that was deleted."""
        with suppress(ValueError):
            return generation <= int(self.directory.read(key.id + _GRAVE) or "")
        return False

    def choose(self, storage: str) -> None:
        """Remember a person's answer to where logins shall be kept."""
        with self._settling():
            self._set(storage=storage)

    def chosen(self) -> str:
        """What was remembered; empty for nothing."""
        return str(self._settings().get("storage", ""))

    def names(self) -> dict[str, str]:
        """The servers' URLs by the names that the person has given them."""
        named = self._settings().get("names")
        return {str(n): str(url) for n, url in named.items()} if isinstance(named, dict) else {}

    def name(self, name: str, url: str) -> None:
        """Give a server a name, and take it from another; with an empty URL forget the name."""
        with self._settling():
            named = {n: there for n, there in self.names().items() if n != name}
            self._set(names={**named, name: url} if url else named)

    def _settling(self) -> AbstractContextManager[object]:
        """Read, changed and written by one at a time: the file is that of all servers."""
        return self.directory.lock(_ALL, "settings", LOCK_WAIT)

    def _settings(self) -> dict[str, Any]:
        with suppress(ValueError, StorageError):
            found = json.loads(self.directory.read(_SETTINGS) or "")
            return found if isinstance(found, dict) else {}
        return {}

    def _set(self, **changed: Any) -> None:
        self.directory.write(_SETTINGS, json.dumps({**self._settings(), "version": 1, **changed}))

    def _read(self, name: str) -> Summary | None:
        """One of many: the directory has just been listed, so only the file is looked at."""
        try:
            handle = os.open(os.path.join(self.directory.path, name), READ)
        except OSError:
            return None
        try:
            return _entry(os.read(handle, _MOST).decode("utf-8", "replace"))
        finally:
            os.close(handle)


def _entry(text: str) -> Summary | None:
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        raw: dict[str, Any] = json.loads(text)
        scope = None if raw["scope"] is None else tuple(raw["scope"])
        return Summary(
            Key(**{name: str(value) for name, value in raw["key"].items()}),
            str(raw["issuer"]),
            scope,
            raw["expires_at"],
            bool(raw["renewable"]),
            str(raw["storage"]),
            str(raw.get("client_id", "")),
            int(raw.get("generation", 0)),
        )
    return None
