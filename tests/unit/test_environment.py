"""Where the program runs, from the environment and a few files, and who reads its words."""

from __future__ import annotations

import io
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from mcp_client_auth.environment import (
    Machine,
    find_session_bus,
    has_colours,
    has_hyperlinks,
    is_attended,
    is_terminal,
    page_width,
    terminal_width,
)

SSH = {"SSH_CONNECTION": "192.0.2.7 50022 198.51.100.9 22", "SSH_TTY": "/dev/pts/0"}
BUS = "DBUS_SESSION_BUS_ADDRESS"
WSL = "Linux version 5.15.167.4-microsoft-standard-WSL2"


def machine(
    environ: Mapping[str, str] = {},
    files: Mapping[str, str] = {},
    platform: str = "linux",
) -> Machine:
    return Machine(environ, platform, files.__contains__, lambda path: files.get(path, ""))


@pytest.mark.parametrize(
    ("where", "environ", "files", "platform"),
    [
        ("here", {"DISPLAY": ":0"}, {}, "linux"),
        ("here", {"WAYLAND_DISPLAY": "wayland-0"}, {}, "linux"),
        ("here", {}, {}, "darwin"),
        ("here", {}, {}, "win32"),
        ("headless", {}, {}, "linux"),
        ("headless", {}, {}, "freebsd14"),
        ("ssh", SSH, {}, "linux"),
        ("ssh", {"SSH_CONNECTION": SSH["SSH_CONNECTION"]}, {}, "darwin"),
        ("ssh", {"SSH_CLIENT": "192.0.2.7 50022 22"}, {}, "win32"),
        ("ssh", {"SSH_TTY": "/dev/pts/1"}, {}, "linux"),
        ("ssh", {**SSH, "DISPLAY": "localhost:10.0"}, {}, "linux"),
        ("codespaces", {"CODESPACES": "true"}, {"/.dockerenv": ""}, "linux"),
        ("codespaces", {"CODESPACES": "true", **SSH}, {}, "linux"),
        ("headless", {"CODESPACES": "false"}, {}, "linux"),
        ("gitpod", {"GITPOD_WORKSPACE_ID": "amber-1"}, {"/.dockerenv": ""}, "linux"),
        ("devcontainer", {"REMOTE_CONTAINERS": "true"}, {"/.dockerenv": ""}, "linux"),
        ("hub", {"JUPYTERHUB_API_URL": "http://hub/api"}, {"/.dockerenv": ""}, "linux"),
        ("hub", {"COLAB_RELEASE_TAG": "release-colab"}, {}, "linux"),
        ("container", {}, {"/.dockerenv": ""}, "linux"),
        ("container", {}, {"/run/.containerenv": ""}, "linux"),
        ("container", {"container": "podman"}, {}, "linux"),
        ("container", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {}, "linux"),
        ("container", {}, {"/proc/1/cgroup": "0::/kubepods/besteffort/pod1"}, "linux"),
        ("container", {}, {"/proc/1/cgroup": "12:cpu:/docker/0a1b"}, "linux"),
        ("headless", {}, {"/proc/1/cgroup": "0::/init.scope"}, "linux"),
        ("container", {}, {"/.dockerenv": "", "/proc/version": WSL}, "linux"),
        ("here", {"DISPLAY": ":0"}, {"/run/.containerenv": "", "/run/.toolboxenv": ""}, "linux"),
        ("wsl", {"WSL_DISTRO_NAME": "Ubuntu"}, {}, "linux"),
        ("wsl", {}, {"/proc/version": WSL}, "linux"),
        ("wsl", {"DISPLAY": ":0"}, {"/proc/version": WSL}, "linux"),
    ],
)
def test_a_place_is_known_by_its_marks(
    where: str, environ: dict[str, str], files: dict[str, str], platform: str
) -> None:
    assert machine(environ, files, platform).place == where


@pytest.mark.parametrize(
    ("environ", "files", "platform", "there"),
    [
        ({"DISPLAY": ":0"}, {}, "linux", True),
        ({}, {}, "darwin", True),
        ({}, {"/proc/version": WSL}, "linux", True),
        ({}, {}, "linux", False),
        (SSH, {}, "darwin", False),
        ({"DISPLAY": ":0"}, {"/.dockerenv": ""}, "linux", False),
        ({"CODESPACES": "true"}, {}, "linux", False),
        ({"GITPOD_WORKSPACE_ID": "amber-1"}, {}, "linux", False),
        ({"REMOTE_CONTAINERS": "true"}, {}, "linux", False),
    ],
)
def test_an_answer_arrives_by_itself_where_the_browser_is(
    environ: dict[str, str], files: dict[str, str], platform: str, there: bool
) -> None:
    assert machine(environ, files, platform).callback_arrives == there


def test_this_machine_is_some_place() -> None:
    assert Machine().place


@pytest.mark.parametrize(
    ("terminal", "kernel", "environ", "attended"),
    [
        (True, None, {}, True),
        (False, None, {}, False),
        (True, None, {"CI": "true"}, False),
        (True, None, {"CI": "false"}, True),
        (False, True, {}, True),
        (True, False, {}, False),
        (False, True, {"CI": "1"}, False),
    ],
)
def test_who_reads_stderr(
    terminal: bool,
    kernel: bool | None,
    environ: dict[str, str],
    attended: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = None if kernel is None else SimpleNamespace(_allow_stdin=kernel)
    shell = SimpleNamespace(kernel=made) if made else SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr("sys.stderr", SimpleNamespace(isatty=lambda: terminal))
    assert is_attended(Machine(environ)) is attended


def test_a_stream_that_is_missing_closed_or_no_file_is_no_terminal() -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed, io.StringIO()):
        assert not is_terminal(stream)
    assert terminal_width(closed) == terminal_width(io.StringIO()) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX")
def test_a_terminal_tells_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl
    import struct
    import termios

    master, slave = os.openpty()
    try:
        with os.fdopen(slave, "w") as stream:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 57, 0, 0))
            assert is_terminal(stream)
            assert terminal_width(stream) == 57
            monkeypatch.setattr("sys.stdout", stream)
            monkeypatch.delenv("COLUMNS", raising=False)
            assert page_width() == 57
    finally:
        os.close(master)


@pytest.mark.parametrize(
    ("columns", "width"), [("41", 41), ("", 80), ("0", 80), ("-3", 80), ("wide", 80), ("٤٢", 80)]
)
def test_a_page_that_is_piped_is_as_wide_as_columns_says(
    columns: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setenv("COLUMNS", columns)
    assert page_width() == width


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing of a terminal."""
    names = ("NO_COLOR", "FORCE_COLOR", "FORCE_HYPERLINK", "TMUX", "TERM_PROGRAM", "VTE_VERSION")
    for name in (*names, "KITTY_WINDOW_ID", "KONSOLE_VERSION", "WT_SESSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return monkeypatch


@pytest.mark.parametrize(
    ("environ", "terminal", "pipe"),
    [
        ({}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "0"}, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": "3", "TERM": "dumb"}, True, True),
    ],
)
def test_who_gets_colours(
    bare: pytest.MonkeyPatch, environ: dict[str, str], terminal: bool, pipe: bool
) -> None:
    for name, value in environ.items():
        bare.setenv(name, value)
    assert (has_colours(_Terminal()), has_colours(io.StringIO())) == (terminal, pipe)
    assert not has_colours(None) or pipe


@pytest.mark.parametrize(
    ("environ", "linked"),
    [
        ({}, False),
        ({"TERM_PROGRAM": "vscode"}, True),
        ({"TERM_PROGRAM": "iTerm.app"}, True),
        ({"TERM_PROGRAM": "Apple_Terminal"}, False),
        ({"VTE_VERSION": "7600"}, True),
        ({"VTE_VERSION": "4601"}, False),
        ({"TERM": "xterm-kitty"}, True),
        ({"WT_SESSION": "1"}, True),
        ({"WT_SESSION": "1", "TMUX": "/tmp/tmux"}, False),
        ({"KITTY_WINDOW_ID": "1", "TERM": "screen-256color"}, False),
        ({"KITTY_WINDOW_ID": "1", "NO_COLOR": "1"}, False),
        ({"FORCE_HYPERLINK": "1"}, True),
        ({"FORCE_HYPERLINK": "0", "TERM_PROGRAM": "vscode"}, False),
    ],
)
def test_which_terminals_show_links(
    bare: pytest.MonkeyPatch, environ: dict[str, str], linked: bool
) -> None:
    for name, value in environ.items():
        bare.setenv(name, value)
    assert has_hyperlinks(_Terminal()) is linked
    assert not has_hyperlinks(io.StringIO()) or "FORCE_HYPERLINK" in environ


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a user's session, which a host has not told of."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv(BUS, "")
    monkeypatch.delenv(BUS)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="a socket with a path")
def test_the_bus_of_the_session_is_found_where_no_variable_names_it(runtime: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind("bus")
        find_session_bus()
    assert os.environ[BUS] == f"unix:path={quote(str(runtime))}/bus"


@pytest.mark.skipif(sys.platform == "win32", reason="a socket with a path")
@pytest.mark.parametrize("there", ["nothing", "a file", "another one's", "a variable"])
def test_no_other_bus_is_named(runtime: Path, monkeypatch: pytest.MonkeyPatch, there: str) -> None:
    with socket.socket(socket.AF_UNIX) as bus:
        if there == "a file":
            (runtime / "bus").touch()
        elif there != "nothing":
            bus.bind("bus")
        if there == "another one's":
            monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
        if there == "a variable":
            monkeypatch.setenv(BUS, "")
        find_session_bus()
    assert os.environ.get(BUS, "") == ""
