"""Small files: ours, which nobody else can have written, and those that the user names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_client_auth import paths
from mcp_client_auth.paths import (
    Foreign,
    Unfit,
    read_named,
    read_private,
    record_id,
    record_ids,
)

posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbftext\r\n")
    return path


def test_a_file_is_read_as_it_is_and_text_without_its_mark(file: Path) -> None:
    assert read_private(str(file)) == b"\xef\xbb\xbftext\r\n"
    assert read_named(str(file)) == "text\r\n"


def test_a_file_that_is_too_large_is_no_private_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_private(str(file), 9)
    with pytest.raises(Unfit, match="larger than 8 bytes"):
        read_private(str(file), 8)
    file.write_bytes(bytes(paths.LARGEST + 1))
    with pytest.raises(Unfit, match="larger"):
        read_named(str(file))


def gone(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path) -> None:
    path.rename(path.with_name("there"))
    path.symlink_to("there")


@posix
@pytest.mark.parametrize("spoil", [gone, folder, pipe, link])
def test_what_we_cannot_have_written_is_not_read(file: Path, spoil: Callable[[Path], None]) -> None:
    spoil(file)
    with pytest.raises(OSError, match=r"No such file|not a regular file|links"):
        read_private(str(file))


@posix
def test_a_strangers_file_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: file.stat().st_uid + 1)
    with pytest.raises(Foreign):
        read_private(str(file))
    assert read_named(str(file)) == "text\r\n"


@posix
def test_a_link_leads_to_the_file_that_the_user_names(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link(file)
    monkeypatch.setenv("HOME", str(file.parent))
    assert read_named("~/file") == "text\r\n"


@posix
def test_a_pipe_is_read_once_where_that_is_enough(file: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"token")
    os.close(write)
    path = f"/dev/fd/{read}"
    try:
        with pytest.raises(Unfit, match="not a regular file"):
            read_named(path)
        assert read_named(path, pipe=True) == "token"
    finally:
        os.close(read)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"caf\xe9"])
def test_what_is_not_text_is_said(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(Unfit, match="not text"):
        read_named(str(file))


def test_a_path_with_a_nul_is_an_error_of_the_file() -> None:
    with pytest.raises(Unfit):
        read_named("a\0b")


@pytest.mark.parametrize("odd", ["plain", 'a "quoted" one', "back\\slash", "Zürich", "\x01", "/"])
def test_the_ids_of_many_are_those_of_each(odd: str) -> None:
    named = [("https://mcp.example.com/mcp", "default", "", ""), (odd, "", "x", odd), ("", "a")]
    assert record_ids(named) == [record_id(*words) for words in named]
