"""What a person has decided on this machine: where logins are kept, and what servers are called."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, suppress
from hashlib import sha256
from typing import Any, Final

from ..credential import Key
from ..errors import StorageError
from ..protocol.json_text import json_value
from .backend import LOCK_WAIT
from .directory import Directory
from .index import LASTING

_FILE: Final = "settings.conf"
_ALL: Final = Key("")


class Settings:
    """One file beside the logins; what cannot be read in it counts as undecided."""

    def __init__(self, directory: Directory | None = None) -> None:
        self.directory = directory or Directory()

    def choose(self, storage: str) -> None:
        """Remember a person's answer to where logins are to be kept."""
        with self._lock():
            self._set(storage=storage)

    def chosen(self) -> str:
        """The storage that was remembered; empty if there is none."""
        kept = self._read().get("storage")
        return kept if kept in LASTING else ""

    def names(self) -> dict[str, str]:
        """The servers' URLs by the names that the person has given them."""
        named = self._read().get("names")
        pairs = named.items() if isinstance(named, dict) else ()
        return {name: url for name, url in pairs if isinstance(url, str)}

    def name(self, name: str, url: str) -> None:
        """Give a server a name, even if another has it; an empty URL removes the name."""
        with self._lock():
            named = {n: there for n, there in self.names().items() if n != name}
            self._set(names={**named, name: url} if url else named)

    def allows(self, path: str, content: bytes) -> bool:
        """Whether the person has allowed this file with this content."""
        allowed = self._read().get("allowed")
        return isinstance(allowed, dict) and allowed.get(path) == sha256(content).hexdigest()

    def allow(self, path: str, content: bytes) -> None:
        with self._lock():
            allowed = self._read().get("allowed")
            kept = allowed if isinstance(allowed, dict) else {}
            self._set(allowed={**kept, path: sha256(content).hexdigest()})

    def _lock(self) -> AbstractContextManager[object]:
        """The lock for reading, changing and writing the file, which all servers share."""
        return self.directory.lock(_ALL.id, "settings", LOCK_WAIT)

    def _read(self) -> dict[str, Any]:
        with suppress(ValueError, StorageError):
            settings = json_value(self.directory.read(_FILE) or "{}")
            json.dumps(settings, allow_nan=False)  # 1e999 is read as infinity, which JSON lacks
            return settings if isinstance(settings, dict) else {}
        return {}

    def _set(self, **changed: Any) -> None:
        kept = self._read()
        if not kept:  # it may be damaged: then someone may still want to look at it
            self.directory.set_aside(_FILE)
        self.directory.write(_FILE, json.dumps({**kept, "version": 1, **changed}))
