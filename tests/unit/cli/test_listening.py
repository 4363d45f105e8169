"""Where `bridge --listen` listens, and the secret of its clients."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import click
import pytest

from mcp_client_auth import Secret, UsageError
from mcp_client_auth.cli.listening import Place, loopback, secret_in, tell

SECRET = "made-for-a-test-of-22-and-more"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:0", Place("127.0.0.1", 0)),
        ("localhost:65535", Place("localhost", 65535)),
        ("[::1]:8080", Place("::1", 8080)),
    ],
)
def test_a_place_on_loopback(text: str, place: Place) -> None:
    assert loopback(text) == place


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0:80", "8080", ":8080", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:1x", "[::]:1"],
)
def test_no_other_place_is_one(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"127\.0\.0\.1:PORT"):
        loopback(text)


def test_a_secret_has_128_bits_and_is_another_each_time() -> None:
    made = {secret_in(None).reveal() for _ in range(20)}
    assert len(made) == 20
    assert all(len(each) >= 22 for each in made)


def test_a_file_is_made_for_its_owner_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    first = secret_in(str(file))
    assert secret_in(str(file)) == first
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_two_that_start_at_once_have_one_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, opened = tmp_path / "secret", os.open
    others: list[Secret | None] = []

    def another_starts(path: str, flags: int, *more: int) -> int:
        handle = opened(path, flags, *more)
        if flags & os.O_CREAT and not others:
            others.append(None)
            others[0] = secret_in(str(file))
        return handle

    monkeypatch.setattr(os, "open", another_starts)
    assert secret_in(str(file)) == others[0]
    assert [*tmp_path.iterdir()] == [file]


def test_a_file_is_made_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: str) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refused)
    file = tmp_path / "secret"
    assert secret_in(str(file)).reveal() == file.read_text().strip()
    assert [*tmp_path.iterdir()] == [file]


@pytest.mark.parametrize("text", ["", "short", SECRET + "/../x", f"{SECRET}\n{SECRET}", "ü" * 30])
def test_what_is_no_secret_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secret"
    file.touch(0o600)
    file.write_text(text)
    with pytest.raises(UsageError, match="22 letters") as refused:
        secret_in(str(file))
    assert not text or text not in str(refused.value)


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")
def test_a_file_that_others_can_read_or_that_is_a_link_is_refused(tmp_path: Path) -> None:
    file, link = tmp_path / "secret", tmp_path / "link"
    file.write_text(SECRET)
    file.chmod(0o640)
    with pytest.raises(UsageError, match="other users") as refused:
        secret_in(str(file))
    assert "chmod 600" in refused.value.hint
    file.chmod(0o600)
    link.symlink_to(file)
    with pytest.raises(UsageError, match="cannot be used"):
        secret_in(str(link))
    with pytest.raises(UsageError, match="cannot be used"):
        secret_in(str(tmp_path))


def test_a_secret_of_a_file_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    tell("127.0.0.1:80", "/mcp", Secret(SECRET), "a-file")
    said = capsys.readouterr()
    assert SECRET not in said.err
    assert "a-file" in said.err
    tell("127.0.0.1:80", "/mcp", Secret(SECRET), None)
    said = capsys.readouterr()
    assert f"Authorization: Bearer {SECRET}" in said.err
    assert f"http://127.0.0.1:80/{SECRET}/mcp" in said.err
    assert said.out == ""
