"""The storage of a session: found where it lies, kept where one wants it, without a keyring too."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from keyring.backends import fail

from mcp_client_auth.credential import Key
from mcp_client_auth.errors import StorageError
from mcp_client_auth.storage import (
    Storage,
    Summary,
    choose_storage,
    library_storage,
    local_index,
    name_of,
    placement,
    storage_named,
)
from mcp_client_auth.storage.keyring_thread import SHARED
from mcp_client_auth.storage.memory import MemoryStorage
from mcp_client_auth.storage.settings import Settings
from mcp_client_auth.testing.secret_service import SecretService
from tests.support.codes import coded
from tests.support.storage_samples import CLIENT_KEY, full, full_client, with_token


@pytest.fixture
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyring.get_keyring", fail.Keyring)


def test_a_usable_keyring_is_the_default(secret_service: SecretService, key: Key) -> None:
    storage = library_storage(None, key)
    storage.check()
    storage.save(full(key))
    assert name_of(storage) == "keyring"
    assert choose_storage("keyring").load(key) == full(key)


@pytest.mark.usefixtures("no_keyring")
def test_without_a_keyring_it_is_memory_and_warns_once_with_the_remedies(key: Key) -> None:
    storage = library_storage(None, key)
    with pytest.warns(RuntimeWarning, match="as long as this process") as told:
        storage.check()
    storage.save(full(key))  # a second warning would be an error here
    assert storage.load(key) == full(key)
    assert len(told) == 1
    for remedy in (
        'storage="file"',
        "MCP_CLIENT_AUTH_STORAGE=file",
        "MCP_CLIENT_AUTH_STORAGE=memory",
    ):
        assert remedy in str(told[0].message)
    assert name_of(storage) == "memory"


def run_in_a_thread(call: Callable[[], None]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


@pytest.mark.usefixtures("no_keyring")
def test_the_warning_points_to_the_line_of_the_caller(key: Key) -> None:
    def check() -> None:
        library_storage(None, key).check()

    with pytest.warns(RuntimeWarning) as told:
        check()
    placement._warn_once.cache_clear()
    with pytest.warns(RuntimeWarning) as in_a_thread:
        run_in_a_thread(check)
    assert [each[0].filename for each in (told, in_a_thread)] == [__file__] * 2


@pytest.mark.usefixtures("no_keyring")
def test_the_warning_on_a_thread_of_our_own_points_to_no_file(key: Key) -> None:
    with pytest.warns(RuntimeWarning) as told:
        run_in_a_thread(library_storage(None, key).check)
    assert told[0].filename.strip("<>") == "sys"


@pytest.mark.usefixtures("no_keyring")
def test_nothing_is_decided_or_said_before_it_is_used(key: Key) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        library_storage(None, key)


@pytest.mark.usefixtures("no_keyring")
def test_where_the_index_says_keyring_the_error_stays_and_says_where_the_login_lies(
    key: Key,
) -> None:
    local_index().put(Summary.of(full(key), "keyring"))
    with pytest.raises(StorageError, match="is kept in the OS keyring") as caught:
        library_storage(None, key).load(key)
    assert caught.value.code == "no_keyring"
    assert key.server in caught.value.summary


@pytest.mark.usefixtures("no_keyring")
def test_where_other_logins_lie_in_the_keyring_a_new_one_is_not_made_in_memory(key: Key) -> None:
    local_index().put(Summary.of(full(replace(key, account="work")), "keyring"))
    storage = library_storage(None, key)
    assert storage.load(key) is None
    with pytest.raises(StorageError) as caught:
        storage.check()
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
    assert name_of(library_storage("memory")) == "memory"


# Found where it lies


def in_file_and_keyring(key: Key) -> list[bool]:
    return [storage_named(name).load(key) is not None for name in ("file", "keyring")]


@pytest.mark.usefixtures("secret_service")
@pytest.mark.parametrize(("made", "wanted"), [("file", "keyring"), ("keyring", "file")])
def test_a_login_made_under_one_storage_is_found_under_another_and_moves_when_it_is_renewed(
    made: str, wanted: str, key: Key
) -> None:
    storage_named(made).save(full(key))
    storage = choose_storage(wanted, key)
    assert storage.load(key) == full(key)
    assert storage.where == storage_named(made).where
    with storage.lock(key):
        storage.save(with_token(full(key), "renewed"))
    assert in_file_and_keyring(key) == [wanted == "file", wanted == "keyring"]
    assert choose_storage(None, key).load(key) == with_token(full(key), "renewed")
    entry = storage.summary(key)
    assert entry is not None
    assert entry.storage == wanted


@pytest.mark.usefixtures("no_keyring")
def test_a_renewed_login_that_cannot_move_is_kept_where_it_was(key: Key) -> None:
    storage_named("file").save(full(key))
    renewed = replace(full(key), generation=full(key).generation + 1)
    moving = choose_storage("keyring", key)
    assert moving.load(key) == full(key)
    with pytest.raises(StorageError):
        moving.save(renewed)
    assert choose_storage(None, key).load(key) == renewed


@pytest.mark.usefixtures("secret_service")
def test_what_nobody_named_stays_where_it_is(key: Key) -> None:
    storage_named("file").save(full(key))
    choose_storage(None, key).save(with_token(full(key), "renewed"))
    assert in_file_and_keyring(key) == [True, False]


def test_a_login_out_of_reach_can_be_made_anew_elsewhere_and_is_removed_with_it_later(
    secret_service: SecretService, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage_named("keyring").save(full(key))
    with monkeypatch.context() as away:
        away.setattr("mcp_client_auth.storage.keyring.usable", _no_keyring)
        SHARED.reset()
        storage = choose_storage("file", key)
        with pytest.raises(StorageError, match="login\\(force=True\\)") as caught:
            storage.load(key)
        assert caught.value.code == "elsewhere"
        storage.save(with_token(full(key), "anew"))
        assert storage.load(key) == with_token(full(key), "anew")
    SHARED.reset()
    assert in_file_and_keyring(key) == [True, True]
    choose_storage(None, key).delete(key)
    assert in_file_and_keyring(key) == [False, False]


def _no_keyring() -> None:
    raise StorageError("no OS keyring is usable here", code="no_keyring")


@pytest.mark.usefixtures("no_keyring")
def test_a_login_made_elsewhere_is_found_by_a_process_that_keeps_its_own_in_memory(
    key: Key,
) -> None:
    storage = library_storage(None, key)
    with pytest.warns(RuntimeWarning):
        storage.check()
    assert name_of(storage) == "memory"
    choose_storage("file", key).save(full(key))  # as mcp-login --store file does
    assert storage.load(key) == full(key)
    assert name_of(storage) == "file"


@pytest.mark.usefixtures("no_keyring")
def test_a_lock_is_the_one_of_the_storage_that_is_meant_when_it_is_held(key: Key) -> None:
    storage = library_storage(None, key)
    with pytest.warns(RuntimeWarning):
        storage.check()
    memory = storage_named("memory")
    entered = threading.Event()

    def enter() -> None:
        with storage.lock(key):
            entered.set()

    waiting = threading.Thread(target=enter)
    with storage_named("file").lock(key):
        with memory.lock(key):
            waiting.start()
            storage_named("file").save(full(key))
        assert not entered.wait(0.3)
    waiting.join(60)
    assert entered.is_set()


@pytest.mark.usefixtures("no_keyring")
def test_without_a_keyring_nothing_is_stored_rather_than_an_error(key: Key) -> None:
    storage = choose_storage(None, key)
    assert storage.load(key) is None
    storage.delete(key)
    with pytest.raises(StorageError):
        storage.check()


def test_memory_that_was_named_sees_nothing_else(key: Key) -> None:
    storage_named("file").save(full(key))
    assert choose_storage("memory", key).load(key) is None


@pytest.mark.usefixtures("no_keyring")
def test_a_record_of_a_newer_version_is_told_as_such_wherever_new_ones_are_kept(
    key: Key, home: Path
) -> None:
    storage_named("file").save(full(key))
    record = home / f"{key.id}.secret"
    record.write_text(record.read_text().replace('"version":1', '"version":2'))
    with pytest.raises(StorageError, check=coded("newer_record")):
        choose_storage("keyring", key).load(key)


# Where new ones are kept


def test_a_persons_choice_goes_before_the_keyring(key: Key) -> None:
    Settings().choose("file")
    for storage in (choose_storage(None, key), library_storage(None, key)):
        assert name_of(storage) == "file"
    assert name_of(choose_storage("keyring", key)) == "keyring"


def test_a_key_for_the_file_storage_goes_before_the_keyring(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", "AAAA" * 10 + "AAA=")
    for storage in (choose_storage(None, key), library_storage(None, key)):
        assert (name_of(storage), "sealed" in storage.where) == ("file", True)


@pytest.mark.parametrize("kept", ["keyring", "file"])
def test_a_registration_lies_with_its_credential(
    kept: str, secret_service: SecretService, key: Key
) -> None:
    storage_named(kept).save(full(key))
    storage: Storage = choose_storage(None, key)
    storage.save(full_client(), CLIENT_KEY)
    assert storage_named(kept).load(CLIENT_KEY) == full_client()
    storage.delete(CLIENT_KEY)
    assert storage_named(kept).load(CLIENT_KEY) is None


@pytest.mark.usefixtures("no_keyring")
def test_a_registration_can_be_forgotten_after_its_credential(key: Key) -> None:
    storage_named("file").save(full(key))
    storage = choose_storage(None, key)
    storage.save(full_client(), CLIENT_KEY)
    storage.delete(key)
    assert storage.load(CLIENT_KEY) == full_client()
    storage.delete(CLIENT_KEY)
    assert storage_named("file").load(CLIENT_KEY) is None


@pytest.mark.usefixtures("secret_service")
def test_a_registration_in_a_file_is_used_and_goes_although_its_credential_has_moved(
    key: Key,
) -> None:
    storage_named("file").save(full(key))
    storage_named("file").save(full_client(), CLIENT_KEY)
    storage = choose_storage("keyring", key)
    storage.save(full(key))
    assert storage.load(CLIENT_KEY) == full_client()
    storage.delete(key)
    storage.delete(CLIENT_KEY)
    assert storage_named("file").load(CLIENT_KEY) is None


@pytest.mark.parametrize("entry", [None, "", "{"], ids=["lost", "empty", "cut short"])
def test_a_login_in_a_file_is_found_although_its_entry_is_unreadable(
    entry: str | None, key: Key, home: Path
) -> None:
    storage_named("file").save(full(key))
    if entry is None:
        (home / f"{key.id}.json").unlink()
    else:
        (home / f"{key.id}.json").write_text(entry)
    assert choose_storage(None, key).load(key) == full(key)
    assert [found.key for found in local_index().all()] == [key]
