"""A logout where nothing more can be written: it ends the login, or changes nothing."""

from __future__ import annotations

import pytest

from mcp_client_auth.credential import Key, dumps
from mcp_client_auth.errors import StorageError
from mcp_client_auth.storage.backend import Item, Vault
from mcp_client_auth.storage.memory import MemoryBackend
from mcp_client_auth.storage.store import Store
from tests.support.storage_samples import full


class Disk(MemoryBackend):
    """Has room for as many files as lie in it once it is `full`; or can only be read."""

    room = 1_000
    read_only = False

    def fill(self) -> None:
        self.room = len(self._texts)

    def write(self, item: Item, text: str) -> None:
        if self.read_only or (item.name not in self._texts and len(self._texts) >= self.room):
            raise StorageError("no space is left")
        super().write(item, text)

    def delete(self, item: Item) -> None:
        if self.read_only:
            raise StorageError("read-only")
        super().delete(item)


class Locked(MemoryBackend):
    """A keyring that no one unlocks."""

    locked = False

    def delete(self, item: Item) -> None:
        if self.locked:
            raise StorageError("locked")
        super().delete(item)


@pytest.mark.parametrize("vault", [None, MemoryBackend()], ids=["file", "keyring"])
def test_a_logout_needs_no_room(vault: Vault | None, key: Key) -> None:
    disk = Disk()
    store = Store("own", disk, vault)
    store.save(full(key))
    disk.fill()
    store.delete(key)
    assert store.load(key) is None
    assert list(store.list()) == []
    store.vault.write(Item.of(key), dumps(full(key)))  # given up before, and landing now
    assert store.load(key) is None
    assert store.vault.read(Item.of(key)) is None


def test_a_logout_that_cannot_change_anything_fails_and_loses_nothing(key: Key) -> None:
    disk, vault = Disk(), MemoryBackend()
    store = Store("own", disk, vault)
    store.save(full(key))
    disk.read_only = True
    with pytest.raises(StorageError, match="read-only"):
        store.delete(key)
    assert store.load(key) == full(key)
    assert store.summary(key) is not None


def test_a_login_that_cannot_be_reached_from_a_full_disk_stays_in_the_list(key: Key) -> None:
    disk, vault = Disk(), Locked()
    store = Store("own", disk, vault)
    store.save(full(key))
    disk.fill()
    vault.locked = True
    with pytest.raises(StorageError, match="locked"):
        store.delete(key)
    vault.locked = False
    assert [entry.key for entry in store.list()] == [key]
    assert store.load(key) == full(key)
