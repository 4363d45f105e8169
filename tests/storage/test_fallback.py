"""A library's default storage where there is a keyring, and where there is none."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest
from keyring.backends import fail
from storage_samples import full

from mcp_client_auth.credential import Key
from mcp_client_auth.errors import StorageError
from mcp_client_auth.storage import Summary, choose_storage, library_storage
from mcp_client_auth.storage.directory import Directory
from mcp_client_auth.storage.memory import MemoryStorage
from mcp_client_auth.testing.secret_service import SecretService

pytest_plugins = ["mcp_client_auth.testing.fixtures"]


@pytest.fixture
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyring.get_keyring", fail.Keyring)


def test_a_usable_keyring_is_the_default(secret_service: SecretService, key: Key) -> None:
    storage = library_storage(None, key)
    storage.check()
    storage.save(full(key))
    assert storage.name == "keyring"
    assert choose_storage("keyring").load(key) == full(key)


@pytest.mark.usefixtures("no_keyring")
def test_without_a_keyring_it_is_memory_and_warns_once_with_the_remedies(key: Key) -> None:
    storage = library_storage(None, key)
    with pytest.warns(RuntimeWarning, match="as long as this process") as told:
        storage.check()
    storage.save(full(key))  # a second warning would be an error here
    assert storage.load(key) == full(key)
    assert len(told) == 1
    for remedy in ("--store file", "MCP_CLIENT_AUTH_STORAGE=file", "--store memory"):
        assert remedy in str(told[0].message)
    assert storage.name == "memory"


@pytest.mark.usefixtures("no_keyring")
def test_nothing_is_decided_or_said_before_it_is_used(key: Key) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        library_storage(None, key)


@pytest.mark.usefixtures("no_keyring")
@pytest.mark.parametrize("other", [{}, {"account": "work"}], ids=["its own", "another's"])
def test_where_the_index_says_keyring_the_error_stays(key: Key, other: dict[str, Any]) -> None:
    Directory().index(Summary.of(full(replace(key, **other)), "keyring"))
    with pytest.raises(StorageError) as caught:
        library_storage(None, key).load(key)
    assert caught.value.code == "no_keyring"


@pytest.mark.usefixtures("no_keyring")
def test_a_credential_in_a_file_says_nothing_about_the_keyring(key: Key) -> None:
    choose_storage("file").save(full(replace(key, account="work")))
    with pytest.warns(RuntimeWarning, match="as long as this process"):
        assert library_storage(None, key).load(key) is None


@pytest.mark.usefixtures("no_keyring")
def test_a_credential_in_a_file_is_found_without_a_keyring(key: Key) -> None:
    choose_storage("file").save(full(key))
    assert library_storage(None, key).load(key) == full(key)


@pytest.mark.usefixtures("no_keyring")
def test_a_keyring_that_was_asked_for_is_never_replaced(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StorageError):
        library_storage("keyring", key).check()
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", "keyring")
    with pytest.raises(StorageError):
        library_storage(None, key).check()


def test_a_storage_of_the_callers_is_handed_back() -> None:
    mine = MemoryStorage()
    assert library_storage(mine) is mine
    assert library_storage("memory").name == "memory"
