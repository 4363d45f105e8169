"""Logins in the OS keyring itself, one item each.

Only a backend that keeps secrets counts, and every call has a time limit: a locked keyring
with a prompt that no one sees blocks forever. A record too large for some backends is
sealed in a file, and the keyring keeps the key to it.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from ..credential import VERSION, damaged, record
from ..environment import is_terminal
from ..errors import StorageError
from ..paths import RECORD
from ..secret import Secret
from .backend import WHOLE, Item, Vault
from .directory import Directory
from .file import FileBackend
from .keyring_backends import label, remedy, roomy, usable, why, why_not_kept
from .keyring_thread import SHARED, Ring, Stuck
from .sealed import Sealed, is_key, new_key
from .store import Store

T = TypeVar("T")
SERVICE: Final = "mcp-client-auth"
_USER: Final = "mcp-client-auth"
_SEALED: Final = ".sealed"
_AT_TERMINAL: Final = 60.0
_ALONE: Final = 3.0
_LEFT_ALONE: Final = "it did not answer before and is left alone until it does"


class OneKeyring(Vault):
    """One backend of the `keyring` library; `timeout` limits each call."""

    def __init__(self, ring: Ring, timeout: float | None) -> None:
        self.ring, self._timeout = ring, timeout

    @property
    def is_chosen(self) -> bool:
        return self.ring is SHARED.chosen

    @property
    def is_roomy(self) -> bool:
        return roomy(self.ring.backend)

    def where(self, item: Item | None = None) -> str:
        return _place(self.ring, item)

    def read(self, item: Item) -> str | None:
        def get(backend: Any) -> str | None:
            text: str | None = backend.get_password(_service(item), _USER)
            return text

        return self._call(get)

    def write(self, item: Item, text: str) -> None:
        def keep(backend: Any) -> None:
            try:
                backend.set_password(_service(item), _USER, text)
            except Exception as error:
                raise _failure(self.ring, why_not_kept(error), error) from None

        self._call(keep)

    def delete(self, item: Item) -> None:
        def remove(backend: Any) -> None:
            if backend.get_password(_service(item), _USER) is not None:
                backend.delete_password(_service(item), _USER)

        self._call(remove)

    def unkept(self) -> StorageError:
        return _failure(self.ring, "it does not keep what is written to it")

    def _call(self, action: Callable[[Any], T]) -> T:
        return _timed(self.ring, self._timeout, lambda limit: self.ring.call(action, limit))


class KeyringVault(Vault):
    """Items of the service `mcp-client-auth:ID`; `files` keeps what is too large, sealed."""

    def __init__(self, files: Vault, timeout: float | None = None) -> None:
        self._files, self._timeout = files, timeout

    def where(self, item: Item | None = None) -> str:
        return _place(SHARED.chosen, item)

    @property
    def backend(self) -> str:
        return type(SHARED.chosen.backend).__module__ if SHARED.chosen else ""

    def look(self, item: Item | None = None) -> None:
        self._in_order()

    def check(self) -> None:
        """Write, read back and delete a canary, once a process; the first to keep it is chosen."""
        if SHARED.checked:
            return
        failed: list[StorageError] = []
        for one in self._in_order():
            try:
                one.check()
            except StorageError as error:
                failed.append(error)
                SHARED.tell(error.summary, "the next one of the chain is tried")
                continue
            SHARED.chosen, SHARED.checked = one.ring, True
            return
        failed[0].summary = "; ".join(error.summary for error in failed)
        raise failed[0]

    def read(self, item: Item) -> str | None:
        text = self._look(item)[1]
        try:
            return self._opened(item, text)
        except StorageError:
            now = self._look(item)[1]
            if now == text:
                raise
        return self._opened(item, now)  # another process was between its two writes

    def _opened(self, item: Item, text: str | None) -> str | None:
        """Return the text that an item of the keyring stands for."""
        if text is not None and not isinstance(text, str):  # backends are other people's
            raise damaged(self.where(item))
        key = _seal_of(text, self.where(item))
        if key is None:
            return text
        beside = _beside(item)
        try:
            text = self._sealed(key).read(beside)
        except StorageError as error:
            if error.code == "wrong_key":  # the key is ours: the two do not belong together
                raise damaged(self._files.where(beside)) from None
            raise
        if text is None:
            raise damaged(self._files.where(beside))
        return text

    def write(self, item: Item, text: str) -> None:
        beside = _beside(item)
        if len(text) <= WHOLE or self._holder(item).is_roomy:
            self._holder(item).write(item, text)
            self._files.delete(beside)
            return
        kept = self._look(item)[1]  # a keyring that fails must do so before the file changes
        key = None
        with suppress(StorageError):
            key = _seal_of(kept, "")
        if key:  # the keyring has it already, so only the file changes
            self._sealed(key).write(beside, text)
            return
        key = new_key()
        self._sealed(key).write(beside, text)
        self._holder(item).write(item, json.dumps({"version": VERSION, "seal": key.reveal()}))

    def delete(self, item: Item) -> None:
        """Delete an item wherever it is: a login that moved on may have left one behind."""
        for one in self._in_order():
            try:
                if one.is_chosen or _is_ours(one.read(item)):
                    one.delete(item)
            except StorageError:
                if one.is_chosen:
                    raise
        self._files.delete(_beside(item))

    def set_aside(self, item: Item) -> None:
        text = self._look(item)[1]
        if isinstance(text, str):
            self._holder(item.aside).write(item.aside, text)
        self._files.set_aside(_beside(item))

    def _sealed(self, key: Secret) -> Sealed:
        return Sealed(self._files, lambda: key)

    def _holder(self, item: Item) -> OneKeyring:
        """The backend that holds an item, or the one for a new item."""
        all_of_them = self._in_order()
        if len(all_of_them) == 1:
            return all_of_them[0]
        holder, text = self._look(item)
        if text is None and SHARED.chosen is None:
            self.check()
        return self._in_order()[0] if text is None and SHARED.chosen else holder

    def _look(self, item: Item) -> tuple[OneKeyring, str | None]:
        """The backend of a chain that holds an item, and its text.

        Until a trial has chosen one, it is the first that holds an item of ours. Failures of the
        others do not matter once one works.
        """
        failed = False
        for one in self._in_order():
            try:
                text = one.read(item)
            except StorageError:
                if one.is_chosen:
                    raise
                failed = True
                continue
            if text is not None and (one.is_chosen or _is_ours(text)):
                SHARED.chosen = SHARED.chosen or one.ring
                return one, text
        if failed and SHARED.chosen is None:
            self.check()  # where the login would be: it may be the one that has failed
        return self._in_order()[0], None

    def _in_order(self) -> list[OneKeyring]:
        """All backends, the chosen one first."""
        if SHARED.all is None:
            with suppress(ImportError):  # under load this takes longer than any keyring may
                importlib.import_module("keyring.backends.SecretService")
        rings = _timed(None, self._timeout, lambda limit: SHARED.find(usable, limit))
        if len(rings) == 1:
            SHARED.chosen = rings[0]
        first = sorted(rings, key=lambda ring: ring is not SHARED.chosen)
        return [OneKeyring(ring, self._timeout) for ring in first]


class KeyringStorage(Store):
    """Logins in the keyring that `keyring` finds; index, notes and locks are in files.

    `timeout`: seconds for one call; by default 60 at a terminal, where a person may be
    unlocking the keyring, and 3 elsewhere.

    Example:
        ```python
        from mcp_client_auth import KeyringStorage, MCPAuth

        storage = KeyringStorage()  # what storage="keyring" is short for
        auth = MCPAuth("https://mcp.example.com/mcp", storage=storage)
        ```
    """

    def __init__(self, directory: Directory | None = None, timeout: float | None = None) -> None:
        files = FileBackend(directory)
        self.keyring = KeyringVault(files, timeout)
        super().__init__("keyring", files, self.keyring)


def time_limit(timeout: float | None) -> float:
    """Seconds for one call: more where a person may be unlocking the keyring."""
    if timeout is not None:
        return timeout
    return _AT_TERMINAL if is_terminal(sys.stdin) else _ALONE


def _timed(ring: Ring | None, timeout: float | None, call: Callable[[float], T]) -> T:
    limit = time_limit(timeout)
    known = ring is not None and ring.stuck
    try:
        return call(limit)
    except Stuck:
        late = f"it did not answer within {limit:.0f} s; a prompt to unlock it may be waiting"
        raise _failure(ring, _LEFT_ALONE if known else late) from None
    except StorageError:
        raise
    except Exception as error:  # backends raise whatever their platform does
        raise _failure(ring, why(error), error) from None


def _failure(ring: Ring | None, reason: str, error: Exception | None = None) -> StorageError:
    return StorageError(
        f"{_place(ring)} cannot be used: {reason}", code="keyring", hint=remedy(error)
    )


def _place(ring: Ring | None, item: Item | None = None) -> str:
    place = f"the OS keyring ({label(ring.backend)})" if ring else "the OS keyring"
    return f"{place}, item {_service(item)}" if item else place


def _is_ours(text: Any) -> bool:
    """Whether we wrote a text: a plug-in may return one for any name."""
    return isinstance(text, str) and text.startswith('{"version"')


def _service(item: Item) -> str:
    """What an item is called in the keyring, where all items are secrets."""
    return f"{SERVICE}:{item.id}{item.kind.removeprefix(RECORD)}"


def _beside(item: Item) -> Item:
    """The file of a record that is too large."""
    return item._replace(kind=_SEALED + item.kind.removeprefix(RECORD))


def _seal_of(text: str | None, place: str) -> Secret | None:
    """The key that an item holds instead of a record; None if it holds a record."""
    if not isinstance(text, str) or '"seal"' not in text[:40]:
        return None
    key = record(text, place).get("seal")
    if not isinstance(key, str) or not is_key(key):
        raise damaged(place)
    return Secret(key)
