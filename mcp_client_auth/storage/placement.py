"""Which store holds a login and which one a new login goes to: the storage of one session.

Both are looked up at each use, so that a login is found that another process has meanwhile made
in another store.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from ..credential import ClientKey, Key, Note
from ..environment import kernel
from ..errors import Remedy, StorageError, Unavailable, UsageError
from ..secret import quoted
from .backend import LOCK_WAIT, Item
from .directory import Directory
from .file import FileBackend, FileStorage
from .index import LASTING, Index, Summary
from .sealed import given_key
from .settings import Settings
from .store import Storage, Store

CHOICES: Final = (*LASTING, "memory")
REDIS: Final = ("redis", "rediss", "unix")
POSTGRES: Final = ("postgresql", "postgres")
VARIABLE: Final = "MCP_CLIENT_AUTH_STORAGE"
_LEFT: Final = "left"  # a note: the store that may hold a secret beside the one in the index
_PACKAGE: Final = __name__.partition(".")[0] + "."
_ABSENT: Final = "no_keyring"
_PROBE: Final = Key("")


def choose_storage(storage: Storage | str | None = None, key: Key | None = None) -> Storage:
    """Where to look for `key` and where to keep it; nothing is touched yet, see `Storage.check`.

    A login is read from the place that the index names. A new one goes to `storage` if it is
    given, otherwise to the environment's, the sealed file if there is a key for it, what a person
    has chosen before, or the keyring, in this order. `UsageError` for an unknown name.
    """
    return _chosen(storage, key, library=False)


def library_storage(storage: Storage | str | None = None, key: Key | None = None) -> Storage:
    """The same for a library, which cannot ask: without a keyring it is memory, with a warning."""
    return _chosen(storage, key, library=True)


def storage_named(name: str) -> Store:
    """The store of this name, whatever the index says; `UsageError` for an unknown name."""
    if name == "memory":
        from .memory import process_memory

        return process_memory()
    if name not in CHOICES:
        raise _unknown(name)
    return _store(name, Directory().path)


def local_index(directory: Directory | None = None) -> Index:
    """The index of all logins in the user's directory, whichever store keeps the secrets."""
    return Index(FileBackend(directory))


def name_of(storage: Storage) -> str:
    """What `storage=` calls it; empty for a caller's own."""
    if isinstance(storage, Store | Placement):
        return storage.name
    return str(getattr(storage, "name", "")) if storage.shared else ""


@cache
def shared_at(url: str) -> Storage:
    """The storage that hosts share, by the URL of its engine; one object for all sessions."""
    scheme = url.partition("://")[0]
    if scheme in REDIS:
        from .redis import RedisStorage

        return RedisStorage(url)
    if scheme in POSTGRES:
        from .postgres import PostgresStorage

        return PostgresStorage(url)
    raise UsageError(  # not the URL itself, which may have a password in it
        f"there is no storage with URLs of the scheme {quoted(scheme, 40)}",
        hint=f"Known: {', '.join((*REDIS, *POSTGRES))}",
    )


class Placement(Storage):
    """A storage that passes each call on to the store of its key.

    `choice` names the store for new logins, or is empty. For a library this may be memory if
    there is no keyring. But if the index says that the keyring holds logins, an unusable keyring
    stays an error: asking for a new login would not be the remedy.
    """

    __slots__ = ("_choice", "_key", "_last", "_library", "_new")

    def __init__(self, key: Key | None, choice: str, *, library: bool) -> None:
        self._key, self._choice, self._library = key, choice, library
        self._new: Store | None = None  # for new logins, once that is known
        self._last: Store | None = None  # where the login was that was just deleted

    @property
    def name(self) -> str:
        return self._target().name

    @property
    def where(self) -> str:
        return (_holder(self._key) or self._target()).where

    def check(self) -> None:
        self._target().check()

    def list(self, most: int | None = None, /, **fields: str) -> Sequence[Summary]:
        memory = self._memory
        beside = memory.list(most, **fields) if memory else ()
        return [*local_index().all(most, **fields), *beside][:most]

    def summary(self, key: Key) -> Summary | None:
        memory = self._memory
        return local_index().get(key) or (memory.summary(key) if memory else None)

    @contextmanager
    def lock(
        self, key: Key | ClientKey, purpose: str = "refresh", timeout: float = LOCK_WAIT
    ) -> Iterator[None]:
        """Hold the lock of the store that is the target then: it may change while we wait."""
        while True:
            target = self._target(key)
            with target.lock(key, purpose, timeout):
                if self._target(key).name == target.name:
                    yield
                    return

    def hold(self, name: str, text: str, seconds: float) -> None:
        self._target().hold(name, text, seconds)

    def pop(self, name: str) -> str | None:
        return self._target().pop(name)

    def _load(self, key: Any) -> Any:
        if not isinstance(key, Key):
            values = (store.load(key) for store in self._stores(key))
            return next((value for value in values if value is not None), None)
        holder = _holder(key)
        try:
            if holder is None and self._outlived(key):
                return None
            return (holder or self._target(key)).load(key)
        except StorageError as error:
            if holder is None and error.code == _ABSENT:
                return None
            if holder is None or error.code in ("damaged_record", "newer_record"):
                raise
            # the error says where the login is, so that no one makes a second one
            elsewhere = self._choice not in ("", holder.name)
            again = Remedy("Or log in again with {login.force=True}") if elsewhere else ""
            raise StorageError(
                f"the login to {key.server} is kept in {holder.where}: {error.summary}",
                code="elsewhere" if elsewhere else error.code,
                server=key.server,
                hint=Remedy.joined(error.remedy, again),
            ) from None

    def _save(self, value: Any, key: Any) -> None:
        if not isinstance(key, Key):
            self._stores(key)[0].save(value, key)
            return
        self._last = None
        holder, target, left = _holder(key), self._target(key), Note(key, _LEFT)
        if holder is None or holder.name == target.name:
            target.save(value)
            if holder is None and target.load(left) == target.name:
                target.delete(left)  # what was left there is overwritten
            return
        target.save(target.name, left)  # in case this process ends before the index says so
        try:
            target.save(value)
        except StorageError:
            # the old refresh token may be void already, so its successor has to stay here
            holder.save(value)
            raise
        target.save(holder.name, left)
        with suppress(StorageError):  # otherwise it is removed with the login
            holder.delete(key)
            target.delete(left)

    def _delete(self, key: Any) -> None:
        if not isinstance(key, Key):
            for store in self._stores(key):
                store.delete(key)
            return
        holder = self._last = _holder(key)
        target, left = holder or self._target(key), Note(key, _LEFT)
        copy = target.load(left)
        try:
            target.delete(key)
        except StorageError as error:
            if holder or error.code != _ABSENT:
                raise
        if self._memory:  # it was made before the lasting one
            self._memory.delete(key)
        if copy in LASTING:
            if copy == target.name:  # a move was interrupted before the note named its origin
                copy = next(name for name in LASTING if name != target.name)
            try:
                storage_named(copy).delete(key)
                target.delete(left)
            except StorageError:  # it is done once that is in reach: `_outlived`
                with suppress(StorageError):
                    target.save(copy, left)

    def _stores(self, key: ClientKey | Note) -> Sequence[Store]:
        """The stores of what is not a login. A registration is with the session's login, and in
        clear text in the files if that login has moved away from there."""
        if isinstance(key, Note):
            return [self._target(key.key)]
        beside = self._last or self._target()
        return [beside, storage_named("file")] if beside.name == "keyring" else [beside]

    def _outlived(self, key: Key) -> bool:
        """Whether what is there was out of reach when its login ended; if so, it is removed."""
        target, left = self._target(key), Note(key, _LEFT)
        if target.load(left) != target.name:
            return False
        with suppress(StorageError, Unavailable), target.lock(key, timeout=0):
            if _holder(key) is None:  # no one has logged in meanwhile
                target.delete(key)
                target.delete(left)
        return _holder(key) is None

    @property
    def _memory(self) -> Store | None:
        return self._new if self._new and self._new.name == "memory" else None

    def _target(self, key: Key | ClientKey | None = None) -> Store:
        """The store that should keep what belongs to this key."""
        if self._choice:
            return storage_named(self._choice)
        key = key if isinstance(key, Key) else self._key
        holder = _holder(key)
        if holder is None and key and key.waits:  # it waits where it will be kept
            holder = _holder(key.place)
        if known := holder or self._new:
            return known
        if given_key():
            return storage_named("file")
        keyring, chosen = storage_named("keyring"), Settings().chosen()
        if chosen or not self._library:
            return storage_named(chosen) if chosen else keyring
        try:
            keyring.load(_PROBE)
        except StorageError as error:
            if not local_index().all(storage=keyring.name):
                _warn_once(str(error))
                self._new = storage_named("memory")
                return self._new
        self._new = keyring
        return keyring


def _chosen(storage: Storage | str | None, key: Key | None, *, library: bool) -> Storage:
    if storage is not None and not isinstance(storage, str):
        return storage
    name = storage or os.environ.get(VARIABLE) or ""
    if "://" in name:
        return shared_at(name)
    if name == "memory":
        return storage_named(name)
    if name and name not in CHOICES:
        raise _unknown(name, "" if storage else f", as {VARIABLE} has it")
    return Placement(key, name, library=library)


def _holder(key: Key | None) -> Store | None:
    """The store that the index names; a file also counts if its entry is lost."""
    if key is None:
        return None
    entry = local_index().get(key)
    if entry is None:
        return storage_named("file") if Directory().has(Item.of(key).name) else None
    return storage_named(entry.storage)


@cache
def _store(name: str, home: Path) -> Store:
    """One object for all sessions: it remembers which of its records are damaged."""
    if name == "file":
        return FileStorage(home)
    from .keyring import KeyringStorage

    return KeyringStorage(Directory(home))


def _unknown(name: str, source: str = "") -> UsageError:
    known = ", ".join(CHOICES)
    return UsageError(f"there is no storage {quoted(name, 40)}{source}", hint=f"Known: {known}")


@cache
def _warn_once(why: str) -> None:
    if kernel() is not None:  # one line, without the name of a file that its reader does not have
        short = "no OS keyring here: this login lasts until the kernel ends"
        text = f'{short} (storage="file" keeps it, readable by you only)'
        warnings.warn_explicit(text, RuntimeWarning, "mcp_client_auth", 1)
        return
    text = f"{why}. Until then the credential lasts as long as this process."
    frame, modules = sys._getframe(), [__name__]
    while frame := frame.f_back:  # type: ignore[assignment]
        modules.append(frame.f_globals.get("__name__") or "")
    # the line that called this package; there is none on a thread of our own
    level = 1 + max(at for at, name in enumerate(modules, 1) if name.startswith(_PACKAGE))
    if modules[level - 1 : level] == ["threading"]:
        level = len(modules) + 1
    warnings.warn(text, RuntimeWarning, stacklevel=level)
