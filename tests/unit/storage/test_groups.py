"""Among very many logins a few are found without reading all, and none is ever missed for long."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from mcp_client_auth.credential import Credential, Key, key_for
from mcp_client_auth.paths import record_id
from mcp_client_auth.storage import Summary
from mcp_client_auth.storage.directory import Directory
from mcp_client_auth.storage.file import FileStorage
from mcp_client_auth.storage.groups import MANY, PERSON
from tests.support.storage_samples import bare

SERVER = "https://mcp.example.com/mcp"


def login(server: str = SERVER, account: str = "default", client_id: str = "shared") -> Credential:
    made = replace(bare(key_for(server, account)), generation=1)
    return replace(made, client=replace(made.client, client_id=client_id))


def url(number: int) -> str:
    return f"https://mcp-{number}.example.com/mcp"


@pytest.fixture(scope="module")
def home_of_many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("many") / "home"
    files = FileStorage(home)
    for number in range(MANY + 1):
        files.save(login(url(number), client_id=f"client-{number}"))
    for account in ("work", "home"):
        files.save(login(account=account))
    files.list()  # sees that they are many
    files.list()  # sorts them
    return home


@pytest.fixture
def many(home: Path, home_of_many: Path) -> FileStorage:
    """More logins than are read for one of them, and their groups made."""
    copytree(home_of_many, home, symlinks=True)
    return FileStorage(home)


def servers(found: list[Summary]) -> list[tuple[str, str]]:
    return [(each.key.server, each.key.account) for each in found]


@pytest.fixture
def unread(many: FileStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the directory of the logins cannot be listed."""

    def refuse(*_: object) -> None:
        raise AssertionError("all entries were read")

    monkeypatch.setattr(Directory, "_all", refuse)


@pytest.mark.usefixtures("unread")
def test_logins_are_found_by_server_account_and_client_without_reading_all(
    many: FileStorage,
) -> None:
    found = many.index.all
    assert servers(found(server=SERVER)) == [(SERVER, "home"), (SERVER, "work")]
    assert servers(found(server=SERVER, account="work")) == [(SERVER, "work")]
    issuer = login().issuer
    assert servers(found(issuer=issuer, client_id="client-7")) == [(url(7), "default")]
    assert len(found(1, issuer=issuer, client_id="shared")) == 1
    assert found(server="https://mcp.example.org/") == []
    assert servers(found(account="work")) == [(SERVER, "work")]
    assert found(account="nobody") == []


def test_logins_without_a_name_are_read_from_among_all(many: FileStorage, home: Path) -> None:
    """Their group would be as large as all others together."""
    assert len(many.index.all(account="default")) == len(many.index.all()) - 2
    unnamed = record_id(PERSON, "default")
    files = [file for file in (home / "settings.groups").rglob("*") if file.is_file()]
    assert len(files) > 100
    assert not any(unnamed in file.read_text() for file in files)


def test_the_logins_of_a_person_are_found_among_those_that_an_older_program_has_sorted(
    many: FileStorage, home: Path
) -> None:
    """Its sortings have no groups of persons: so all entries are read, until the next sorting."""
    groups = home / "settings.groups"
    before = (groups / "sorted").read_text()
    (groups / before).rename(groups / before[1:])
    (groups / "sorted").write_text(before[1:])
    assert servers(many.index.all(account="work")) == [(SERVER, "work")]
    then = time.time() - 90_000
    os.utime(groups / "sorted", (then, then))
    many.list()
    assert (groups / "sorted").read_text() != before[1:]


@pytest.mark.usefixtures("unread")
def test_what_is_saved_changed_and_deleted_is_seen_at_once(many: FileStorage) -> None:
    new, issuer = login(account="new"), login().issuer
    many.save(new)
    assert servers(many.index.all(server=SERVER, account="new")) == [(SERVER, "new")]
    many.save(replace(new, generation=2, client=replace(new.client, client_id="another")))
    assert many.index.all(issuer=issuer, client_id="another")
    assert (SERVER, "new") not in servers(many.index.all(issuer=issuer, client_id="shared"))
    many.delete(new.key)
    assert many.index.all(server=SERVER, account="new") == []
    assert many.index.all(issuer=issuer, client_id="another") == []


def without_joining(files: FileStorage, credential: Credential, patch: pytest.MonkeyPatch) -> None:
    """As version 0.1.0 saves, which knows of no groups."""
    with patch.context() as old:
        old.setattr(files.index, "_groups", None)
        files.save(credential)


def test_a_login_of_an_older_program_is_found_after_the_next_reading_of_all(
    many: FileStorage, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    without_joining(many, login(account="older"), monkeypatch)
    then = time.time() - 90_000
    os.utime(home / "settings.groups" / "sorted", (then, then))
    assert servers(many.index.all(server=SERVER, account="older")) == [(SERVER, "older")]
    with monkeypatch.context() as patch:
        patch.setattr(Directory, "_all", None)
        assert servers(many.index.all(server=SERVER, account="older")) == [(SERVER, "older")]


def test_a_login_that_joins_while_all_are_sorted_stays_in_its_groups(
    many: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = many.beside.groups
    assert groups
    sorting = groups.begin()
    read = {each.key.id: [("server", each.key.server)] for each in many.list()}
    many.save(login(account="meanwhile"))
    groups.end(sorting, read)
    monkeypatch.setattr(Directory, "_all", None)
    assert (SERVER, "meanwhile") in servers(many.index.all(server=SERVER, account="meanwhile"))


def test_the_dead_are_left_out_when_all_are_sorted(many: FileStorage, home: Path) -> None:
    for _ in range(3):
        many.save(login(account="brief"))
        many.delete(key_for(SERVER, "brief"))
    groups = many.beside.groups
    assert groups
    id = key_for(SERVER, "brief").id  # noqa: A001
    assert list(groups.members(("account", SERVER, "brief")) or ()) == [id]
    (home / "settings.groups" / "sorted").unlink()
    many.list()
    assert list(groups.members(("account", SERVER, "brief")) or ()) == []


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"nonsense\n", b"0" * 40], ids=repr)
def test_damaged_groups_cost_a_reading_and_no_login(
    damage: bytes, many: FileStorage, home: Path
) -> None:
    for path in (home / "settings.groups").glob("*/*"):
        path.write_bytes(damage)
    (home / "settings.groups" / "sorted").unlink()
    assert servers(many.index.all(server=SERVER, account="work")) == [(SERVER, "work")]
    assert servers(many.index.all(server=SERVER, account="home")) == [(SERVER, "home")]


@pytest.mark.parametrize("kept", [0, 40], ids=["nothing", "half a line"])
def test_where_members_cannot_be_kept_all_are_read(
    kept: int, many: FileStorage, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def full(handle: int, data: bytes) -> int:
        if len(data) != 66:
            return write(handle, data)
        if not kept:
            raise OSError(28, "No space left on device")
        return write(handle, data[:kept])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        many.save(login(account="unlucky"))
    assert not (home / "settings.groups" / "sorted").exists()
    assert servers(many.index.all(server=SERVER, account="unlucky")) == [(SERVER, "unlucky")]


def test_few_logins_have_no_groups(home: Path, key: Key) -> None:
    files = FileStorage(home)
    files.save(bare(key))
    files.list()
    assert not (home / "settings.groups").exists()


def test_groups_go_when_few_logins_are_left(many: FileStorage, home: Path) -> None:
    for number in range(MANY + 1):
        (home / f"{key_for(url(number)).id}.json").unlink()
    (home / "settings.groups" / "sorted").unlink()
    assert servers(many.index.all(server=SERVER)) == [(SERVER, "home"), (SERVER, "work")]
    assert not (home / "settings.groups").exists()


@pytest.mark.parametrize("damage", [b"", b"nowhere", b"\xff\xfe", b"../.."], ids=repr)
def test_where_the_sorting_is_gone_all_are_read(
    damage: bytes, many: FileStorage, home: Path
) -> None:
    (home / "settings.groups" / "sorted").write_bytes(damage)
    assert servers(many.index.all(server=SERVER, account="work")) == [(SERVER, "work")]


def test_one_sorting_is_left_and_those_that_were_given_up_go(many: FileStorage, home: Path) -> None:
    groups = many.beside.groups
    assert groups
    then = time.time() - 7200
    os.utime(home / "settings.groups" / groups.begin(), (then, then))
    under_way = groups.begin()
    os.utime(home / "settings.groups" / "sorted", (then - 86_400, then - 86_400))
    many.list()
    left = {path.name for path in (home / "settings.groups").iterdir() if path.is_dir()}
    assert left == {under_way, (home / "settings.groups" / "sorted").read_text()}
