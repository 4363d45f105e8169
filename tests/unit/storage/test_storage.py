"""What every storage does, and which one applies."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcp_client_auth.credential import ClientKey, Credential, Key, Note, key_for
from mcp_client_auth.errors import Unavailable, UsageError
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.secret import Secret
from mcp_client_auth.storage import Store, Summary, choose_storage, name_of
from mcp_client_auth.storage.memory import MemoryStorage
from tests.support.storage_samples import (
    CLIENT_KEY,
    PLANTED,
    SHAPES,
    bare,
    full,
    full_client,
    with_token,
)

if TYPE_CHECKING:
    from tests.unit.storage.conftest import Elsewhere


POSIX = pytest.mark.skipif(os.name != "posix", reason="no such signal there")


def test_what_is_saved_is_loaded_listed_and_deleted(storage: Store, key: Key) -> None:
    storage.check()
    assert storage.load(key) is None
    assert list(storage.list()) == []
    storage.save(full(key))
    assert storage.load(key) == full(key)
    assert list(storage.list()) == [Summary.of(full(key), storage.name)]
    storage.delete(key)
    assert storage.load(key) is None
    assert list(storage.list()) == []
    storage.delete(key)  # a second time it is gone already, which is what was wanted


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_field_comes_back(
    storage: Store, key: Key, shape: Callable[[Key], Credential]
) -> None:
    saved = shape(key)
    storage.save(saved)
    loaded = storage.load(key)
    assert loaded is not None
    for field in fields(Credential):
        assert getattr(loaded, field.name) == getattr(saved, field.name), field.name
    assert isinstance(loaded.tokens.access_token, Secret)


def test_the_full_sample_has_no_field_at_its_default(key: Key) -> None:
    sample = full(key)
    for value in (sample, sample.tokens, sample.client):
        assert not [f.name for f in fields(value) if getattr(value, f.name) == f.default]


def test_a_registration_is_kept_apart_from_credentials(storage: Store, key: Key) -> None:
    elsewhere = ClientKey(CLIENT_KEY.issuer, "https://app.example.com/callback")
    storage.delete(CLIENT_KEY)
    assert storage.load(CLIENT_KEY) is None
    storage.save(full_client(), CLIENT_KEY)
    storage.save(bare(key))
    assert storage.load(CLIENT_KEY) == full_client()
    assert storage.load(elsewhere) is None
    assert [summary.key for summary in storage.list()] == [key]
    storage.delete(key)
    assert storage.load(CLIENT_KEY) == full_client()
    storage.delete(CLIENT_KEY)
    assert storage.load(CLIENT_KEY) is None


def test_a_renewed_credential_replaces_the_old_and_its_generation_grows(
    storage: Store, key: Key
) -> None:
    storage.save(full(key))
    stored = storage.load(key)
    assert stored is not None
    storage.save(stored.renewed(TokenSet(Secret("newer"), 2.0)))
    renewed = storage.load(key)
    assert renewed is not None
    assert (renewed.generation, renewed.tokens.access_token) == (8, Secret("newer"))
    assert [s.renewable for s in storage.list()] == [False]


@pytest.mark.parametrize(
    "other",
    [
        {"account": "work"},
        {"account": ""},
        {"account": "Default"},
        {"account": "default "},
        {"server": "https://mcp.example.com/another"},
        {"server": "https://mcp.example.com/another?tenant=b"},
        {"grant": "client_credentials"},
        {"client": "an-app-of-its-own"},
    ],
    ids=repr,
)
def test_no_key_ever_answers_for_another(storage: Store, key: Key, other: dict[str, str]) -> None:
    second = replace(key, **other)
    storage.delete(second)
    storage.save(full(key))
    assert storage.load(second) is None
    storage.save(with_token(full(second), "of the second"))
    assert storage.load(key) == full(key)
    storage.delete(key)
    kept = storage.load(second)
    assert kept is not None
    assert kept.tokens.access_token.reveal() == "of the second"
    assert [summary.key for summary in storage.list()] == [second]


def test_one_server_written_in_two_ways_is_one_key(storage: Store, key: Key) -> None:
    storage.save(full(key))
    written = key.server.replace("https://mcp.example.com", "HTTPS://MCP.Example.com:443")
    assert storage.load(key_for(written)) == full(key)


def test_the_list_is_known_without_a_secret(
    lasting: Store, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasting.save(full(key))
    monkeypatch.setattr(lasting.vault, "read", None)
    [summary] = lasting.list()
    assert (summary.key, summary.storage, summary.renewable) == (key, lasting.name, True)
    assert summary.expires_at == full(key).tokens.expires_at


def test_another_process_finds_what_this_one_saved(
    lasting: Store, key: Key, elsewhere: Elsewhere
) -> None:
    assert elsewhere("load") is None
    lasting.save(full(key))
    lasting.save(full_client(), CLIENT_KEY)
    assert elsewhere("load") == PLANTED["access token"]
    assert elsewhere("client") is True
    assert elsewhere("servers") == [key.server]
    elsewhere("save", "saved elsewhere")
    assert lasting.load(key) == with_token(full(key), "saved elsewhere")
    elsewhere("delete")
    assert lasting.load(key) is None


def test_twenty_processes_that_write_under_the_lock_lose_nothing(
    lasting: Store, key: Key, elsewhere: Elsewhere
) -> None:
    lasting.save(with_token(bare(key), ""))
    with ExitStack() as stack:
        letters = "abcdefghijklmnopqrst"
        writers = [stack.enter_context(elsewhere.start("append", x * 3)) for x in letters]
        for writer in writers:
            elsewhere.answer(writer)
    stored = lasting.load(key)
    assert stored is not None
    assert sorted(stored.tokens.access_token.reveal()) == sorted(letters * 3)
    assert stored.generation == 1 + 3 * len(letters)


def test_a_note_is_kept_beside_the_record_until_it_is_emptied(storage: Store, key: Key) -> None:
    assert storage.load(Note(key, "name")) is None
    storage.save("first", Note(key, "name"))
    storage.save("second", Note(key, "name"))
    assert storage.load(Note(key, "name")) == "second"
    assert storage.load(Note(key, "other")) is None
    assert storage.load(Note(replace(key, account="work"), "name")) is None
    assert list(storage.list()) == []
    storage.delete(Note(key, "name"))
    assert storage.load(Note(key, "name")) is None


def test_a_lock_lets_nobody_else_in(storage: Store, key: Key) -> None:
    entered = threading.Event()

    def enter() -> None:
        with storage.lock(key):
            entered.set()

    waiting = threading.Thread(target=enter)
    with storage.lock(key):
        waiting.start()
        assert not entered.wait(0.2)
    waiting.join(60)
    assert entered.is_set()


def test_locks_of_other_keys_and_purposes_are_free(storage: Store, key: Key) -> None:
    with (
        storage.lock(key, timeout=0),
        storage.lock(key, "login", timeout=0),
        storage.lock(replace(key, account="work"), timeout=0),
        storage.lock(CLIENT_KEY, "client", timeout=0),
    ):
        pass


def test_a_lock_that_stays_taken_is_unavailable_after_its_time(storage: Store, key: Key) -> None:
    def wait_for_it() -> None:
        with storage.lock(key, timeout=0.1):
            pass

    with storage.lock(key):
        caught: list[BaseException] = []
        thread = threading.Thread(target=lambda: caught.append(_raised(wait_for_it)))
        thread.start()
        thread.join(60)
    [error] = caught
    assert isinstance(error, Unavailable)
    assert error.code == "locked"


def test_a_lock_is_given_back_when_its_block_fails(storage: Store, key: Key) -> None:
    with pytest.raises(ZeroDivisionError), storage.lock(key):
        raise ZeroDivisionError
    with storage.lock(key, timeout=0):
        pass


def test_a_second_process_waits_for_the_lock(
    lasting: Store, key: Key, elsewhere: Elsewhere
) -> None:
    with ExitStack() as stack:
        with lasting.lock(key):
            waiting = stack.enter_context(elsewhere.start("append", "then"))
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(1)  # nothing to read was there yet: it would have failed by now
            lasting.save(with_token(bare(key), "first "))
        elsewhere.answer(waiting)
    stored = lasting.load(key)
    assert stored is not None
    assert stored.tokens.access_token.reveal() == "first then"


@POSIX
def test_the_lock_of_a_killed_process_is_free(
    lasting: Store, key: Key, elsewhere: Elsewhere
) -> None:
    with elsewhere.start("hold") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Unavailable), lasting.lock(key, timeout=0.2):
            pass
        holder.send_signal(signal.SIGKILL)
        assert elsewhere.killed(holder)
        with lasting.lock(key, timeout=30):
            pass


@pytest.mark.parametrize("wanted", ["keyring", "file", "memory"])
def test_the_storage_that_is_named_is_used(
    wanted: str, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_storage("file").save(full(key))
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", "nonsense")
    assert name_of(choose_storage(wanted, key)) == wanted


def test_a_storage_that_is_handed_over_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = MemoryStorage()
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", "file")
    assert choose_storage(mine) is mine


def test_the_environment_goes_before_the_index(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    choose_storage("file").save(full(key))
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", "memory")
    assert name_of(choose_storage(None, key)) == "memory"


def test_the_index_goes_before_the_default(key: Key) -> None:
    choose_storage("file").save(full(key))
    assert name_of(choose_storage(None, key)) == "file"
    assert name_of(choose_storage(None, replace(key, account="work"))) == "keyring"
    assert name_of(choose_storage()) == "keyring"


def test_an_empty_environment_variable_names_nothing(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", "")
    choose_storage("file").save(full(key))
    assert name_of(choose_storage(None, key)) == "file"


def test_an_unknown_storage_is_an_error_that_names_the_known() -> None:
    with pytest.raises(UsageError, match="keyring, file, memory"):
        choose_storage("floppy")


def test_a_home_is_not_made_by_looking(home: Path, key: Key) -> None:
    assert choose_storage("file").load(key) is None
    assert list(choose_storage("file").list()) == []
    assert not home.exists()


def _raised(action: Callable[[], object]) -> BaseException:
    try:
        action()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")
