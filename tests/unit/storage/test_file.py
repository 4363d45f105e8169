"""Records in files: damaged ones, newer ones, and where the secrets lie."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcp_client_auth.credential import Key
from mcp_client_auth.errors import StorageError
from mcp_client_auth.storage import Storage
from mcp_client_auth.storage.file import FileStorage
from tests.support.codes import coded
from tests.support.storage_samples import CLIENT_KEY, PLANTED, full, full_client

if TYPE_CHECKING:
    from tests.unit.storage.conftest import Elsewhere


@pytest.fixture
def files(home: Path) -> FileStorage:
    return FileStorage()


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_record_is_damaged(
    kept: float, files: FileStorage, key: Key, home: Path
) -> None:
    files.save(full(key))
    record = home / f"{key.id}.secret"
    record.write_bytes(record.read_bytes()[: int(record.stat().st_size * kept)])
    damaged(files, key)


@pytest.mark.parametrize(
    "junk",
    [
        b"\0" * 512,
        b"\xff\xfe\x00\x01",
        b"[]",
        b"null",
        b'"planted"',
        b"{}",
        b'{"version": 1}',
        b'{"version": "1"}',
        b'{"version": 1, "key": 5}',
    ],
    ids=repr,
)
def test_a_corrupt_record_is_damaged(junk: bytes, files: FileStorage, key: Key, home: Path) -> None:
    files.save(full(key))
    (home / f"{key.id}.secret").write_bytes(junk)
    damaged(files, key)
    files.save(full(key))  # as after a new login
    assert files.load(key) == full(key)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", None),
        pytest.param("client", 5),
        pytest.param("tokens", None),
        pytest.param("client", None),
        pytest.param("tokens", {"access_token": None}),
        pytest.param("generation", "7"),
    ],
)
def test_a_record_with_a_field_of_another_type_is_damaged(
    name: str, value: object, files: FileStorage, key: Key, home: Path
) -> None:
    files.save(full(key))
    record = home / f"{key.id}.secret"
    fields = json.loads(record.read_text())
    if isinstance(value, dict):
        value = {**fields[name], **value}
    record.write_text(json.dumps({**fields, name: value}))
    damaged(files, key)


def damaged(files: FileStorage, key: Key) -> None:
    with pytest.raises(StorageError, check=coded("damaged_record")) as caught:
        files.load(key)
    assert caught.value.code == "damaged_record"
    assert f"{key.id}.secret" in caught.value.summary
    assert caught.value.__cause__ is None
    assert not any(secret in str(caught.value) for secret in PLANTED.values())
    assert [summary.key for summary in files.list()] == [key]


def test_a_damaged_record_is_set_aside_by_the_next_login_and_goes_with_the_logout(
    files: FileStorage, key: Key, home: Path
) -> None:
    files.save(full(key))
    record = home / f"{key.id}.secret"
    record.write_bytes(record.read_bytes()[:99])
    spoilt = record.read_bytes()
    damaged(files, key)
    assert record.read_bytes() == spoilt
    files.save(full(key))
    assert files.load(key) == full(key)
    assert (home / f"{key.id}.secret.damaged").read_bytes() == spoilt
    files.delete(key)
    assert [path.suffix for path in home.iterdir()] == [".deleted"]


def test_a_record_of_a_newer_version_says_so_and_is_left_alone(
    files: FileStorage, key: Key, home: Path
) -> None:
    files.save(full(key))
    files.save(full_client(), CLIENT_KEY)
    for item in (key, CLIENT_KEY):
        record = home / f"{item.id}.secret"
        newer = record.read_text().replace('"version":1', '"version":2')
        assert newer != record.read_text()
        record.write_text(newer)
        with pytest.raises(StorageError, check=coded("newer_record")) as caught:
            files.load(item)
        assert caught.value.code == "newer_record"
        assert record.read_text() == newer


def test_secrets_lie_in_the_secret_files_only(files: FileStorage, key: Key, home: Path) -> None:
    for purpose in ("refresh", "login"):
        with files.lock(key, purpose):
            files.check()
            files.save(full(key))
    files.save(full_client(), CLIENT_KEY)
    found = {
        (path.suffix, name)
        for path in home.rglob("*")
        for name, secret in PLANTED.items()
        if secret.encode() in path.read_bytes() or secret in path.name
    }
    assert found == {(".secret", name) for name in PLANTED}
    for item in (key, CLIENT_KEY):
        assert (home / f"{item.id}.secret").exists()


def test_it_says_that_the_file_is_a_file(files: FileStorage, home: Path) -> None:
    assert str(home) in files.where
    assert "file" in files.where


def test_a_check_leaves_nothing_behind(files: FileStorage, home: Path) -> None:
    files.check()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("lasting", ["file"], indirect=True)
def test_checks_at_the_same_time_do_not_disturb_each_other(
    lasting: Storage, elsewhere: Elsewhere
) -> None:
    with ExitStack() as stack:
        others = [stack.enter_context(elsewhere.start("check_often", "100")) for _ in range(3)]
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(lasting.check) for _ in range(100)]:
                done.result()
        assert [elsewhere.answer(process) for process in others] == [None] * 3


def test_a_disk_that_keeps_nothing_is_found_out(
    files: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.directory, "write", lambda name, text: None)
    with pytest.raises(StorageError, match="does not keep"):
        files.check()
