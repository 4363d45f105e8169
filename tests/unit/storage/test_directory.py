"""Files done right, the index, and the lock files."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mcp_client_auth.credential import Key
from mcp_client_auth.errors import StorageError
from mcp_client_auth.storage import Storage, Summary, local_index, storage_named
from mcp_client_auth.storage.directory import Directory, Listed
from mcp_client_auth.storage.file import FileBackend, FileStorage
from mcp_client_auth.storage.index import Index
from tests.support.storage_samples import full

if TYPE_CHECKING:
    from tests.unit.storage.conftest import Elsewhere

POSIX = pytest.mark.skipif(os.name != "posix", reason="owners and modes are of POSIX")
ROOT = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away"
)
STRANGER = 54_321


@pytest.fixture
def directory(home: Path) -> Directory:
    return Directory()


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o177, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@POSIX
@pytest.mark.usefixtures("umask")
def test_everything_is_private_whatever_the_umask(home: Path, key: Key) -> None:
    storage = storage_named("file")
    with storage.lock(key):
        storage.save(full(key))
    assert mode(home) == 0o700
    found = {path.suffix: mode(path) for path in home.iterdir()}
    assert found == {".secret": 0o600, ".json": 0o600, ".lock": 0o600}


@POSIX
def test_a_directory_of_ours_that_others_could_read_is_closed(
    home: Path, directory: Directory, key: Key
) -> None:
    home.mkdir()
    for name in (f"{key.id}.json", f".{key.id}.secret.abc", "settings.conf"):
        home.chmod(0o755)
        directory.write(name, "text")
        assert mode(home) == 0o700


@POSIX
def test_a_directory_with_other_things_in_it_is_not_closed_but_refused(
    home: Path, directory: Directory
) -> None:
    home.mkdir()
    home.chmod(0o755)
    (home / "index.html").write_text("somebody's")
    with pytest.raises(StorageError, match="open to other users") as caught:
        directory.write("name", "text")
    assert caught.value.code == "open_directory"
    assert "MCP_CLIENT_AUTH_HOME" in caught.value.hint
    assert (mode(home), [path.name for path in home.iterdir()]) == (0o755, ["index.html"])


@POSIX
@pytest.mark.parametrize("mask", [0o177, 0o777], ids=oct)
def test_directories_made_on_the_way_can_be_entered_whatever_the_umask(
    mask: int, tmp_path: Path
) -> None:
    before = os.umask(mask)
    try:
        Directory(tmp_path / "a" / "b" / "c").write("name", "text")
    finally:
        os.umask(before)
    assert [mode(tmp_path / place) for place in ("a", "a/b", "a/b/c")] == [0o700] * 3


@POSIX
def test_a_file_that_others_could_read_is_replaced_by_a_private_one(
    home: Path, directory: Directory
) -> None:
    directory.write("name", "old")
    (home / "name").chmod(0o644)
    directory.write("name", "new")
    assert mode(home / "name") == 0o600


def test_a_home_may_lie_deep_and_be_written_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("MCP_CLIENT_AUTH_HOME", "~/a/b/c")
    Directory().write("name", "text")
    assert (tmp_path / "a/b/c/name").read_text() == "text"


@pytest.mark.skipif(sys.platform != "linux", reason="each platform has its own place")
def test_without_a_home_it_is_the_platforms_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MCP_CLIENT_AUTH_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Directory().path == tmp_path / "mcp-client-auth"


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_write_that_fails_is_a_typed_error_and_leaves_the_old_record_whole(
    call: str, number: int, home: Path, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = storage_named("file")
    storage.save(full(key))
    before = contents(home)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        if call == "write":  # a full disk shows where the buffer is flushed
            broken.setattr(os, "fdopen", _full_disk(number))
        else:
            broken.setattr(os, call, fail)
        with pytest.raises(StorageError, match=os.strerror(number)) as caught:
            storage.save(full(key).renewed(full(key).tokens))
    assert "unchanged" in caught.value.hint
    assert contents(home) == before
    assert storage.load(key) == full(key)


def test_a_file_that_cannot_be_set_aside_is_named(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    directory.set_aside("absent.json")
    directory.write("a.json", "text")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StorageError) as caught:
        directory.set_aside("a.json")
    assert caught.value.summary.startswith(f"{directory.path / 'a.json'} cannot be set aside: ")


@POSIX
def test_a_write_whose_directory_cannot_be_synced_has_been_made(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many files are open, or the directory cannot be read: what is in place is in place."""
    opened = os.open

    def fail(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if path == directory.path:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return opened(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", fail)
    directory.write("a.json", "text")
    assert directory.read("a.json") == "text"


@POSIX
def test_a_directory_that_goes_while_it_is_looked_at_is_a_typed_error(
    home: Path, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir(mode=0o755)
    home.chmod(0o755)

    def fail(_: Any) -> list[str]:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(os, "listdir", fail)
    with pytest.raises(StorageError, match="cannot be listed"):
        directory.write("a.json", "text")
    with pytest.raises(StorageError, match="cannot be listed"), directory.lock("a", "login", 0):
        pass


@POSIX
def test_a_home_that_cannot_be_made_is_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: Key
) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in ("file", "file/below"):
        monkeypatch.setenv("MCP_CLIENT_AUTH_HOME", str(tmp_path / place))
        with pytest.raises(StorageError):
            storage_named("file").save(full(key))
        with pytest.raises(StorageError), storage_named("file").lock(key):
            pass


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("lasting", ["file"], indirect=True)
def test_a_process_killed_in_a_write_leaves_the_old_record_whole(
    call: str, lasting: Storage, key: Key, home: Path, elsewhere: Elsewhere
) -> None:
    lasting.save(full(key))
    before = contents(home)
    with elsewhere.start("die-in", call) as process:
        assert process.wait(60) == 9
    after = contents(home)
    assert {name: after[name] for name in before} == before
    assert lasting.load(key) == full(key)
    assert [summary.key for summary in lasting.list()] == [key]
    lasting.save(full(key))
    assert lasting.load(key) == full(key)


@pytest.mark.parametrize("lasting", ["file"], indirect=True)
def test_what_a_killed_write_left_goes_with_its_record(
    lasting: Storage, key: Key, home: Path, elsewhere: Elsewhere
) -> None:
    lasting.save(full(key))
    with elsewhere.start("die-in", "replace") as process:
        assert process.wait(60) == 9
    left = [text for name, text in contents(home).items() if name.startswith(".")]
    assert any("planted" in text for text in left)
    lasting.delete(key)
    assert contents(home) == {f"{key.id}.deleted": "7"}


@POSIX
def test_a_symlink_in_place_of_a_file_is_not_followed(
    home: Path, directory: Directory, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_text("another's")
    directory.write("other", "")
    (home / "name").symlink_to(target)
    with pytest.raises(StorageError):
        directory.read("name")
    directory.write("name", "mine")
    assert directory.read("name") == "mine"
    assert not (home / "name").is_symlink()
    assert target.read_text() == "another's"


@POSIX
def test_a_symlink_in_place_of_the_lock_is_not_followed(
    home: Path, key: Key, directory: Directory, tmp_path: Path
) -> None:
    directory.write("other", "")
    (home / f"{key.id}.refresh.lock").symlink_to(tmp_path / "target")
    with pytest.raises(StorageError), directory.lock(key.id, "refresh", 1):
        pass
    assert not (tmp_path / "target").exists()


@POSIX
def test_a_symlink_in_place_of_the_directory_is_refused(
    home: Path, directory: Directory, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    home.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="to the directory that it leads to"):
        directory.write("name", "text")
    assert not list((tmp_path / "elsewhere").iterdir())
    (tmp_path / "elsewhere/name").write_text("another's")
    with pytest.raises(StorageError, match="to the directory that it leads to"):
        directory.read("name")


@POSIX
def test_a_pipe_in_place_of_the_directory_is_not_waited_for(
    home: Path, directory: Directory
) -> None:
    os.mkfifo(home)
    assert list(directory.read_all(".json", ["a"])) == []


@ROOT
def test_a_strangers_file_is_refused(home: Path, key: Key) -> None:
    storage = storage_named("file")
    storage.save(full(key))
    os.chown(home / f"{key.id}.secret", STRANGER, STRANGER)
    with pytest.raises(StorageError, match="another user") as caught:
        storage.load(key)
    assert caught.value.code == "foreign_owner"


@ROOT
def test_in_a_strangers_directory_nothing_is_read_written_or_locked(home: Path, key: Key) -> None:
    storage = storage_named("file")
    storage.save(full(key))
    os.chown(home, STRANGER, STRANGER)
    before = contents(home)
    codes = []
    for use in (
        storage.load,
        lambda k: storage.save(full(k)),
        lambda k: storage.lock(k).__enter__(),
    ):
        with pytest.raises(StorageError) as caught:
            use(key)
        codes.append(caught.value.code)
    assert codes == ["foreign_owner"] * 3
    assert contents(home) == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "\0" * 512,
        '{"version": 1}',
        '{"version": 2, "key": {"server": "s", "tenant": "t"}}',
        '{"key": 5, "issuer": "i", "scope": null, "expires_at": null, "renewable": true}',
    ],
)
def test_an_index_entry_that_cannot_be_read_hides_no_other(
    text: str, home: Path, directory: Directory, key: Key
) -> None:
    storage = storage_named("file")
    storage.save(full(key))
    (home / "0.json").write_text(text)
    assert [summary.key for summary in Index(FileBackend(directory)).all()] == [key]


def test_texts_that_are_json_only_together_hide_no_other(
    home: Path, directory: Directory, key: Key
) -> None:
    """Very many are parsed at once, with commas between them."""
    storage = storage_named("file")
    storage.save(full(key))
    (home / "0.json").write_text('{"x": "')
    (home / "1.json").write_text('"}')
    index = Index(FileBackend(directory))
    texts = dict(FileBackend(directory).texts(".json"))
    for order in permutations([key.id, "0", "1"]):
        found = index._read([(id, texts[id]) for id in order], 3)  # noqa: A001
        assert [(id, entry.key) for id, entry in found] == [(key.id, key)]  # noqa: A001


@pytest.mark.parametrize("closed", [True, False])
@POSIX
def test_all_texts_are_read_whatever_lies_between_them(
    closed: bool, home: Path, directory: Directory
) -> None:
    """In a directory that only the user can write to, with fewer looks at each file."""
    home.mkdir(mode=0o700)
    texts = {"small": "1", "large": "2" * 5000, "empty": ""}
    for name, text in texts.items():
        (home / f"{name}.json").write_text(text)
    (home / "link.json").symlink_to(home / "small.json")
    (home / "directory.json").mkdir()
    (home / "binary.json").write_bytes(b"\xff")
    os.mkfifo(home / "pipe.json")
    home.chmod(0o700 if closed else 0o770)
    found = dict(directory.read_all(".json"))
    assert found.pop("pipe", "") == ""
    assert found == texts


@pytest.mark.parametrize("field", ["server", "account", "client"])
def test_an_index_entry_of_wrong_types_hides_no_other(
    field: str, home: Path, directory: Directory, key: Key
) -> None:
    Index(FileBackend(directory)).put(Summary.of(full(key), "file"))
    entry = json.loads((home / f"{key.id}.json").read_text())
    entry["key"][field] = 5
    (home / "0.json").write_text(json.dumps(entry))
    assert key in [summary.key for summary in Index(FileBackend(directory)).all()]


def test_the_list_of_thousands_takes_no_time_to_speak_of(directory: Directory, key: Key) -> None:
    sample = full(key)
    for number in range(1000):
        owner = Key(key.server, f"account {number:04}")
        summary = Summary(owner, sample.issuer, None, None, True, "file")
        directory.path.mkdir(exist_ok=True, mode=0o700)
        entry = {"version": 1, "key": _plain(owner), **_rest(summary)}
        (directory.path / f"{owner.id}.json").write_text(json.dumps(entry))
    began = time.monotonic()
    found = Index(FileBackend(directory)).all()
    assert time.monotonic() - began < 60
    assert [s.key.account for s in found] == sorted(s.key.account for s in found)
    assert len(found) == 1000


def contents(home: Path) -> dict[str, str]:
    """Name and text of every file but the locks, hidden ones too."""
    return {p.name: p.read_text() for p in home.iterdir() if p.suffix != ".lock"}


def _plain(key: Key) -> dict[str, str]:
    return {"server": key.server, "account": key.account, "grant": key.grant, "client": key.client}


def _rest(summary: Summary) -> dict[str, object]:
    names = ("issuer", "scope", "expires_at", "renewable", "storage")
    return {name: getattr(summary, name) for name in names}


def _full_disk(number: int) -> Any:
    opened = os.fdopen

    class Full:
        def __init__(self, handle: int, *_: Any, **__: Any) -> None:
            self._file = opened(handle, "w")

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def fileno(self) -> int:
            return self._file.fileno()

        def write(self, text: str) -> None:
            self._file.write(text[: len(text) // 2])
            raise OSError(number, os.strerror(number))

    def open_(handle: int, mode: str = "r", **more: Any) -> Any:
        return Full(handle) if mode == "w" else opened(handle, mode, **more)

    return open_


@pytest.mark.parametrize(
    "fault",
    [NotImplementedError("no flock"), *(OSError(n, os.strerror(n)) for n in (38, 37, 95, 22))],
    ids=lambda fault: repr(fault)[:40],
)
@pytest.mark.skipif(sys.platform != "linux", reason="error numbers of Linux")
def test_a_file_system_that_cannot_lock_is_said(
    fault: Exception, directory: Directory, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr("fcntl.flock", fail)
    lock = directory.lock(key.id, "refresh", 0.2)
    with pytest.raises(StorageError, match="cannot lock files") as caught, lock:
        pass
    assert caught.value.code == "no_locks"
    assert "local disk" in caught.value.hint
    with pytest.raises(StorageError), directory.lock(key.id, "refresh", 0.2):
        pass  # nor is a lock of another kind left behind that nobody would ever take away


@pytest.mark.parametrize("call", ["replace", "open"])
def test_a_file_that_somebody_has_just_open_is_waited_for_on_windows(
    call: str, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write("name", "old")
    monkeypatch.setattr("mcp_client_auth.storage.directory._POSIX", False)
    done, refusals = getattr(os, call), [PermissionError(13, "in use")] * 3

    def busy(*arguments: Any, **named: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return done(*arguments, **named)

    if call == "replace":
        monkeypatch.setattr(os, call, busy)
        directory.write("name", "new")
        assert directory.read("name") == "new"
    else:
        monkeypatch.setattr(os, call, busy)
        assert directory.read("name") == "old"
    assert not refusals


def test_a_file_system_without_modes_is_no_fault_of_a_write(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    monkeypatch.setattr(Path, "chmod", refuse)
    directory.write("name", "text")
    assert directory.read("name") == "text"


@POSIX
def test_a_directory_that_is_read_only_is_closed_and_stays_so(
    directory: Directory, home: Path
) -> None:
    home.mkdir(mode=0o555)
    home.chmod(0o555)
    try:
        directory.write("name", "text")
    except StorageError:
        assert os.geteuid() != 0
    assert mode(home) == 0o500


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "Permission denied"), None])
def test_a_directory_that_cannot_be_listed_is_not_an_empty_one(
    error: OSError | None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if error is None:
        home.write_text("no directory")
    else:

        def refuse(_: object) -> None:
            raise error

        monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(StorageError, match="cannot be listed"):
        local_index().all()


# Leftovers


def crowded(home: Path) -> Directory:
    """One with more files than are looked through each time."""
    home.mkdir(mode=0o700)
    for number in range(300):
        (home / f"{number:032x}.json").touch()
    return Directory(home)


def aged(path: Path, text: str = "planted", days: float = 1.1) -> Path:
    path.write_text(text)
    then = time.time() - days * 86_400
    os.utime(path, (then, then))
    return path


def test_among_many_files_nothing_but_a_list_walks_the_directory(
    home: Path, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FileStorage(crowded(home))
    files.save(full(key))
    files.delete(key)
    assert (home / "settings.swept.lock").exists()

    def walk(*_: Any) -> None:
        raise AssertionError("the directory was listed")

    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, walk)
    fresh = FileStorage(home)
    fresh.check()
    fresh.save(full(key))
    assert fresh.load(key) == full(key)
    assert fresh.summary(key)
    fresh.save(full(key).renewed(full(key).tokens))
    fresh.delete(key)
    assert fresh.load(key) is None


@pytest.mark.parametrize("make", [Directory, crowded], ids=["few", "many"])
def test_what_an_earlier_version_left_of_a_write_goes_with_its_record(
    make: Callable[[Path], Directory], home: Path, key: Key
) -> None:
    files = FileStorage(make(home))
    files.save(full(key))
    left = home / f".{key.id}.secret.0123456789ab"
    left.write_text("planted")
    (home / "settings.swept.lock").unlink(missing_ok=True)
    files.delete(key)
    assert not left.exists()


def test_old_leftovers_go_once_and_young_ones_are_waited_for(home: Path, key: Key) -> None:
    directory = crowded(home)
    old = aged(home / f".{key.id}.secret.0123456789ab")
    young = home / f".{key.id}.json.ba9876543210"
    young.touch()
    directory.remove("another")
    assert (old.exists(), young.exists()) == (False, True)
    assert not (home / "settings.swept.lock").exists()
    aged(young)
    directory.remove("another")
    assert not young.exists()
    assert (home / "settings.swept.lock").exists()


def test_a_list_clears_away_what_is_old(home: Path, key: Key) -> None:
    directory = crowded(home)
    waste = (f"{key.id}.deleted", f".{key.id}.secret.0", "canary-0123456789abcdef.secret")
    gone = [aged(home / name) for name in waste]
    kept = aged(home / f"{key.id}.secret")
    directory.names()
    assert [path.exists() for path in (*gone, kept)] == [False, False, False, True]


def test_a_leftover_is_written_over_when_it_is_old_and_left_when_it_is_young(
    home: Path, directory: Directory
) -> None:
    directory.write("name", "first")
    old, young = aged(home / ".name.0", days=2), home / ".name.1"
    young.write_text("another process is writing")
    directory.write("name", "second")
    assert directory.read("name") == "second"
    assert (old.exists(), young.read_text()) == (False, "another process is writing")
    directory.remove("name")
    assert not young.exists()


def test_more_writers_than_names_all_write(home: Path, directory: Directory) -> None:
    directory.write("name", "old")
    for number in range(4):
        (home / f".name.{number}").touch()
    directory.write("name", "new")
    assert directory.read("name") == "new"


def test_one_reading_lists_the_directory_once(home: Path, directory: Directory) -> None:
    directory.write("name", "text")
    reading = Listed()
    assert reading.names() == ["name"]
    directory.write("later", "text")
    assert (reading.names(), sorted(Listed().names())) == (["name"], ["later", "name"])
