"""`mcp-login exec`: what the command gets, and what its caller gets back."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from mcp_client_auth import FileStorage, Secret
from mcp_client_auth.environment import SECRET_VARIABLES
from mcp_client_auth.testing import DemoServer
from tests.support.inside import Inside, credential
from tests.support.key_samples import jwk
from tests.support.terminal import Terminal, command

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")
URL = "https://mcp.example.com/mcp"
TELL = """
import json, os, sys
told = {name: os.environ.get(name) for name in ("MCP_ACCESS_TOKEN", "MINE", "MCP_SERVER_URL")}
told |= {"argv": sys.argv[1:], "stdin": sys.stdin.read(), "pid": os.getpid()}
told["line"] = open("/proc/self/cmdline").read() if os.path.exists("/proc") else ""
print(json.dumps(told))
sys.exit(7)
"""


@pytest.fixture
def terminal(terminal: Terminal) -> Terminal:
    FileStorage(terminal.store).save(credential(URL))
    return terminal


def started(terminal: Terminal, *words: str) -> subprocess.Popen[str]:
    line = command("exec", URL, *words)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(line, env=terminal.environment, text=True, **pipes)  # type: ignore[call-overload, no-any-return]


def test_the_command_stands_in_our_place_with_the_token_in_its_environment(
    terminal: Terminal,
) -> None:
    with started(terminal, "--", sys.executable, "-c", TELL, "-v", "--json", "a b") as process:
        out, err = process.communicate("what is typed")
    told = json.loads(out)
    assert (process.returncode, err) == (7, "")
    assert told["MCP_ACCESS_TOKEN"] == "planted-access"
    assert told["MCP_SERVER_URL"] == URL
    assert told["argv"] == ["-v", "--json", "a b"]
    assert told["stdin"] == "what is typed"
    assert "planted" not in told["line"]
    assert told["pid"] == process.pid


def test_a_command_that_nobody_reads_ends_as_it_would_without_us(terminal: Terminal) -> None:
    """Python ignores SIGPIPE, and an ignored signal stays ignored in a program that replaces it."""
    with started(terminal, "--", "yes") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "y\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == -signal.SIGPIPE


def test_a_signal_reaches_the_command(terminal: Terminal) -> None:
    catch = 'trap "echo caught; exit 9" TERM; echo ready; while :; do sleep 0.05; done'
    with started(terminal, "--", "sh", "-c", catch) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "caught\n"
    assert process.returncode == 9


@pytest.mark.parametrize("ours", [[], ["--env", "MINE"], ["--env=MINE", "-q"]], ids=" ".join)
def test_the_options_of_a_command_are_its_own_without_dashes_too(
    terminal: Terminal, ours: list[str]
) -> None:
    with started(terminal, *ours, sys.executable, "-c", TELL, "-v", "--env", "--help") as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (7, "")
    told = json.loads(out)
    assert told["argv"] == ["-v", "--env", "--help"]
    assert told["MINE" if ours else "MCP_ACCESS_TOKEN"] == "planted-access"


class Replaced(Exception):
    """What `os.execvpe` was called with."""


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    def execvpe(file: str, words: Sequence[str], environment: dict[str, str]) -> None:
        raise Replaced(file, words, environment)

    monkeypatch.setattr("os.execvpe", execvpe)


def environment_of(inside: Inside, *words: str) -> dict[str, str]:
    with pytest.raises(Replaced) as raised:
        inside("exec", *words)
    found: dict[str, str] = raised.value.args[2]
    return found


@pytest.mark.usefixtures("replaced")
def test_a_token_that_ends_soon_is_renewed_first(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url)
    inside.change(shared.url, expires_at=time.time() + 50, issued_at=time.time() - 10)
    old = inside.held(shared.url).tokens.access_token.reveal()
    as_it_is = environment_of(inside, shared.url, "--min-valid", "0", "--", "true")
    assert as_it_is["MCP_ACCESS_TOKEN"] == old
    renewed = environment_of(inside, shared.url, "--", "true")["MCP_ACCESS_TOKEN"]
    assert renewed == inside.held(shared.url).tokens.access_token.reveal() != old


@pytest.mark.usefixtures("replaced")
def test_the_variable_is_the_one_that_is_named(inside: Inside) -> None:
    inside.keep(credential(URL))
    told = environment_of(inside, URL, "--env", "MINE", "--", "true")
    assert told["MINE"] == "planted-access"
    assert "MCP_ACCESS_TOKEN" not in told


@pytest.mark.usefixtures("replaced")
def test_our_own_secrets_are_not_handed_on(inside: Inside) -> None:
    inside.keep(credential(URL))
    key = base64.b64encode(b"k" * 32).decode()
    for name in SECRET_VARIABLES:
        if name not in ("MCP_CLIENT_AUTH_KEY", "MCP_CLIENT_AUTH_KEY_FILE"):
            inside.patch.setenv(name, "http://me:planted@127.0.0.1:1")
    Path("planted.pem").touch()
    for name in ("CERT", "CERT_KEY"):
        inside.patch.setenv("MCP_CLIENT_AUTH_" + name, "planted.pem")
    inside.patch.setenv("MINE", "kept")
    inside.patch.setenv("MCP_CLIENT_AUTH_KEY", key)
    told = environment_of(inside, URL, "--", "true")
    assert not SECRET_VARIABLES & told.keys()
    assert told["MINE"] == "kept"
    assert told["MCP_CLIENT_AUTH_HOME"] == str(inside.home / "logins"), "it may use us itself"
    assert key not in told.values()


@pytest.mark.usefixtures("replaced")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--env", "A=B", "--", "true"], 2, "name of a variable"),
        (["--env", "", "--", "true"], 2, "name of a variable"),
        (["--"], 2, "COMMAND"),
        (["--account", "work", "--", "true"], 3, "You are logged in as: default"),
        (["--min-valid", "-1", "--", "true"], 2, "seconds"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_said_and_nothing_is_run(
    inside: Inside, words: list[str], code: int, said: str
) -> None:
    inside.keep(credential(URL))
    ran = inside("exec", URL, *words)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert "planted" not in ran.err


@pytest.mark.usefixtures("replaced")
def test_a_login_that_is_bound_to_a_key_is_refused(inside: Inside) -> None:
    key = Secret(jwk("P-256", alg="ES256"))
    inside.keep(credential(URL, bound=True, dpop_key=key))
    ran = inside("exec", URL, "--", "true")
    assert ran.code == 2
    assert "bound to a key (DPoP)" in ran.err
    assert "mcp-login request" in ran.err


@pytest.mark.usefixtures("replaced")
def test_a_token_that_ends_soon_and_cannot_be_renewed_says_so(inside: Inside) -> None:
    inside.keep(credential(URL, expires_at=time.time() + 50, refresh_token=None))
    ran = inside("exec", URL, "--", "true")
    assert ran.code == 3
    assert "ends within 60 s, and cannot be renewed" in ran.err
    assert "not logged in" not in ran.err


@pytest.mark.parametrize(
    ("make", "code", "said"),
    [
        (None, 127, "was not found"),
        (0o600, 126, "cannot be run: Permission denied"),
        (0o700, 126, "cannot be run: Exec format error"),
    ],
)
def test_a_command_that_cannot_be_run_ends_as_in_a_shell(
    inside: Inside, make: int | None, code: int, said: str
) -> None:
    inside.keep(credential(URL))
    program = Path("program").absolute()
    if make is not None:
        program.write_text("no program")
        program.chmod(make)
    ran = inside("exec", URL, "--", str(program))
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN


@pytest.mark.parametrize("dashes", [["--"], []])
def test_a_command_without_a_name_is_not_found(inside: Inside, dashes: list[str]) -> None:
    inside.keep(credential(URL))
    ran = inside("exec", URL, *dashes, "")
    assert (ran.code, ran.out) == (127, "")
    assert "“” was not found" in ran.err


def test_no_file_of_ours_stays_open_in_the_command(terminal: Terminal) -> None:
    if not os.path.exists("/proc/self/fd"):
        pytest.skip("/proc is needed to see what is open")
    with started(terminal, "--", "ls", "/proc/self/fd") as process:
        out, _ = process.communicate()
    assert out.split() == ["0", "1", "2", "3"]  # the last is the directory that ls reads
