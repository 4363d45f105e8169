"""Several sealing keys: the newest seals, all open, and a new one needs no restart."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from mcp_client_auth import StorageError, UsageError
from mcp_client_auth.secret import Secret
from mcp_client_auth.storage.file import FileStorage
from mcp_client_auth.storage.keys import Keys
from mcp_client_auth.storage.sealed import new_key

OLD, NEW, OTHER = new_key(), new_key(), new_key()
ABOUT = ("record", "1")


def test_the_newest_seals_and_all_open() -> None:
    old, both, new = Keys(OLD), Keys([NEW, OLD.reveal()]), Keys(NEW)
    text = both.seal("a text", ABOUT)
    assert new.unseal(text, ABOUT, "there") == "a text"
    assert both.unseal(old.seal("another", ABOUT), ABOUT, "there") == "another"
    assert both.is_newest(text)
    assert not both.is_newest(old.seal("another", ABOUT))
    with pytest.raises(StorageError) as caught:
        old.unseal(text, ABOUT, "there")
    assert caught.value.code == "wrong_key"
    assert "use another namespace or schema" in caught.value.hint  # no logout frees a registration
    with pytest.raises(StorageError) as caught:
        both.unseal(text, ("record", "2"), "there")
    assert caught.value.code == "damaged_record"


@pytest.mark.parametrize("text", ["", "a text", "{}", '{"version": 1}', '{"version": 1, "key": 5}'])
def test_what_is_not_sealed_is_damaged(text: str) -> None:
    with pytest.raises(StorageError) as caught:
        Keys(OLD).unseal(text, ABOUT, "there")
    assert caught.value.code == "damaged_record"


def test_names_tell_nothing_and_are_those_of_each_key() -> None:
    # A name is hexadecimal digits, among which an account of the letters a to f comes up by chance.
    both = Keys([NEW, OLD])
    assert both.names("account", "martha") == [
        *Keys(NEW).names("account", "martha"),
        *Keys(OLD).names("account", "martha"),
    ]
    every = {
        *both.names("account", "martha"),
        *both.names("account", "bob"),
        *both.names("x", "martha"),
    }
    assert len(every) == 6
    assert all(len(name) == 32 and "martha" not in name for name in every)


@pytest.mark.parametrize("given", [None, [], [""], list])
def test_no_key_is_a_usage_error_with_what_makes_one(given: object) -> None:
    with pytest.raises(UsageError, match=r"needs a key.*openssl rand") as caught:
        Keys(given)  # type: ignore[arg-type]
    assert caught.value.code == "no_key"


@pytest.mark.parametrize("given", ["short", [NEW, "short"], lambda: ["short"], 5, [5]])
def test_what_is_no_key_is_a_usage_error(given: object) -> None:
    with pytest.raises(UsageError, match="32 bytes in base64"):
        Keys(given)  # type: ignore[arg-type]


def test_a_new_key_is_read_from_the_file_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text(OLD.reveal())
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY_FILE", str(file))
    keys = Keys()
    text = Keys(NEW).seal("a text", ABOUT)
    with pytest.raises(StorageError):
        keys.unseal(text, ABOUT, "there")
    file.write_text(f"{NEW.reveal()}\n{OLD.reveal()}\n")
    keys._asked -= 10  # it is not read for each record that does not open
    assert keys.unseal(text, ABOUT, "there") == "a text"
    file.write_text("broken")
    keys._asked -= 10  # what is known is still good
    with pytest.raises(StorageError) as caught:
        keys.unseal(Keys(OTHER).seal("a text", ABOUT), ABOUT, "there")
    assert caught.value.code == "wrong_key"
    assert keys.unseal(text, ABOUT, "there") == "a text"


def test_a_new_key_in_the_file_seals_and_names_although_nothing_has_turned_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a worker that meets no record goes on with the old one after that is gone."""
    file = tmp_path / "key"
    file.write_text(OLD.reveal())
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY_FILE", str(file))
    keys = Keys(Keys())
    file.write_text(f"{NEW.reveal()}\n{OLD.reveal()}\n")
    assert keys.names("account", "ada") == Keys(OLD).names("account", "ada")
    keys._asked -= 6
    assert keys.names("account", "ada") == Keys([NEW, OLD]).names("account", "ada")
    assert Keys(NEW).unseal(keys.seal("a text", ABOUT), ABOUT, "there") == "a text"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "key"
    os.mkfifo(pipe)
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY_FILE", str(pipe))
    writer = threading.Thread(target=pipe.write_text, args=(OLD.reveal(),))
    writer.start()
    keys = Keys()
    writer.join(60)
    keys._asked -= 7200
    reader = threading.Thread(target=keys.all, daemon=True)  # no one writes any more
    reader.start()
    reader.join(60)
    assert not reader.is_alive()
    assert keys.all() == [OLD]


def test_a_function_that_gives_the_keys_is_asked_once_an_hour() -> None:
    """A KMS, which counts its calls and may take a key away."""
    asked, given = [], [OLD]

    def unwrap() -> list[Secret]:
        asked.append(1)
        if not given:
            raise ConnectionError("no KMS")
        return given

    keys = Keys(unwrap)
    for _ in range(10):
        keys.unseal(keys.seal("a text", ABOUT), ABOUT, "there")
    assert len(asked) == 1
    given.insert(0, NEW)
    keys._asked -= 3601
    assert Keys(NEW).unseal(keys.seal("a text", ABOUT), ABOUT, "there") == "a text"
    given.clear()  # it is out of order: what is known is used for another hour
    keys._asked -= 3601
    for _ in range(10):
        keys.unseal(keys.seal("a text", ABOUT), ABOUT, "there")
    assert len(asked) == 3


def test_a_record_of_a_new_key_has_the_function_asked_at_once() -> None:
    """Another host has been given that key within the hour."""
    given = [OLD]
    keys = Keys(lambda: given)
    text = Keys(NEW).seal("a text", ABOUT)
    given.insert(0, NEW)
    keys._asked -= 6
    assert keys.unseal(Keys(OLD).seal("a text", ABOUT), ABOUT, "there") == "a text"
    assert keys.all() == [OLD], "what opens by a known one asks nothing"
    assert keys.unseal(text, ABOUT, "there") == "a text"


def test_the_file_storage_seals_with_the_first_of_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", f"{NEW.reveal()}\n{OLD.reveal()}")
    storage = FileStorage(tmp_path)
    storage.hold("a name", "a text", 60)
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", NEW.reveal())
    assert storage.pop("a name") == "a text"
