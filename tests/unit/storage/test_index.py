"""Index and secret that disagree are healed on the next use; what was deleted stays deleted."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth.credential import Credential, Key, dumps
from mcp_client_auth.errors import StorageError, Unavailable
from mcp_client_auth.storage import Storage, Summary
from mcp_client_auth.storage.backend import Item
from mcp_client_auth.storage.directory import Directory
from mcp_client_auth.storage.file import FileStorage
from mcp_client_auth.storage.settings import Settings
from mcp_client_auth.storage.store import Store
from tests.support.storage_samples import SHAPES, full, with_token


@pytest.fixture
def records(lasting: Storage) -> Store:
    assert isinstance(lasting, Store)
    return lasting


def test_an_item_deleted_by_hand_takes_its_entry_along(records: Store, key: Key) -> None:
    records.save(full(key))
    records.vault.delete(Item.of(key))
    assert records.load(key) is None
    assert list(records.list()) == []


def test_an_entry_that_was_lost_is_made_again(records: Store, key: Key) -> None:
    records.save(full(key))
    records.index.drop(key)
    assert records.load(key) == full(key)
    assert list(records.list()) == [Summary.of(full(key), records.name)]


def test_an_entry_that_was_left_behind_by_a_crash_is_brought_up_to_date(
    records: Store, key: Key
) -> None:
    records.save(full(key))
    later = with_token(full(key), "later")
    records.vault.write(Item.of(key), dumps(later))  # and then the power failed
    assert records.load(key) == later
    assert records.summary(key) == Summary.of(later, records.name)


def test_a_write_that_lands_after_the_logout_is_taken_away(records: Store, key: Key) -> None:
    records.save(full(key))
    records.delete(key)
    records.vault.write(Item.of(key), dumps(full(key)))
    assert records.load(key) is None
    assert records.vault.read(Item.of(key)) is None
    assert list(records.list()) == []


def test_a_login_after_the_logout_stays(records: Store, key: Key) -> None:
    records.save(full(key))
    records.delete(key)
    again = replace(full(key), generation=0)
    records.save(again)
    records.index.drop(key)
    assert records.load(key) == again


def test_a_late_write_does_not_make_the_entry_older(records: Store, key: Key) -> None:
    """Whoever holds the later one in memory is to see that it was overwritten."""
    late, good = full(key), with_token(full(key), "good")
    records.save(good)
    records.vault.write(Item.of(key), dumps(late))
    assert records.load(key) == late
    entry = records.summary(key)
    assert entry is not None
    assert entry.generation == good.generation > late.generation


def test_reading_does_not_fail_because_the_entry_cannot_be_written(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FileStorage()
    files.save(full(key))
    files.index.drop(key)

    def fail(*_: Any) -> None:
        raise StorageError("read-only")

    monkeypatch.setattr(files.directory, "write", fail)
    assert files.load(key) == full(key)


def test_a_grave_is_cleared_away_after_a_day(home: Path, key: Key) -> None:
    files, other = FileStorage(), replace(key, account="work")
    files.save(full(key))
    files.delete(key)
    grave = home / f"{key.id}.deleted"
    day_before = time.time() - 90_000
    os.utime(grave, (day_before, day_before))
    files.save(full(other))
    files.delete(other)
    assert [path.name for path in home.iterdir()] == [f"{other.id}.deleted"]


def test_what_a_person_chose_is_remembered(home: Path) -> None:
    settings = Settings()
    assert settings.chosen() == ""
    settings.choose("file")
    assert Settings().chosen() == "file"
    (home / "settings.conf").write_text("{")
    assert settings.chosen() == ""


def test_a_file_is_allowed_with_the_content_that_the_person_has_seen() -> None:
    settings = Settings()
    assert not settings.allows("/a", b"x")
    settings.allow("/a", b"x")
    settings.allow("/b", b"y")
    assert Settings().allows("/a", b"x")
    assert not settings.allows("/a", b"y")
    assert not settings.allows("/c", b"x")


def test_what_a_person_chose_is_written_by_one_program_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever version of this one each is: they agree on the name of the lock."""
    settings = Settings()
    write = settings.directory.write

    def beside(name: str, text: str) -> None:
        with pytest.raises(Unavailable), Directory().lock(Key("").id, "settings", 0):
            pass
        write(name, text)

    monkeypatch.setattr(settings.directory, "write", beside)
    settings.choose("file")
    assert Settings().chosen() == "file"


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_what_a_stored_login_tells_is_what_it_was(
    shape: Callable[[Key], Credential], key: Key
) -> None:
    """Where no entry stands beside a login, it is read from the login itself."""
    credential = shape(key)
    assert Summary.read(dumps(credential), "redis") == Summary.of(credential, "redis")


def test_an_entry_names_the_backend_that_has_its_secret(records: Store, key: Key) -> None:
    records.save(full(key))
    known = replace(Summary.of(full(key), records.name, "somebody.elses"), generation=9)
    records.index.put(known)
    assert [(each, each.backend) for each in records.list()] == [(known, "somebody.elses")]


def test_an_entry_without_a_generation_is_of_the_first_one(records: Store, key: Key) -> None:
    records.save(full(key))
    item = Item(key.id, ".json")
    entry = json.loads(records.index._backend.read(item) or "")
    del entry["generation"]
    records.index._backend.write(item, json.dumps(entry))
    assert [each.generation for each in records.list()] == [0]


def test_an_entry_says_which_keyring_has_its_secret(records: Store, key: Key) -> None:
    records.save(full(key))
    (entry,) = records.list()
    in_keyring = records.name == "keyring"
    assert entry.backend == ("keyring.backends.SecretService" if in_keyring else "")
