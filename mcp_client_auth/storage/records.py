"""Credentials and registrations as text items: the one mechanism under every storage here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

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
from ..protocol.registration import Client
from . import LOCK_WAIT, Summary
from .directory import Directory


class Records(ABC):
    """A storage that keeps each record as one text under the id of its key.

    The index names the storage before the secret is written and after it is removed, so
    that a crash can leave an entry without a secret, and never a secret that nobody finds.
    """

    name: str

    def __init__(self, directory: Directory | None = None) -> None:
        self.directory = directory or Directory()

    @property
    @abstractmethod
    def where(self) -> str: ...
    @abstractmethod
    def check(self) -> None: ...
    @abstractmethod
    def read(self, item: str) -> str | None: ...
    @abstractmethod
    def write(self, item: str, text: str) -> None: ...
    @abstractmethod
    def remove(self, item: str) -> None: ...

    def load(self, key: Key) -> Credential | None:
        text = self.read(key.id)
        if text is None:
            return None
        credential = loads(text, self.where)
        if credential.key != key:
            raise damaged(self.where)  # a record that was copied here from another place
        return replace(credential, key=key)  # one Key for all who hold it, not one each

    def save(self, credential: Credential) -> None:
        summary = Summary.of(credential, self.name)
        claimed = self.directory.storage_of(credential.key) is None
        if claimed:
            self.directory.index(summary)
        try:
            self.write(credential.key.id, dumps(credential))
        except BaseException:
            if claimed:
                self.directory.unindex(credential.key)
            raise
        self.directory.index(summary)

    def delete(self, key: Key) -> None:
        self.remove(key.id)
        if self.directory.storage_of(key) in (None, self.name):  # another's secret stays findable
            self.directory.unindex(key)
            self.set_note(key, "cooling", "")

    def list(self) -> Sequence[Summary]:
        return self.directory.summaries()

    def summary(self, key: Key) -> Summary | None:
        return self.directory.summary(key)

    def load_client(self, key: ClientKey) -> Client | None:
        text = self.read(key.id)
        return None if text is None else loads_client(text, self.where)

    def save_client(self, key: ClientKey, client: Client) -> None:
        self.write(key.id, dumps_client(client))

    def delete_client(self, key: ClientKey) -> None:
        self.remove(key.id)

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
