"""Credentials in the OS keyring itself, one item each.

Only a backend that keeps secrets counts, and every call has a time limit: a locked keyring
with a prompt that nobody sees blocks for ever. A record that is larger than every backend
takes is sealed in a file, and its key is what the keyring keeps.
"""

from __future__ import annotations

import importlib
import json
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from ..credential import VERSION, damaged, record
from ..errors import StorageError
from ..secret import Secret
from .backends import label, remedy, roomy, usable, why, why_not_kept
from .directory import DAMAGED, Directory
from .keyring_thread import SHARED, Stuck
from .records import Item, Records
from .sealing import new_key, seal, unseal

T = TypeVar("T")
SERVICE: Final = "mcp-client-auth"
_USER: Final = "mcp-client-auth"
_SEALED: Final = ".sealed"
_AT_TERMINAL: Final = 60.0
_ALONE: Final = 3.0
_LEFT_ALONE: Final = "it did not answer before and is left alone in this process"
# Windows takes 2,560 bytes of UTF-16, less in practice; a bridge to it takes no more.
_SMALL: Final = 1000


class KeyringStorage(Records):
    """Items of the service `mcp-client-auth:ID` in the keyring that `keyring` finds.

    `timeout`: seconds for one call; by default 60 at a terminal, where a person may be
    unlocking the keyring, and 3 elsewhere.
    """

    name = "keyring"

    def __init__(self, directory: Directory | None = None, timeout: float | None = None) -> None:
        super().__init__(directory)
        self._timeout = timeout

    @property
    def where(self) -> str:
        return f"the OS keyring ({label(SHARED.backend)})" if SHARED.backend else "the OS keyring"

    def place(self, item: Item) -> str:
        return f"{self.where}, item {_service(item.id)}"

    def check(self) -> None:
        """Write, read back and delete a canary, once a process."""
        if SHARED.checked:
            return
        canary = secrets.token_hex(8)
        item = f"canary-{canary}"
        self._set(item, canary)
        try:
            kept = self._get(item)
        except StorageError:
            with suppress(StorageError):
                self._unset(item)
            raise
        self._unset(item)
        if kept != canary:
            raise self._failure("it does not keep what is written to it")
        SHARED.checked = True

    def read(self, item: Item) -> str | None:
        text = self._get(item.id)
        key = _seal_of(text, self.place(item))
        if key is None:
            return text
        file = item.id + _SEALED
        sealed = self.directory.read(file)
        place = str(self.directory.path / file)
        if sealed is None:
            raise damaged(place)
        try:
            return unseal(sealed, key, item.about, place)
        except StorageError as error:
            if error.code == "wrong_key":  # the key is ours: the two do not belong together
                raise damaged(place) from None
            raise

    def write(self, item: Item, text: str) -> None:
        file = item.id + _SEALED
        if len(text) <= _SMALL or roomy(self._backend()):
            self._set(item.id, text)
            self.directory.remove(file)
            return
        held = self._get(item.id)  # a keyring that fails must do so before the file changes
        key = None
        with suppress(StorageError):
            key = _seal_of(held, "")
        if key:  # it is there already: then the file alone changes
            self.directory.write(file, seal(text, key, item.about))
            return
        key = new_key()
        self.directory.write(file, seal(text, key, item.about))
        self._set(item.id, json.dumps({"version": VERSION, "seal": key.reveal()}))

    def remove(self, item: Item) -> None:
        self._unset(item.id)
        with suppress(StorageError):
            self._unset(item.id + DAMAGED)
        for name in (_SEALED, _SEALED + DAMAGED):
            self.directory.remove(item.id + name)

    def set_aside(self, item: Item) -> None:
        text = self._get(item.id)
        if text is not None:
            self._set(item.id + DAMAGED, text)
        self.directory.set_aside(item.id + _SEALED)

    def _get(self, name: str) -> str | None:
        value: str | None = self._call(lambda k: k.get_password(_service(name), _USER))
        return value

    def _set(self, name: str, text: str) -> None:
        def keep(backend: Any) -> None:
            try:
                backend.set_password(_service(name), _USER, text)
            except Exception as error:
                raise self._failure(why_not_kept(error), error) from None

        self._call(keep)

    def _unset(self, name: str) -> None:
        def delete(backend: Any) -> None:
            if backend.get_password(_service(name), _USER) is not None:
                backend.delete_password(_service(name), _USER)

        self._call(delete)

    def _backend(self) -> Any:
        return SHARED.backend or self._call(lambda backend: backend)

    def _call(self, action: Callable[[Any], T]) -> T:
        if SHARED.backend is None:
            _load()
        limit = self._limit()
        known = SHARED.stuck
        try:
            return SHARED.call(usable, action, limit)
        except Stuck:
            late = f"it did not answer within {limit:.0f} s; a prompt to unlock it may be waiting"
            raise self._failure(_LEFT_ALONE if known else late) from None
        except StorageError:
            raise
        except Exception as error:  # backends raise whatever their platform does
            raise self._failure(why(error), error) from None

    def _limit(self) -> float:
        if self._timeout is not None:
            return self._timeout
        stdin = sys.stdin
        person = stdin is not None and not stdin.closed and stdin.isatty()
        return _AT_TERMINAL if person else _ALONE

    def _failure(self, said: str, error: Exception | None = None) -> StorageError:
        return StorageError(
            f"{self.where} cannot be used: {said}", code="keyring", hint=remedy(error)
        )


def _load() -> None:
    """Import what most of the time goes into: in a crowd it takes longer than any keyring may."""
    with suppress(ImportError):
        importlib.import_module("keyring.backends.SecretService")


def _service(name: str) -> str:
    return f"{SERVICE}:{name}"


def _seal_of(text: str | None, place: str) -> Secret | None:
    """The key that an item holds instead of a record."""
    if text is None or '"seal"' not in text[:40]:
        return None
    key = record(text, place).get("seal")
    return Secret(key) if isinstance(key, str) else None
