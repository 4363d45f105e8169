"""What another process does between two steps of this one loses no login."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from mcp_client_auth.credential import Key
from mcp_client_auth.storage import choose_storage
from mcp_client_auth.storage.backend import Item
from mcp_client_auth.storage.file import FileStorage
from mcp_client_auth.storage.settings import Settings
from mcp_client_auth.storage.store import Store
from tests.support.storage_samples import full


def between(
    records: FileStorage, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Store], None]
) -> None:
    """Let something happen once, after the next read of a secret has got its answer."""
    read, other = records.vault.read, FileStorage(records.directory)

    def reading(item: Item) -> str | None:
        answer = read(item)
        monkeypatch.setattr(records.vault, "read", read)
        happens(other)
        return answer

    monkeypatch.setattr(records.vault, "read", reading)


def test_a_login_that_is_made_while_this_one_looks_stays_in_the_index(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FileStorage()

    def log_in(other: Store) -> None:
        with other.lock(key):
            other.save(full(key))

    between(files, monkeypatch, log_in)
    files.load(key)
    assert choose_storage(None, key).load(key) == full(key)


def test_servers_that_are_named_at_once_keep_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    write = settings.directory.write
    other = threading.Thread(target=Settings().name, args=("other", "https://other.example/mcp"))

    def writing(name: str, text: str) -> None:
        other.start()  # when all has been read
        other.join(0.3)
        write(name, text)

    monkeypatch.setattr(settings.directory, "write", writing)
    settings.name("one", "https://one.example/mcp")
    other.join()
    assert set(Settings().names()) == {"one", "other"}
