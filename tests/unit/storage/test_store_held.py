"""What a storage holds for a login that is under way: one who asks gets it, and not for ever."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from mcp_client_auth import FileStorage, MemoryStorage, StorageError
from mcp_client_auth.credential import Key
from mcp_client_auth.paths import PENDING
from mcp_client_auth.storage import Store, choose_storage
from mcp_client_auth.storage.sealed import new_key

DAYS = 2 * 86_400


def test_what_is_held_is_given_once(storage: Store) -> None:
    storage.hold("name", "a secret of “it”", 600)
    storage.hold("another", "other", 600)
    assert storage.pop("name") == "a secret of “it”"
    assert storage.pop("name") is None
    assert storage.pop("another") == "other"
    assert storage.pop("never held") is None


def test_what_is_held_is_no_login(storage: Store, key: Key) -> None:
    storage.hold("name", "text", 600)
    assert list(storage.list()) == []
    assert storage.load(key) is None


def test_what_is_held_too_long_is_gone(storage: Store) -> None:
    storage.hold("name", "text", -1)
    assert storage.pop("name") is None


def test_of_many_who_ask_at_once_one_gets_it(storage: Store) -> None:
    storage.hold("name", "text", 600)
    given: list[str | None] = []
    threads = [threading.Thread(target=lambda: given.append(storage.pop("name"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, given)) == ["None"] * 7 + ["text"]


def test_what_no_one_came_for_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = MemoryStorage()
    for number in range(100):
        storage.hold(f"late {number}", "text", 60)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    storage.hold("name", "text", 60)
    assert len(list(storage.beside.names())) == 1


def test_a_directory_forgets_what_an_ended_process_has_left(tmp_path: Path) -> None:
    FileStorage(tmp_path).hold("name", "text", 60)
    [file] = tmp_path.glob(f"*{PENDING}")
    os.utime(file, (time.time() - DAYS,) * 2)
    list(FileStorage(tmp_path).list())
    assert not file.exists()


def test_it_is_sealed_like_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", new_key().reveal())
    storage = FileStorage(tmp_path)
    storage.hold("name", "planted", 60)
    storage.hold("other", "planted", 60)
    one, two = tmp_path.glob(f"*{PENDING}")
    assert "planted" not in one.read_text()
    one.write_text(two.read_text())  # sealed for another name
    two.write_text(one.read_text())
    codes = set()
    for name in ("name", "other"):
        try:
            codes.add(storage.pop(name))
        except StorageError as error:
            codes.add(error.code)
    assert codes == {"damaged_record", "planted"}


def test_what_is_damaged_is_told(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    storage.hold("name", "text", 60)
    [file] = tmp_path.glob(f"*{PENDING}")
    file.write_text('{"until": "soon"}')
    with pytest.raises(StorageError, match="damaged"):
        storage.pop("name")


def test_a_named_storage_of_the_machine_holds_too() -> None:
    choose_storage("file").hold("name", "text", 60)
    assert choose_storage("file").pop("name") == "text"
