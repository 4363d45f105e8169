"""A library's default: the OS keyring, or this process's memory with one warning."""

from __future__ import annotations

import threading
import warnings
from functools import cache
from typing import Any

from ..errors import StorageError
from . import Storage
from .keyring import KeyringStorage
from .memory import process_memory


class KeyringOrMemory:
    """Decides at its first use, on the thread that uses it; stands in for what it chose.

    Where the index says that the keyring holds a credential, an unusable keyring stays an
    error: asking for a new login would not be the remedy.
    """

    def __init__(self) -> None:
        self._keyring = KeyringStorage()
        self._chosen: Storage | None = None
        self._turn = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        with self._turn:
            if self._chosen is None:
                self._chosen = self._choose()
        return getattr(self._chosen, name)

    def _choose(self) -> Storage:
        try:
            self._keyring.read("probe")
        except StorageError as error:
            if any(entry.storage == "keyring" for entry in self._keyring.list()):
                return self._keyring
            _warn_once(str(error))
            return process_memory()
        return self._keyring


@cache
def _warn_once(why: str) -> None:
    warnings.warn(
        f"{why} Until then the credential lasts as long as this process.",
        RuntimeWarning,
        stacklevel=4,
    )
