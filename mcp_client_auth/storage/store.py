"""Logins, registrations and notes over a vault and a backend: written once for every place."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Final, overload

from ..credential import (
    ClientKey,
    Credential,
    Key,
    Note,
    damaged,
    dumps,
    dumps_client,
    loads,
    loads_client,
    moment,
    string,
)
from ..errors import StorageError, Unavailable
from ..paths import PENDING, record_id
from ..protocol.client import Client
from ..protocol.frozen import replace
from ..protocol.json_text import json_value
from .backend import LOCK_WAIT, Backend, Item, Vault
from .index import LASTING, Index, Summary

NOTES: Final = ("cooling", "consent", "refused", "ended")  # of a login, and deleted with it
OUTAGE: Final = "outage"  # a note of a shared storage, for all hosts that would send there
STORE_DOWN: Final = "store"  # the code of `Unavailable` if it is not the server's fault
SUPERSEDED: Final = "superseded"
_DAMAGED: Final = ("damaged_record",)
# what a new registration may replace: also one that was sealed with a key now lost
_REPLACEABLE: Final = (*_DAMAGED, "no_key", "wrong_key")


class Storage(ABC):
    """The storage that a session sees. Each of its members may raise `StorageError`.

    The type of the key tells what is kept under it: a `Credential` under a `Key`, a `Client`
    under a `ClientKey`, a text without secrets under a `Note`. For a place of your own write a
    `Backend`, which `Store` turns into a storage.

    Example:
        ```python
        from mcp_client_auth import FileStorage, Storage, login


        def kept(storage: Storage) -> str:
            with login("https://mcp.example.com/mcp", storage=storage) as me:
                return f"{me.server} in {storage.where}"


        print(kept(FileStorage("logins")))
        ```
    """

    __slots__ = ()
    shared = False  # by processes on many hosts; each use costs a request over the network

    @property
    @abstractmethod
    def where(self) -> str:
        """Where the secrets are, in words for people: "the OS keyring (Secret Service)"."""

    @abstractmethod
    def check(self) -> None:
        """Prove that it keeps what it is given; called before a browser opens."""

    @abstractmethod
    def list(self, most: int | None = None, /, **fields: str) -> Sequence[Summary]:
        """All logins, or those with these fields (`server`, `account`, `client_id`, `issuer`,
        `storage`), `most` of them at most; no secret is read."""

    @abstractmethod
    def summary(self, key: Key) -> Summary | None:
        """One login, without reading its secret."""

    @abstractmethod
    def lock(
        self, key: Key | ClientKey, purpose: str = "refresh", timeout: float = LOCK_WAIT
    ) -> AbstractContextManager[object]:
        """Exclude every other holder of this key and purpose.

        Raises `Unavailable` (code "locked") after `timeout` seconds.
        """

    @contextmanager
    def turn(self, key: Key) -> Iterator[bool]:
        """Hold the lock for a renewal of what this thread has just loaded; yield `False`, without
        the lock, if there is something newer."""
        with self.lock(key):
            yield True

    @overload
    def load(self, key: Key) -> Credential | None: ...
    @overload
    def load(self, key: ClientKey) -> Client | None: ...
    @overload
    def load(self, key: Note) -> str | None: ...
    def load(self, key: Key | ClientKey | Note) -> Credential | Client | str | None:
        """What is kept under a key, or None."""
        value: Credential | Client | str | None = self._load(key)
        return value

    @overload
    def save(self, value: Credential) -> None: ...
    @overload
    def save(self, value: Client, key: ClientKey) -> None: ...
    @overload
    def save(self, value: str, key: Note) -> None: ...
    def save(self, value: Credential | Client | str, key: ClientKey | Note | None = None) -> None:
        """Keep a value instead of what was there; a credential knows its own key."""
        self._save(value, value.key if isinstance(value, Credential) else key)

    def save_for(self, text: str, note: Note, seconds: float) -> None:
        """Keep a note for `seconds`, or longer if notes do not expire by themselves here."""
        self.save(text, note)

    def alias(self, account: str) -> str:
        """An account's name in logs: an HMAC with the key of the environment, empty without one."""
        from .sealed import given_keys, named

        return next((named(key, "account", account) for key in given_keys()), "")

    def time_there(self, moment: float) -> float:
        """A time of this host, by the clock that all hosts of this storage use."""
        return moment

    def time_here(self, moment: float) -> float:
        """The reverse of `time_there`."""
        return moment

    def delete(self, key: Key | ClientKey | Note) -> None:
        """Remove what is kept under a key; not an error if there is nothing."""
        self._delete(key)

    def hold(self, name: str, text: str, seconds: float) -> None:
        """Keep a secret text for a login that is under way, for `seconds` at most."""
        raise StorageError(
            f"{self.where} does not keep logins that are under way",
            code="not_held",
            hint="Derive from Store, or implement hold and pop",
        )

    def pop(self, name: str) -> str | None:
        """What is held under a name, for the first caller only; None if there is nothing."""
        raise StorageError(f"{self.where} does not keep logins that are under way", code="not_held")

    @abstractmethod
    def _load(self, key: Any) -> Any: ...
    @abstractmethod
    def _save(self, value: Any, key: Any) -> None: ...
    @abstractmethod
    def _delete(self, key: Any) -> None: ...


def save_firmly(storage: Storage, credential: Credential) -> None:
    """Save what cannot be obtained again, such as a rotated refresh token; retry once.

    Under load a keyring may fail for a moment, and the next process would send the old token.
    """
    try:
        storage.save(credential)
    except Exception as error:  # a storage of the caller's may raise anything
        if isinstance(error, Unavailable) or getattr(error, "code", "") == SUPERSEDED:
            raise
        storage.save(credential)


def _held(name: str) -> Item:
    return Item(record_id("pending", name), PENDING, ("pending", name))


_HELD: Final = _held("")


class Store(Storage):
    """One place: `vault` keeps the secrets, `beside` keeps entries, notes and locks.

    The index names the store before the secret is written and until after it is removed, so a
    crash can leave an entry without a secret, but never a secret that no one finds.

    Example:
        ```python
        from mcp_client_auth import Store, login
        from own_backend import SqliteBackend  # examples/own_backend.py

        storage = Store("sqlite", SqliteBackend("logins.db"))
        me = login("https://mcp.example.com/mcp", storage=storage)
        ```
    """

    def __init__(self, name: str, beside: Backend, vault: Vault | None = None) -> None:
        self.name, self.beside, self.vault = name, beside, vault or beside
        self.index = Index(beside, *(LASTING if name in LASTING else (name,)))
        self._damaged: set[str] = set()
        self._held: deque[tuple[float, Item]] = deque()

    @property
    def where(self) -> str:
        return self.vault.where()

    def check(self) -> None:
        self.vault.check()

    def list(self, most: int | None = None, /, **fields: str) -> Sequence[Summary]:
        return self.index.all(most, **fields)

    def summary(self, key: Key) -> Summary | None:
        return self.index.get(key)

    def lock(
        self, key: Key | ClientKey, purpose: str = "refresh", timeout: float = LOCK_WAIT
    ) -> AbstractContextManager[object]:
        return self.beside.lock(key.id, purpose, timeout)

    def hold(self, name: str, text: str, seconds: float) -> None:
        now, item = time.time(), _held(name)
        # those that no one fetched; a directory removes what an ended process has left
        while self._held and self._held[0][0] < now:
            with suppress(StorageError, IndexError):  # another thread may take it
                self.vault.delete(self._held.popleft()[1])
        until = now + seconds
        self.vault.write(item, json.dumps({"until": until, "text": text}))
        self._held.append((until, item))

    def pop(self, name: str) -> str | None:
        item = _held(name)
        with self.beside.lock(_HELD.id, "pending", LOCK_WAIT):
            kept = self.vault.read(item)
            if kept is None:
                return None
            self.vault.delete(item)
        try:
            read = json_value(kept)
            until, text = moment(read["until"]), string(read["text"])
        except (ValueError, KeyError, TypeError):
            raise damaged(self.vault.where(item)) from None
        return text if time.time() <= until else None

    def _load(self, key: Any) -> Any:
        try:
            if isinstance(key, Note):
                return self.beside.read(Item.of(key))
            value = self._read(key)
        except StorageError as error:
            if error.code not in (_REPLACEABLE if isinstance(key, ClientKey) else _DAMAGED):
                raise
            if not isinstance(key, Note):
                self._damaged.add(key.id)
            if isinstance(key, Key):
                raise
            return None  # the next note or registration takes its place
        self._damaged.discard(key.id)
        return self._healed(key, value) if isinstance(key, Key) else value

    def _save(self, value: Any, key: Any) -> None:
        """A login is a secret and an entry, which are kept in step."""
        if isinstance(key, Note):
            self.beside.write(Item.of(key), value)
            return
        if isinstance(key, ClientKey):
            self._write(key, dumps_client(value))
            return
        summary = Summary.of(value, self.name, self.vault.backend)
        old = self.index.get(key)
        if old is None:
            self.index.put(summary)
        try:
            self._write(key, dumps(value))
        except BaseException:
            if old is None:
                self.index.drop(key)
            raise
        summary, entry = replace(summary, backend=self.vault.backend), self.index.get(key)
        # a proof before a refresh changes nothing
        if entry != summary or entry.backend != summary.backend:
            self.index.put(summary, old)

    def _delete(self, key: Any) -> None:
        if isinstance(key, Note):
            self.beside.delete(Item.of(key))
            return
        entry = self.index.get(key) if isinstance(key, Key) else None
        if isinstance(key, ClientKey) or (entry and entry.storage != self.name):
            self._remove(key)  # the entry, if any, is that of the secret in the other store
            return
        if entry is not None:
            self.index.bury(entry)
        try:
            self._remove(key)
        except StorageError:
            if entry is not None and self.index.get(key) is None:
                with suppress(StorageError):
                    self.index.unbury(entry)
            raise
        self.index.drop(key)
        for name in NOTES:
            self.delete(Note(key, name))

    def _read(self, key: Key | ClientKey) -> Any:
        item = Item.of(key)
        text = self.vault.read(item)
        if text is None:
            return None
        if isinstance(key, ClientKey):
            return loads_client(text, self.vault.where(item))
        credential = loads(text, self.vault.where(item))
        if credential.key != key:
            raise damaged(self.vault.where(item))  # copied here from another place
        return replace(credential, key=key)  # one Key shared by all holders, not one each

    def _write(self, key: Key | ClientKey, text: str) -> None:
        """Write a text; what was read as damaged there is set aside first."""
        if key.id in self._damaged:
            self.vault.set_aside(Item.of(key))
            self._damaged.discard(key.id)
        self.vault.write(Item.of(key), text)

    def _remove(self, key: Key | ClientKey) -> None:
        item = Item.of(key)
        self.vault.delete(item)
        with suppress(StorageError):
            self.vault.delete(item.aside)

    def _healed(self, key: Key, credential: Credential | None) -> Credential | None:
        """What was read, once the index agrees with it.

        A crash may have come between the two, an item may have been deleted by hand, or a write
        that was given up may have landed late. Or another process is writing both right now, so
        the index is repaired only under the lock, or by the next reader.
        """
        if self._agrees(key, credential):
            return credential
        # a read must neither fail because nothing can be written, nor wait for a writer
        with suppress(StorageError, Unavailable), self.lock(key, timeout=0):
            credential = self._read(key)
            if credential is None:
                if not self._agrees(key, None):
                    self.index.drop(key)
            elif self._ended(key, credential):
                self._remove(key)
            elif not self._agrees(key, credential):
                self.index.put(Summary.of(credential, self.name, self.vault.backend))
        return None if credential and self._ended(key, credential) else credential

    def _agrees(self, key: Key, credential: Credential | None) -> bool:
        entry = self.index.get(key)
        if credential is None:
            return entry is None or entry.storage != self.name
        if entry is None:
            return False
        late = credential.generation < entry.generation  # the holder of the later one repairs it
        return entry.storage != self.name or late or entry == Summary.of(credential, self.name)

    def _ended(self, key: Key, credential: Credential) -> bool:
        """Whether a record has turned up again after its login was deleted."""
        return self.index.get(key) is None and self.index.buried(key, credential.generation)
