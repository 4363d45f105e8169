"""A login that lay in two storages ends in both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from keyring.backends import fail

from mcp_client_auth.credential import Key
from mcp_client_auth.errors import StorageError
from mcp_client_auth.storage import Store, choose_storage, library_storage, storage_named
from mcp_client_auth.storage.backend import Item
from mcp_client_auth.storage.keyring_thread import SHARED
from mcp_client_auth.testing.secret_service import SecretService
from tests.support.storage_samples import full, with_token


def _no_keyring() -> None:
    raise StorageError("no OS keyring is usable here", code="no_keyring")


def _ended_without_its_keyring(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login in the keyring, then one in a file and its logout, where no keyring is in reach."""
    storage_named("keyring").save(full(key))
    with monkeypatch.context() as away:
        away.setattr("mcp_client_auth.storage.keyring.usable", _no_keyring)
        SHARED.reset()
        storage = choose_storage("file", key)
        storage.save(replace(full(key), generation=0))
        storage.delete(key)
    SHARED.reset()


def test_a_login_out_of_reach_does_not_come_back_after_the_logout(
    secret_service: SecretService, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ended_without_its_keyring(key, monkeypatch)
    assert choose_storage(None, key).load(key) is None
    assert choose_storage(None, key).list() == []
    assert storage_named("keyring").load(key) is None


def test_a_login_made_after_one_that_was_out_of_reach_stays(
    secret_service: SecretService, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ended_without_its_keyring(key, monkeypatch)
    anew = with_token(full(key), "anew")
    choose_storage(None, key).save(anew)
    storage_named("keyring").index.drop(key)
    assert choose_storage(None, key).load(key) == anew


class Killed(BaseException):
    """What no program survives."""


@pytest.mark.usefixtures("secret_service")
@pytest.mark.parametrize("point", [1, 2, 3, 4])
@pytest.mark.parametrize(("made", "wanted"), [("file", "keyring"), ("keyring", "file")])
def test_a_login_that_was_moving_when_its_program_was_killed_ends_in_both(
    made: str, wanted: str, point: int, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage_named(made).save(full(key))
    points = iter(range(1, 99))

    def dying(method: Any) -> Any:
        def step(*arguments: Any) -> Any:
            if next(points) == point:
                raise Killed
            return method(*arguments)

        return step

    moving, renewed = choose_storage(wanted, key), with_token(full(key), "renewed")
    with monkeypatch.context() as dies:
        for name in ("_save", "_delete"):  # two notes with the login between, and the old one's end
            dies.setattr(Store, name, dying(getattr(Store, name)))
        with pytest.raises(Killed):
            moving.save(renewed)
    assert choose_storage(None, key).load(key) in (full(key), renewed)
    choose_storage(None, key).delete(key)
    for name in ("file", "keyring"):
        assert storage_named(name).vault.read(Item.of(key)) is None, name


def test_a_logout_ends_the_copy_in_memory_too(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyring.get_keyring", fail.Keyring)
    storage = library_storage(None, key)
    with pytest.warns(RuntimeWarning):
        storage.check()
    storage.save(full(key))
    choose_storage("file", key).save(with_token(full(key), "in the file"))
    storage.delete(key)
    assert storage.load(key) is None
