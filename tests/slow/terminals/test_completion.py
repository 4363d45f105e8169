"""`mcp-login completion`, in the shells themselves."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_client_auth import FileStorage
from mcp_client_auth.storage.directory import Directory
from mcp_client_auth.storage.settings import Settings
from tests.support.inside import Inside, credential
from tests.support.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")
ONE = "https://one.example.com/mcp"
OTHER = "https://other.example.com:8443/mcp"


@pytest.fixture
def terminal(terminal: Terminal) -> Terminal:
    """Two servers are known, one of them by a name; the command is on the path."""
    storage = FileStorage(terminal.store)
    for url in (ONE, OTHER):
        storage.save(credential(url))
    Settings(Directory(terminal.store)).name("work", ONE)
    here = str(Path(sys.executable).parent)
    terminal.environment["PATH"] = os.pathsep.join([here, terminal.environment["PATH"]])
    return terminal


def shell(name: str) -> str:
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is needed: apt-get install {name}")
    return found


def said(terminal: Terminal, *words: str) -> list[str]:
    done = subprocess.run(
        words, env=terminal.environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return sorted(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("mcp-login tok", ["token"]),
        ("mcp-login token wo", ["work"]),
        ("mcp-login token https:", ["//one.example.com/mcp", "//other.example.com:8443/mcp"]),
        ("mcp-login token https://ot", ["//other.example.com:8443/mcp"]),
        ("mcp-login token https://other.example.com:84", ["8443/mcp"]),
        ("mcp-login token work --min", ["--min-valid"]),
        ("mcp-login --store f", ["file"]),
    ],
)
def test_bash_completes_it(terminal: Terminal, line: str, offered: list[str]) -> None:
    script = (
        'eval "$(mcp-login completion bash)";'
        f"COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}};"
        "_mcp_login_words mcp-login; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    assert said(terminal, shell("bash"), "--norc", "-c", script) == offered


@pytest.mark.parametrize(
    ("line", "offered"), [("mcp-login stat", "status"), ("mcp-login token https://ot", OTHER)]
)
def test_fish_completes_it(terminal: Terminal, line: str, offered: str) -> None:
    script = f"mcp-login completion fish | source; complete -C {shlex.quote(line)}"
    assert offered in said(terminal, shell("fish"), "--no-config", "-c", script)


@pytest.mark.parametrize(
    ("typed", "offered"), [("stat", "status"), ("token https://ot", f"token {OTHER}")]
)
def test_zsh_completes_it(terminal: Terminal, typed: str, offered: str) -> None:
    from tests.support.ptys import at_a_pty

    words = [shell("zsh"), "-f", "-i"]
    with at_a_pty(words, {**terminal.environment, "TERM": "dumb", "PS1": "$ "}) as running:
        running.wait_for("$ ")
        running.type("autoload -U compinit; compinit -u -D; PS1='% '\r")
        running.wait_for("% ")
        running.type('eval "$(mcp-login completion zsh)"; print rea""dy\r')
        running.wait_for("ready\r\n")
        running.type(f"mcp-login {typed}\t\x01echo \r")
        running.wait_for(f"\nmcp-login {offered}")


def completed(terminal: Terminal, line: str) -> list[str]:
    """What the shell is told, and nothing on stderr: that is the line that is being typed."""
    words = line.split(" ")
    terminal.environment |= {
        "_MCP_LOGIN_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    return said(terminal, "mcp-login")


@pytest.mark.parametrize("option", ["--ca", "--cert-key", "--trace", "--client-secret-file"])
def test_for_a_file_the_shell_completes_its_own(terminal: Terminal, option: str) -> None:
    assert completed(terminal, f"mcp-login login work {option} /et") == ["file,/et"]


def test_a_verb_that_is_none_is_not_spoken_of(terminal: Terminal) -> None:
    assert completed(terminal, "mcp-login tokne w") == []


def test_nor_is_a_name_that_stands_in_a_file_nearby(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".mcp.json").write_text(f'{{"mcpServers": {{"notes": {{"url": "{ONE}"}}}}}}')
    assert completed(terminal, "mcp-login token notes --acc") == ["plain,--account"]


def test_where_the_files_cannot_be_read_nothing_is_said(terminal: Terminal) -> None:
    terminal.environment |= {
        "MCP_CLIENT_AUTH_HOME": str(Path(__file__)),
        "_MCP_LOGIN_COMPLETE": "bash_complete",
        "COMP_WORDS": "mcp-login token w",
        "COMP_CWORD": "2",
    }
    assert said(terminal, "mcp-login") == []


def test_a_name_that_is_no_shell_is_refused(inside: Inside) -> None:
    ran = inside("completion", "powershell")
    assert ran.code == 2
    assert "powershell" in ran.err
