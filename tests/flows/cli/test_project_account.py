"""An account for each project: which file counts, when, and what it may choose."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_client_auth import Secret
from mcp_client_auth.cli.quick import quick_token
from mcp_client_auth.paths import PROJECT, project_file
from tests.support.inside import Inside, Ran, credential

URL = "https://mcp.example.invalid/mcp"
WORK = 'account = "work"\n'
Prepare = Callable[[Path], object]


@pytest.fixture
def project(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory below the home, with two logins to the server on this machine."""
    inside.keep(credential(URL, "planted-default"))
    inside.keep(credential(URL, "planted-work", account="work"))
    here = inside.home / "projects" / "one"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    (here / PROJECT).write_text(WORK)
    return here


def at_a_terminal(inside: Inside, answer: str) -> Ran:
    with inside.patch.context() as patch:
        patch.setattr("mcp_client_auth.cli.project.is_interactive", lambda: True)
        return inside("status", URL, stdin=answer.encode() + b"\n")


def allow(inside: Inside) -> None:
    ran = at_a_terminal(inside, "y")
    assert ran.code == 0, ran.err
    assert "account  work" in ran.out


def refused(ran: Ran, code: int = 2) -> None:
    """The command did nothing as another account, and its message names `--account`."""
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert "--account" in ran.err
    assert "\x1b" not in ran.err


@pytest.mark.parametrize(
    "words", [["token"], ["token", "-q"], ["headers"], ["refresh"], ["logout", "--yes"], ["status"]]
)
def test_a_file_that_no_one_has_allowed_ends_a_verb(
    inside: Inside, project: Path, words: list[str]
) -> None:
    ran = inside(*words, URL)
    refused(ran)
    assert str(project / PROJECT) in ran.err
    assert "mcp-login status" in ran.err
    assert inside("token", URL, "--account", "default").out == "planted-default\n"


@pytest.mark.parametrize("words", [["call", "add_note"], ["exec", "--", "true"], ["login"]])
def test_nor_does_it_call_run_or_log_in(inside: Inside, project: Path, words: list[str]) -> None:
    refused(inside(words[0], URL, *words[1:]))


def test_once_allowed_it_chooses_the_login_and_says_so_each_time(
    inside: Inside, project: Path
) -> None:
    allow(inside)
    for words in (["token"], ["token", "-q"], ["headers"]):
        ran = inside(*words, URL)
        assert "planted-work" in ran.out
        assert "work" in ran.err
        assert str(project / PROJECT) in ran.err
    ran = inside("headers", CLAUDE_CODE_MCP_SERVER_URL=URL)
    assert "planted-work" in ran.out
    inside.names({"here": URL})
    assert inside("token", "here").out == "planted-work\n"


def test_below_it_the_same_file_counts_and_the_nearest_one_first(
    inside: Inside, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(inside)
    below = project / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert inside("token", URL).out == "planted-work\n"
    (project / "a" / PROJECT).write_text('account = "default"')
    assert inside("token", URL).out == "planted-default\n"


@pytest.mark.parametrize("answer", ["n", ""])
def test_a_refusal_is_not_remembered_and_nor_is_it_allowed(
    inside: Inside, project: Path, answer: str
) -> None:
    refused(at_a_terminal(inside, answer))
    refused(inside("token", URL))
    allow(inside)


def test_another_content_and_another_place_are_not_allowed(
    inside: Inside, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(inside)
    (project / PROJECT).write_text(WORK + "# more")
    refused(inside("token", URL))
    (project / PROJECT).write_text(WORK)
    assert inside("token", URL).out == "planted-work\n"
    other = project.parent / "other"
    other.mkdir()
    (other / PROJECT).write_text(WORK)
    monkeypatch.chdir(other)
    refused(inside("token", URL))


@pytest.mark.parametrize(
    ("words", "environment"),
    [(["--account", "default"], ""), (["--account=default"], ""), ([], "default")],
)
def test_what_the_person_says_counts_before_it(
    inside: Inside, project: Path, words: list[str], environment: str
) -> None:
    allow(inside)
    ran = inside("token", URL, *words, MCP_CLIENT_AUTH_ACCOUNT=environment)
    assert (ran.out, ran.err) == ("planted-default\n", "")


def test_an_account_without_a_login_is_not_chosen(inside: Inside, project: Path) -> None:
    other = "https://other.example.invalid/mcp"
    inside.keep(credential(other, "planted-other"))
    allow(inside)
    for verb in ("token", "status", "logout", "tools"):
        ran = inside(verb, other)
        refused(ran, 3)
        assert ran.err.endswith(f"Run: mcp-login {other} --account work\n"), "it can be copied"
    assert inside("token", other, "--account", "default").out == "planted-other\n"


def test_a_byte_order_mark_is_no_fault(inside: Inside, project: Path) -> None:
    (project / PROJECT).write_text(WORK, encoding="utf-8-sig")
    allow(inside)
    assert inside("token", URL).out == "planted-work\n"


def test_a_verb_that_hands_something_out_never_asks(inside: Inside, project: Path) -> None:
    with inside.patch.context() as patch:
        patch.setattr("mcp_client_auth.cli.project.is_interactive", lambda: True)
        ran = inside("token", URL, stdin=b"y\n")
    refused(ran)


def linked(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def mode(bits: int) -> Prepare:
    return lambda file: file.chmod(bits)


def content(text: str | bytes) -> Prepare:
    return lambda file: file.write_bytes(text if isinstance(text, bytes) else text.encode())


SPOILT: dict[str, Prepare] = {
    "of its group": mode(0o664),
    "of all": mode(0o646),
    "a link": linked,
    "a directory": directory,
    "no TOML": content("account = work"),
    "a number": content("account = 5"),
    "blank": content('account = " "'),
    "a control character": content('account = "a\\u001b[2J"'),
    "empty": content(""),
    "deep": content("a = " + "[" * 200_000),
    "no text": content(b"\xff"),
    "large": content(WORK + "#" * (1 << 21)),
}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_a_file_that_is_not_as_it_must_be_is_not_used(
    inside: Inside, project: Path, spoil: Prepare
) -> None:
    allow(inside)
    spoil(project / PROJECT)
    for verb in ("token", "logout"):
        ran = inside(verb, URL)
        refused(ran)
        assert "cannot be used" in ran.err
    assert inside("token", URL, "--account", "default").out == "planted-default\n"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_what_makes_it_usable_is_named(inside: Inside, project: Path) -> None:
    (project / PROJECT).chmod(0o664)
    assert inside("token", URL).err.endswith(f"Run: chmod go-w {project / PROJECT}\n")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX owners")
def test_another_users_file_is_not_used(inside: Inside, project: Path) -> None:
    allow(inside)
    with inside.patch.context() as patch:
        patch.setattr("mcp_client_auth.cli.mcp_configs.is_foreign", lambda state: True)
        ran = inside("token", URL)
    refused(ran)
    assert "another user" in ran.err


def test_it_is_not_looked_for_beyond_the_home(
    inside: Inside, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(project.parent))
    (project / PROJECT).rename(inside.home / PROJECT)
    assert project_file() is None
    (project.parent / PROJECT).write_text(WORK)
    assert project_file() == str(project.parent / PROJECT)


def test_it_is_not_looked_for_beyond_a_mount(
    inside: Inside, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project / "mounted" / "below"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert project_file() == str(project / PROJECT)
    plain = os.stat

    def stat(path: str) -> os.stat_result:
        known = plain(path)
        device = known.st_dev + ("mounted" in str(path))
        return os.stat_result((*known[:2], device, *known[3:]))

    monkeypatch.setattr("mcp_client_auth.paths.os.stat", stat)
    assert project_file() is None


def test_a_directory_that_was_removed_has_none(
    inside: Inside, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> str:
        raise FileNotFoundError

    monkeypatch.setattr("mcp_client_auth.paths.os.getcwd", gone)
    assert project_file() is None
    assert inside("token", URL).out == "planted-default\n"


def test_the_quick_way_leaves_it_to_the_verb(inside: Inside, project: Path) -> None:
    assert quick_token([URL]) is None
    assert quick_token([URL, "--account", "work"]) == "planted-work"
    (project / PROJECT).unlink()
    assert quick_token([URL]) == "planted-default"


def test_a_programs_own_login_is_none_of_it(inside: Inside, project: Path) -> None:
    Path("secret").write_text("planted-secret")
    client = ("--client-id", "ours", "--client-secret-file", "secret")
    ran = inside("token", URL, "--grant", "client_credentials", *client)
    assert PROJECT not in ran.err
    assert Secret("planted-secret").reveal() not in ran.err
