"""What goes wrong at a terminal: the exit code, one message, and nothing half done."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import urllib.parse
from pathlib import Path

import httpx
import pytest

from mcp_client_auth import FileStorage
from mcp_client_auth.cli import run
from mcp_client_auth.testing import DemoServer, Settings
from tests.support.hostile import World
from tests.support.inside import credential
from tests.support.ports import free_port
from tests.support.terminal import Terminal, command

WAITING = "Waiting for you"


@pytest.fixture
def inside(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """This process as if it had been started at the terminal."""
    for name, value in terminal.environment.items():
        monkeypatch.setenv(name, value)
    return terminal


def address_in(err: str) -> str:
    found = re.search(r"^  (http://\S+)$", err, re.MULTILINE)
    assert found, err
    return found[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Usage: mcp-login"),
        (["frobnicate"], "frobnicate"),
        (["frobnicate", "https://mcp.example.com/mcp"], "frobnicate"),
        (["mcp.example.com:port/mcp"], "not a server URL"),
        (["lgoin", "https://mcp.example.com/mcp"], "Did you mean login?"),
        (["login", "not-a-url"], "https://mcp.example.com/mcp"),
        (["login", ""], "is not a known server"),
        (["ftp://mcp.example.com/"], "not a server URL"),
        (["https://"], "not a server URL"),
        (["https://user:planted@mcp.example.com/"], "user info"),
        (["https://mcp.example.com/a b"], "not a server URL"),
        (["https://mcp.example.com:99999/"], "not a server URL"),
        (["token"], "missing argument"),
        (["https://mcp.example.com/", "more"], "more"),
        (["https://mcp.example.com/", "--timeout", "nan"], "seconds"),
        (["https://mcp.example.com/", "--timeout", "0"], "seconds"),
        (["https://mcp.example.com/", "--timeout", "1e99"], "seconds"),
        (["https://mcp.example.com/", "--timeout", "soon"], "seconds"),
        (["https://mcp.example.com/", "--account", ""], "label"),
        (["https://mcp.example.com/", "--account", "a\x1b[2Jb"], "label"),
        (["https://mcp.example.com/", "--callback-port", "0"], "port"),
        (["https://mcp.example.com/", "--redirect-uri", "https://x.example/"], "127.0.0.1"),
        (["https://mcp.example.com/", "--store", "floppy"], "floppy"),
        (["https://mcp.example.com/", "--client-secret-file", os.devnull], "--client-id"),
        (
            ["https://mcp.example.com/", "--client-id", "x", "--client-secret-file", os.devnull],
            "empty",
        ),
        (
            ["https://mcp.example.com/", "--client-id", "x", "--client-secret-file", "/no/such"],
            "/no/such",
        ),
        (["https://mcp.example.com/", "--client-metadata-url", "http://x.example/c"], "https"),
    ],
)
def test_what_cannot_work_is_a_usage_error(
    inside: Terminal, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert "planted" not in err
    assert inside.stored() == {}


@pytest.mark.parametrize("verb", ["token", "logout"])
def test_a_login_over_http_can_be_used_and_ended(
    inside: Terminal, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    url = "http://mcp.lan/mcp"
    assert run([verb, url]) == 5
    assert "--allow-insecure-http" in capsys.readouterr().err
    assert run([verb, url, "--allow-insecure-http"]) in (0, 3)
    assert "not logged in" in capsys.readouterr().err


def test_a_secret_file_that_is_no_text_is_a_usage_error(terminal: Terminal) -> None:
    file = terminal.home / "secret"
    file.write_bytes(b"\xff\xfe\x80")
    secret = ["--client-id", "x", "--client-secret-file", str(file)]
    answer = terminal.run("https://mcp.example.com/", *secret)
    assert answer.code == 2
    assert str(file) in answer.err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a shell and /dev/full")
@pytest.mark.parametrize(
    ("words", "closed", "code", "said"),
    [
        ("token URL", ">&-", 1, "cannot write the answer"),
        ("list --json", ">&-", 1, "cannot write the answer"),
        ("request URL -d {}", ">&-", 1, "cannot write the answer"),
        ("token URL", ">/dev/full", 1, "cannot write the answer"),
        ("token URL --json", ">/dev/full", 1, "cannot write the answer"),
        ("list", ">/dev/full", 1, "cannot write the answer"),
        ("status URL --check", ">/dev/full", 1, "cannot write the answer"),
        ("request URL -d {}", ">/dev/full", 1, "cannot write the answer"),
        ("--version", ">/dev/full", 1, "cannot write the answer"),
        ("exec URL -- true", ">&-", 0, ""),
        ("exec URL -- echo here", "2>&-", 0, "here"),
        ("exec URL -- true", "<&- >&- 2>&-", 0, ""),
        ("request URL -d @-", "<&-", 2, "cannot be read"),
        ("URL --client-id x --client-secret-file -", "<&-", 2, "cannot be read"),
    ],
)
def test_a_stream_that_is_closed_or_full_is_no_traceback(
    terminal: Terminal, world: World, words: str, closed: str, code: int, said: str
) -> None:
    FileStorage(terminal.store).save(credential(world.url))
    line = shlex.join(command(*words.replace("URL", world.url).split()))
    done = subprocess.run(
        ["/bin/sh", "-c", f"{line} {closed}"],
        env=terminal.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_denial_ends_in_4_and_keeps_what_was_there(
    terminal: Terminal, server: DemoServer
) -> None:
    terminal.log_in(server.url)
    before = terminal.stored()
    terminal.decide("deny")
    answer = terminal.run("--force", server.url)
    assert answer.code == 4
    assert "denied in the browser" in answer.err
    assert terminal.stored() == before


def test_who_asks_again_after_a_denial_is_asked_again(
    terminal: Terminal, server: DemoServer
) -> None:
    terminal.decide("deny")
    assert terminal.run(server.url).code == 4
    terminal.decide("allow")
    assert terminal.run(server.url).code == 0


def test_a_person_who_never_comes_ends_in_9(terminal: Terminal, server: DemoServer) -> None:
    terminal.decide("ignore")
    answer = terminal.run(server.url, "--timeout", "0.5")
    assert answer.code == 9
    assert "no one signed in" in answer.err
    assert not [name for name in terminal.stored() if name.endswith(".json")]


def test_a_server_that_is_down_ends_in_6(terminal: Terminal, server: DemoServer) -> None:
    terminal.log_in(server.url)
    before = terminal.stored()
    server.stop()
    answer = terminal.run("--force", server.url)
    assert answer.code == 6, answer.err
    assert server.url in answer.err
    assert terminal.stored() == before


def test_no_keyring_ends_in_7_before_anybody_is_asked(
    terminal: Terminal, server: DemoServer
) -> None:
    del terminal.environment["MCP_CLIENT_AUTH_STORAGE"]
    answer = terminal.run(server.url)
    assert answer.code == 7
    assert "--store file" in answer.err
    assert WAITING not in answer.err
    assert server.count("/authorize") == server.count("/register") == 0
    assert terminal.stored() == {}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_directory_that_cannot_be_used_ends_in_7(
    terminal: Terminal, server: DemoServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    answer = terminal.run(server.url, MCP_CLIENT_AUTH_HOME=str(tmp_path / "file" / "x"))
    assert answer.code == 7
    assert "MCP_CLIENT_AUTH_HOME" in answer.err
    assert "Traceback" not in answer.err
    assert server.count("/authorize") == 0


def test_a_damaged_record_can_be_overcome_by_what_its_message_says(
    terminal: Terminal, server: DemoServer
) -> None:
    terminal.log_in(server.url)
    key = next(name for name in terminal.stored() if name.endswith(".json")).removesuffix(".json")
    (terminal.store / f"{key}.secret").write_text("{")
    broken = terminal.run("token", server.url)
    assert broken.code == 7
    assert "damaged" in broken.err
    assert "Log in again" in broken.err
    assert terminal.run(server.url).code == 0
    assert terminal.run("token", server.url).code == 0


def test_a_busy_port_is_named(terminal: Terminal, server: DemoServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = terminal.run(server.url, "--callback-port", str(port))
    assert answer.code == 9
    assert f"port {port}" in answer.err
    assert server.count("/authorize") == server.count("/register") == 0


def test_a_callback_port_is_the_one_in_the_address(terminal: Terminal, server: DemoServer) -> None:
    port = free_port()
    err = terminal.log_in(server.url, "--callback-port", str(port)).err
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(address_in(err)).query)
    assert query["redirect_uri"] == [f"http://127.0.0.1:{port}/callback"]


def test_without_a_browser_the_address_is_enough(terminal: Terminal, server: DemoServer) -> None:
    with terminal.start(server.url, "--no-browser") as running:
        err = running.wait_for(WAITING)
        assert "Open this address in a browser" in err
        assert server.count("/authorize") == 0
        with httpx.Client(trust_env=False, follow_redirects=True) as person:
            page = person.get(address_in(err))
            action = re.search(r'name="transaction" value="([^"]+)"', page.text)
            assert action, page.text
            answered = {"transaction": action[1], "decision": "allow"}
            last = person.post(str(page.url).partition("?")[0], data=answered)
            assert "Signed in" in last.text
        answer = running.end()
    assert answer.code == 0, answer.err


def test_where_no_browser_can_be_opened_the_address_is_shown(
    terminal: Terminal, server: DemoServer
) -> None:
    with terminal.start(server.url, "--timeout", "5", CI="true") as running:
        assert "Open this address in a browser" in running.wait_for(WAITING)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full")
def test_a_token_that_cannot_be_written_is_no_success(
    terminal: Terminal, server: DemoServer
) -> None:
    terminal.log_in(server.url)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command("token", server.url),
            env=terminal.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("server", [Settings(registration=False)], indirect=True)
def test_no_way_to_a_client_names_the_three(terminal: Terminal, server: DemoServer) -> None:
    answer = terminal.run(server.url)
    assert answer.code == 4
    for way in ("--client-id", "--client-metadata-url", "dynamic registration"):
        assert way in answer.err
