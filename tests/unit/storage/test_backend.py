"""A place of one's own is one class, and what it does not say is written once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from own_backend import SqliteBackend

from mcp_client_auth import Backend, Item, Store
from mcp_client_auth.credential import Key
from mcp_client_auth.errors import StorageError
from mcp_client_auth.storage.memory import MemoryBackend
from mcp_client_auth.storage.sealed import SealedBackend, new_key
from tests.support.storage_samples import CLIENT_KEY, PLANTED, full, full_client


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return MemoryBackend() if request.param == "memory" else SqliteBackend(tmp_path / "logins.db")


def texts(backend: Backend) -> str:
    every = [Item(name, "") for name in backend.names()]
    return "\n".join(f"{item.name}: {backend.read(item)}" for item in every)


def test_a_damaged_record_is_set_aside_and_goes_with_the_logout(backend: Backend, key: Key) -> None:
    store = Store("own", backend)
    store.save(full(key))
    backend.write(Item(key.id), "half of it")
    with pytest.raises(StorageError) as caught:
        store.load(key)
    assert caught.value.code == "damaged_record"
    store.save(full(key))
    assert store.load(key) == full(key)
    assert backend.read(Item(key.id).aside) == "half of it"
    store.delete(key)
    assert "half of it" not in texts(backend)


def test_texts_are_those_of_a_kind_or_of_some_of_it(backend: Backend) -> None:
    for name in ("a", "b", "c"):
        backend.write(Item(name, ".json"), f"text of {name}")
    backend.write(Item("a", ".other"), "another")
    assert dict(backend.texts(".json")) == {each: f"text of {each}" for each in "abc"}
    assert dict(backend.texts(".json", ["a", "x", "c"])) == {"a": "text of a", "c": "text of c"}


def test_a_place_that_forgets_is_seen_by_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    monkeypatch.setattr(backend, "read", lambda item: None)
    with pytest.raises(StorageError, match="does not keep"):
        backend.check()
    assert list(backend.names()) == []


def test_a_check_that_fails_leaves_no_canary(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()

    def fail(item: Item) -> str:
        raise StorageError("cannot be read")

    monkeypatch.setattr(backend, "read", fail)
    with pytest.raises(StorageError, match="cannot be read"):
        backend.check()
    assert list(backend.names()) == []


def test_of_what_is_kept_in_a_sealed_place_nothing_can_be_read(backend: Backend, key: Key) -> None:
    secret, named = new_key(), replace(key, account="ada@example.com")
    store = Store("own", SealedBackend(backend, lambda: secret))
    store.save(full(named))
    store.save(full_client(), CLIENT_KEY)
    assert [entry.key for entry in store.list(account="ada@example.com")] == [named]
    kept = texts(backend)
    for word in (*PLANTED.values(), "ada@example", "mcp.example.com", "auth.example.com"):
        assert word not in kept
    assert "sealed" in store.where


def test_a_sealed_text_does_not_stand_for_another(backend: Backend, key: Key) -> None:
    secret, other = new_key(), replace(key, account="other")
    store = Store("own", SealedBackend(backend, lambda: secret))
    store.save(full(key))
    for kind in (".secret", ".json"):
        text = backend.read(Item(key.id, kind))
        assert text
        backend.write(Item(other.id, kind), text)
    assert store.summary(other) is None
    with pytest.raises(StorageError) as caught:
        store.load(other)
    assert caught.value.code == "damaged_record"


@pytest.mark.parametrize(
    ("fields", "accounts"),
    [
        ({}, ["", "é 鍵", "work"]),
        ({"account": "é 鍵"}, ["é 鍵"]),
        ({"account": ""}, [""]),
        ({"account": "nobody"}, []),
        ({"server": "https://mcp.example.com/b", "account": "work"}, ["work"]),
        ({"server": "https://mcp.example.com/b"}, ["é 鍵", "work"]),
        ({"client_id": "client-1"}, ["", "é 鍵", "work"]),
        ({"client_id": "client"}, []),
        ({"storage": "other"}, []),
    ],
    ids=repr,
)
def test_a_list_has_the_logins_with_the_fields_that_are_named(
    fields: dict[str, str], accounts: list[str], backend: Backend
) -> None:
    store = Store("own", backend)
    for server, account in (("a", ""), ("b", "é 鍵"), ("b", "work")):
        store.save(full(Key(f"https://mcp.example.com/{server}", account)))
    assert sorted(entry.key.account for entry in store.list(**fields)) == sorted(accounts)
