"""Credentials and registrations as text items: the one mechanism under every storage here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace

from ..credential import (
    ClientKey,
    Credential,
    Key,
    damaged,
    dumps,
    dumps_client,
    loads,
    loads_client,
)
from ..errors import StorageError, Unavailable
from ..protocol.registration import Client
from . import LOCK_WAIT, Summary
from .directory import Directory
from .index import Index


@dataclass(frozen=True, slots=True)
class Item:
    """One text to keep: its id, and what it is about, so that it cannot stand for another."""

    id: str
    about: tuple[str, ...]

    @classmethod
    def of(cls, key: Key | ClientKey) -> Item:
        if isinstance(key, Key):
            return cls(key.id, ("credential", key.server, key.account, key.grant, key.client))
        return cls(key.id, ("client", key.issuer, key.redirect_uri))


class Records(ABC):
    """A storage that keeps each record as one text under the id of its key.

    The index names the storage before the secret is written and after it is removed, so
    that a crash can leave an entry without a secret, and never a secret that nobody finds.
    """

    name: str

    def __init__(self, directory: Directory | None = None) -> None:
        self.directory = directory or Directory()
        self.index = Index(self.directory)
        self._damaged: set[str] = set()

    @property
    @abstractmethod
    def where(self) -> str: ...
    @abstractmethod
    def check(self) -> None: ...
    @abstractmethod
    def read(self, item: Item) -> str | None: ...
    @abstractmethod
    def write(self, item: Item, text: str) -> None: ...
    @abstractmethod
    def remove(self, item: Item) -> None:
        """Remove the text, and what was set aside of it."""

    @abstractmethod
    def set_aside(self, item: Item) -> None:
        """Keep a damaged text under another name."""

    def place(self, item: Item) -> str:
        """Where this item lies, for an error about it."""
        return self.where

    def load(self, key: Key) -> Credential | None:
        item = Item.of(key)
        try:
            text = self.read(item)
            credential = None if text is None else self._parsed(text, key)
        except StorageError as error:
            if error.code == "damaged_record":
                self._damaged.add(item.id)
            raise
        self._damaged.discard(item.id)
        return self._healed(key, credential)

    def save(self, credential: Credential) -> None:
        key, item = credential.key, Item.of(credential.key)
        summary = Summary.of(credential, self.name)
        claimed = self.index.get(key) is None
        if claimed:
            self.index.put(summary)
        try:
            if item.id in self._damaged:
                self.set_aside(item)
                self._damaged.discard(item.id)
            self.write(item, dumps(credential))
        except BaseException:
            if claimed:
                self.index.drop(key)
            raise
        self.index.put(summary)

    def delete(self, key: Key) -> None:
        entry = self.index.get(key)
        ours = entry is None or entry.storage == self.name  # another's secret stays findable
        if ours:
            self.index.bury(key)
        self.remove(Item.of(key))
        if ours:
            self.index.drop(key)
            self.set_note(key, "cooling", "")

    def list(self) -> Sequence[Summary]:
        return self.index.all()

    def summary(self, key: Key) -> Summary | None:
        return self.index.get(key)

    def load_client(self, key: ClientKey) -> Client | None:
        item = Item.of(key)
        text = self.read(item)
        return None if text is None else loads_client(text, self.place(item))

    def save_client(self, key: ClientKey, client: Client) -> None:
        self.write(Item.of(key), dumps_client(client))

    def delete_client(self, key: ClientKey) -> None:
        self.remove(Item.of(key))

    def note(self, key: Key, name: str) -> str | None:
        return self.directory.read(f"{key.id}.{name}.note")

    def set_note(self, key: Key, name: str, text: str) -> None:
        file = f"{key.id}.{name}.note"
        if text:
            self.directory.write(file, text)
        else:
            self.directory.remove(file)

    def lock(
        self, key: Key | ClientKey, purpose: str = "refresh", timeout: float = LOCK_WAIT
    ) -> AbstractContextManager[object]:
        return self.directory.lock(key, purpose, timeout)

    def _parsed(self, text: str, key: Key) -> Credential:
        place = self.place(Item.of(key))
        credential = loads(text, place)
        if credential.key != key:
            raise damaged(place)  # a record that was copied here from another place
        return replace(credential, key=key)  # one Key for all who hold it, not one each

    def _healed(self, key: Key, credential: Credential | None) -> Credential | None:
        """What was found, and the index mended where the two disagree.

        A crash may have come between them, an item may have been deleted by hand, or a write
        that was given up may have landed after a later one or after the end of the login. Or
        somebody is just writing both: so it is mended under the lock only, or by the next.
        """
        if self._agrees(key, credential):
            return credential
        # reading neither fails because nothing can be written, nor waits for who is writing
        with suppress(StorageError, Unavailable), self.directory.lock(key, "refresh", 0):
            return self._mended(key)
        return None if credential and self._ended(key, credential) else credential

    def _agrees(self, key: Key, credential: Credential | None) -> bool:
        entry = self.index.get(key)
        if credential is None:
            return entry is None or entry.storage != self.name
        return entry is not None and not self._outdated(entry, credential)

    def _ended(self, key: Key, credential: Credential) -> bool:
        """Whether a record has turned up again after its login was deleted."""
        return self.index.get(key) is None and self.index.buried(key, credential.generation)

    def _mended(self, key: Key) -> Credential | None:
        """The index made to say what is stored now, which nobody else is changing."""
        item = Item.of(key)
        text = self.read(item)
        credential = None if text is None else self._parsed(text, key)
        if self._agrees(key, credential):
            return credential
        if credential is None:
            self.index.drop(key)
        elif self._ended(key, credential):
            self.remove(item)
            return None
        else:
            self.index.put(Summary.of(credential, self.name))
        return credential

    def _outdated(self, entry: Summary, credential: Credential) -> bool:
        late = credential.generation < entry.generation  # whoever holds the later one mends it
        return (
            entry.storage == self.name and not late and entry != Summary.of(credential, self.name)
        )
