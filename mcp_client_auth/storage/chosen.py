"""The storage of one session: a credential is found where it lies and kept where one wants it.

Which storage that is is looked up at each use, so that a login which somebody has made
meanwhile, under another one, is found.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Final

from ..credential import ClientKey, Credential, Key
from ..errors import StorageError, Unavailable
from ..protocol.registration import Client
from . import LOCK_WAIT, Storage, Summary, storage_named
from .index import Index
from .sealing import given_key

_LEFT: Final = "left"  # a note: the storage that may hold a secret beside the one in the index
_ABSENT: Final = "no_keyring"


class Chosen:
    """Stands for the storage that holds a credential, or for the one that shall.

    `wanted` is the one that was named, or empty. For a library it may be memory where there
    is no keyring; but where the index says that the keyring holds credentials, an unusable
    keyring stays an error: asking for a new login would not be the remedy.
    """

    __slots__ = ("_decided", "_key", "_last", "_library", "_wanted")

    def __init__(self, key: Key | None, wanted: str, *, library: bool) -> None:
        self._key, self._wanted, self._library = key, wanted, library
        self._decided: Storage | None = None
        self._last: Storage | None = None  # where the credential lay that was just deleted

    @property
    def name(self) -> str:
        return self._target().name

    @property
    def where(self) -> str:
        return (_holder(self._key) or self._target()).where

    def check(self) -> None:
        self._target().check()

    def load(self, key: Key) -> Credential | None:
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
            raise self._out_of_reach(key, holder, error) from None

    def save(self, credential: Credential) -> None:
        key, self._last = credential.key, None
        holder, target = _holder(key), self._target(key)
        if holder is None or holder.name == target.name:
            target.save(credential)
            if holder is None and target.note(key, _LEFT) == target.name:
                target.set_note(key, _LEFT, "")  # what was left there is overwritten
            return
        target.set_note(key, _LEFT, target.name)  # should this end before the index says so
        try:
            target.save(credential)
        except StorageError:
            # a refresh token that was rotated is lost with its successor, so that stays here
            holder.save(credential)
            raise
        target.set_note(key, _LEFT, holder.name)
        with suppress(StorageError):  # else it is removed with the credential
            holder.delete(key)
            target.set_note(key, _LEFT, "")

    def delete(self, key: Key) -> None:
        holder = self._last = _holder(key)
        target = holder or self._target(key)
        left = target.note(key, _LEFT)
        try:
            target.delete(key)
        except StorageError as error:
            if holder or error.code != _ABSENT:
                raise
        if self._decided and self._decided.name == "memory":  # made before the one that lasts
            self._decided.delete(key)
        if left:
            with suppress(StorageError):  # else it is removed when it is in reach: `_outlived`
                storage_named(left).delete(key)
                target.set_note(key, _LEFT, "")

    def list(self) -> Sequence[Summary]:
        memory = self._decided if self._decided and self._decided.name == "memory" else None
        return [*Index().all(), *(memory.list() if memory else ())]

    def summary(self, key: Key) -> Summary | None:
        return Index().get(key) or (self._decided.summary(key) if self._decided else None)

    def load_client(self, key: ClientKey) -> Client | None:
        beside = self._beside()
        found = beside.load_client(key)
        if found is None and beside.name == "keyring":
            return storage_named("file").load_client(key)
        return found

    def save_client(self, key: ClientKey, client: Client) -> None:
        self._beside().save_client(key, client)

    def delete_client(self, key: ClientKey) -> None:
        """Also from the files, where it lies in clear text if its credential has moved away."""
        beside = self._beside()
        beside.delete_client(key)
        if beside.name == "keyring":
            storage_named("file").delete_client(key)

    def note(self, key: Key, name: str) -> str | None:
        return self._target(key).note(key, name)

    def set_note(self, key: Key, name: str, text: str) -> None:
        self._target(key).set_note(key, name, text)

    @contextmanager
    def lock(
        self, key: Key | ClientKey, purpose: str = "refresh", timeout: float = LOCK_WAIT
    ) -> Iterator[None]:
        """The lock of the storage that is meant when it is held: it may change while we wait."""
        while True:
            target = self._target(key)
            with target.lock(key, purpose, timeout):
                if self._target(key).name == target.name:
                    yield
                    return

    def _outlived(self, key: Key) -> bool:
        """Whether what lies there was out of reach when its login ended; then it is removed."""
        target = self._target(key)
        if target.note(key, _LEFT) != target.name:
            return False
        with suppress(StorageError, Unavailable), target.lock(key, timeout=0):
            if _holder(key) is None:  # nobody has logged in meanwhile
                target.delete(key)
                target.set_note(key, _LEFT, "")
        return _holder(key) is None

    def _target(self, key: Key | ClientKey | None = None) -> Storage:
        """Where something of this key is to be kept."""
        if self._wanted:
            return storage_named(self._wanted)
        held = _holder(key if isinstance(key, Key) else self._key)
        return held or self._decided or self._home()

    def _beside(self) -> Storage:
        """Where the registration lies that the session's credential uses, or used till now."""
        return self._last or self._target()

    def _home(self) -> Storage:
        if given_key():
            return storage_named("file")
        index = Index()
        keyring, chosen = storage_named("keyring"), index.chosen()
        if chosen or not self._library:
            return storage_named(chosen) if chosen else keyring
        try:
            keyring.load(_PROBE)
        except StorageError as error:
            if not any(entry.storage == keyring.name for entry in index.all()):
                _warn_once(str(error))
                self._decided = storage_named("memory")
                return self._decided
        self._decided = keyring
        return keyring

    def _out_of_reach(self, key: Key, holder: Storage, error: StorageError) -> StorageError:
        """Where the login lies, so that nobody makes another instead of reaching that one."""
        anew = self._wanted not in ("", holder.name)
        hint = f"{error.hint}. Or log in anew, with --force" if anew else error.hint
        return StorageError(
            f"the login to {key.server} is kept in {holder.where}: {error.summary}",
            code="elsewhere" if anew else error.code,
            server=key.server,
            hint=hint,
        )


_PROBE: Final = Key("")


def _holder(key: Key | None) -> Storage | None:
    """The storage that the index names; a file is found also where its entry is lost."""
    if key is None:
        return None
    index = Index()
    entry = index.get(key)
    if entry is None:
        return storage_named("file") if index.has_file(key) else None
    return storage_named(entry.storage) if entry.storage in ("keyring", "file") else None


@cache
def _warn_once(why: str) -> None:
    warnings.warn(
        f"{why}. Until then the credential lasts as long as this process.",
        RuntimeWarning,
        stacklevel=4,
    )
