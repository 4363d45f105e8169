"""What Windows and macOS do differently, as far as another system can show it.

The console, the browsers, the keyring's limits and files that are open elsewhere have their tests
beside their modules; the workflow of the repository runs all of them there.
"""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import platformdirs
import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from platformdirs.windows import Windows

from mcp_client_auth import FileStorage, Key
from mcp_client_auth.cli import run
from mcp_client_auth.cli.execute import execute
from mcp_client_auth.cli.stdio import Stdio
from mcp_client_auth.paths import home
from mcp_client_auth.testing import DemoServer
from tests.support.inside import Inside, credential

URL = "https://mcp.example.invalid/mcp"

# Where logins are kept


@pytest.mark.parametrize(
    ("kind", "below"),
    [
        (MacOS, "Library/Application Support/mcp-client-auth"),
        (Unix, ".local/share/mcp-client-auth"),
        (Windows, "AppData/Local/mcp-client-auth"),
    ],
)
def test_each_system_has_its_own_place(
    kind: type[Any], below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows the directory that does not roam: a token belongs to this machine."""
    for name in ("MCP_CLIENT_AUTH_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "AppData" / "Local"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "AppData" / "Roaming"))
    monkeypatch.setattr(platformdirs, "PlatformDirs", kind)
    if kind is Windows:
        from platformdirs import windows

        monkeypatch.setattr(windows, "get_win_folder", windows.get_win_folder_from_env_vars)
    assert home().replace("\\", "/") == (tmp_path / below).as_posix()


RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{n}{d}" for n in ("COM", "LPT") for d in range(10))}
FORBIDDEN = set('<>:"/\\|?*')


@pytest.mark.parametrize(
    "server", [URL, "https://CON.example/AUX", "https://x.example/" + "a" * 900]
)
def test_a_file_has_a_name_that_every_system_takes(
    inside: Inside, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the server and the account are called; no two names differ by case alone."""
    for account in ("default", "A?*", "a?*", "nul", "x" * 300):
        inside.keep(credential(server, account=account))
        with FileStorage().lock(Key(server, account)):
            pass
    names = [path.name for path in (inside.home / "logins").iterdir()]
    assert len(names) >= 10
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        assert not set(name) & FORBIDDEN
        assert name.partition(".")[0].upper() not in RESERVED
        assert len(name) < 80
        assert not name.endswith((".", " "))


# Text on a console that has other characters


VERBS = [
    ["--help"],
    ["login", "--help-all"],
    ["list"],
    ["status"],
    ["tools", "URL"],
    ["call", "URL", "whoami"],
    ["doctor", "URL", "-v"],
    ["doctor", "URL", "--format", "html"],
    ["token", "https://nowhere.example.invalid/mcp"],
    ["frobnicate"],
    ["URL", "--force", "-v"],
    ["logout", "URL"],
]


class Console(io.TextIOWrapper):
    """A standard stream as Python makes it for a process there."""

    def __init__(self, encoding: str, *, strict: bool, terminal: bool) -> None:
        self.held = io.BytesIO()
        self.terminal = terminal
        errors = "strict" if strict else "backslashreplace"
        super().__init__(self.held, encoding, errors, newline="", write_through=True)

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("encoding", "terminal"),
    [("cp437", True), ("cp437", False), ("cp932", False), ("ascii", False)],
)
def test_no_verb_breaks_on_a_console_of_few_characters(
    encoding: str, terminal: bool, inside: Inside, shared: DemoServer
) -> None:
    inside.log_in(shared.url, "--account", "café ☕")
    inside.log_in(shared.url)
    for words in VERBS:
        out = Console(encoding, strict=True, terminal=terminal)
        err = Console(encoding, strict=False, terminal=terminal)
        with redirect_stdout(out), redirect_stderr(err):
            code = run([word.replace("URL", shared.url) for word in words])
        inside.browser.join(60)
        assert code in (0, 1, 2, 3), words
        told = err.held.getvalue().decode(encoding, "replace")
        assert "Traceback" not in told
        assert "UnicodeEncodeError" not in told
        assert out.held.getvalue() or told, words


# Programs, signals, streams


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")


@pytest.mark.usefixtures("windows")
def test_a_program_is_waited_for_where_none_can_take_our_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[Any] = []

    def start(command: list[str], env: dict[str, str], check: bool) -> Any:
        started.append((command, env, check))
        return subprocess.CompletedProcess(command, 7)

    monkeypatch.setattr(subprocess, "run", start)
    assert execute(["tool.exe", "a b"], {"TOKEN": "t"}) == 7
    assert started == [(["tool.exe", "a b"], {"TOKEN": "t"}, False)]


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize(("error", "code"), [(FileNotFoundError(), 127), (OSError(193, "x"), 126)])
def test_one_that_cannot_be_started_ends_as_in_a_shell(
    error: OSError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(subprocess, "run", start)
    assert execute(["tool.exe"], {}) == code
    assert "“tool.exe”" in capsys.readouterr().err


@pytest.mark.usefixtures("windows")
def test_no_signal_is_touched_that_a_system_may_not_have(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM ends a process at once there, and a handler for it would never be called."""
    touched: list[Any] = []
    monkeypatch.setattr(signal, "signal", lambda *given: touched.append(given))
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    monkeypatch.delattr(signal, "SIGPIPE", raising=False)
    assert run(["list", "--json"]) == 0
    assert touched == []


class Modes(ModuleType):
    def __init__(self) -> None:
        super().__init__("msvcrt")
        self.set: list[int] = []

    def setmode(self, handle: int, flags: int) -> None:
        self.set.append(flags)


def test_the_bridges_lines_end_as_they_are_written(
    windows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text mode would write CR LF, and end at a Ctrl-Z."""
    modes, dup2 = Modes(), []
    monkeypatch.setitem(sys.modules, "msvcrt", modes)
    monkeypatch.setattr("os.O_BINARY", 0x8000, raising=False)
    monkeypatch.setattr("os.dup", lambda handle: handle + 1000)
    monkeypatch.setattr("os.dup2", lambda *pair: dup2.append(pair))
    assert isinstance(Stdio.taken(), Stdio)
    assert modes.set == [0x8000, 0x8000]
    assert (2, 1) in dup2
