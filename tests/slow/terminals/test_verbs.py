"""Each verb as a real process: what it prints where, what it sends, how it ends."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from mcp_client_auth import __version__
from mcp_client_auth.events import STEPS
from mcp_client_auth.testing import DemoServer, RegisteredClient, Settings
from tests.support.terminal import Terminal, command

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


def status_with(server: DemoServer, token: str) -> int:
    headers = {**ACCEPT, "Authorization": f"Bearer {token}"}
    return httpx.post(server.url, json=INITIALIZE, headers=headers, trust_env=False).status_code


def test_a_login_says_where_as_whom_with_what_until_when_and_where_it_is_kept(
    terminal: Terminal, server: DemoServer
) -> None:
    answer = terminal.log_in(server.url)
    assert answer.out == ""
    last = answer.err.rpartition("\n\n")[2]
    assert f"Logged in to {server.url}\n" in last
    assert "account" not in last, "there is no other"
    assert re.search(rf"^  issuer   {server.issuer}$", last, re.MULTILINE)
    assert re.search(r"^  scopes   notes:read offline_access$", last, re.MULTILINE)
    assert re.search(
        r"^  expires  \d{4}-\d\d-\d\d \d\d:\d\d \(in 60 min\), renews", last, re.MULTILINE
    )
    assert re.search(rf"^  kept in  a file .* {terminal.store}$", last, re.MULTILINE)


def test_a_second_login_asks_no_server(terminal: Terminal, server: DemoServer) -> None:
    terminal.log_in(server.url)
    server.clear_requests()
    answer = terminal.log_in(server.url)
    assert answer.err.startswith(f"You are already logged in to {server.url}\n")
    assert server.requests == []


def test_a_forced_login_is_a_new_one(terminal: Terminal, server: DemoServer) -> None:
    terminal.log_in(server.url)
    first = terminal.run("token", server.url).out
    terminal.log_in("--force", server.url)
    assert terminal.run("token", server.url).out != first
    assert server.count("/register") == 1


def test_a_token_is_all_that_stands_on_stdout(terminal: Terminal, server: DemoServer) -> None:
    terminal.log_in(server.url)
    answer = terminal.run("token", server.url)
    assert answer.code == 0
    assert answer.err == ""
    assert re.fullmatch(r"\S{20,}\n", answer.out)
    assert status_with(server, answer.out.strip()) == 200


@pytest.mark.parametrize("server", [Settings(dpop="supported")], indirect=True)
def test_a_bound_token_is_asked_for_and_said(terminal: Terminal, server: DemoServer) -> None:
    answer = terminal.log_in(server.url, "--dpop")
    assert re.search(r"^  bound    to a key \(DPoP\)$", answer.err, re.MULTILINE)
    answer = terminal.run("token", server.url)
    assert re.fullmatch(r"\S{20,}\n", answer.out)
    assert "bound to a key (DPoP)" in answer.err
    assert status_with(server, answer.out.strip()) == 401


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
def test_a_token_can_be_substituted_in_a_shell(terminal: Terminal, server: DemoServer) -> None:
    terminal.log_in(server.url)
    line = subprocess.list2cmdline(command("token", server.url))
    done = subprocess.run(
        ["sh", "-c", f'printf "<%s>" "$({line})"'],
        env=terminal.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert status_with(server, done.stdout[1:-1]) == 200


@pytest.mark.parametrize("server", [Settings(access_token_seconds=4)], indirect=True)
def test_an_expired_token_is_refreshed_first(terminal: Terminal, server: DemoServer) -> None:
    terminal.log_in(server.url)
    server.clear_requests()
    first, second = (terminal.run("token", server.url).out.strip() for _ in range(2))
    while first == second:  # it has four seconds to live, and a process takes less
        second = terminal.run("token", server.url).out.strip()
    assert server.token_requests("refresh_token") >= 1
    assert server.count("/mcp") == server.count("/authorize") == 0


def test_a_list_stands_in_columns(terminal: Terminal, server: DemoServer) -> None:
    empty = terminal.run("list")
    assert (empty.code, empty.out) == (0, "")
    assert "mcp-login URL" in empty.err
    terminal.log_in(server.url)
    terminal.log_in(server.url, "--account", "somebody else")
    head, *rows = terminal.run("list").out.splitlines()
    places = [head.index(word) for word in ("SERVER", "ACCOUNT", "KEPT IN", "EXPIRES")]
    cells = [[row[a:b].strip() for a, b in zip(places, [*places[1:], None])] for row in rows]  # noqa: B905
    assert [row[:3] for row in cells] == [
        [server.url, "default", "file"],
        [server.url, "somebody else", "file"],
    ]
    assert all(
        re.fullmatch(r"\S+ \S+ \(in 60 min\), renews automatically", row[3]) for row in cells
    )


def test_a_logout_revokes_and_the_next_token_names_the_command(
    terminal: Terminal, server: DemoServer
) -> None:
    terminal.log_in(server.url)
    token = terminal.run("token", server.url).out.strip()
    answer = terminal.run("logout", server.url)
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == f"Logged out of {server.url}\n"
    assert status_with(server, token) == 401
    assert not [name for name in terminal.stored() if name.endswith(".json")]
    after = terminal.run("token", server.url)
    assert (after.code, after.out) == (3, "")
    assert f"Run: mcp-login {server.url}" in after.err
    again = terminal.run("logout", server.url)
    assert again.code == 0
    assert "were not logged in" in again.err


def test_a_logout_that_the_server_does_not_confirm_says_so(
    terminal: Terminal, server: DemoServer
) -> None:
    terminal.log_in(server.url)
    server.stop()
    answer = terminal.run("logout", server.url)
    assert answer.code == 0
    assert "did not confirm" in answer.err
    assert terminal.run("list").out == ""


def test_verbose_shows_all_fifteen_in_order(terminal: Terminal, server: DemoServer) -> None:
    lines = terminal.log_in("--verbose", server.url).err.splitlines()
    numbered = [line for line in lines if re.match(r"[ \d]\d  \S", line)]
    assert [(int(line[:2]), line.split()[1]) for line in numbered] == list(enumerate(STEPS, 1))
    assert {line[4:].index(line[31:]) for line in numbered} == {27}


def test_the_demo_needs_nothing(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    for name in ("BROWSER", "MCP_CLIENT_AUTH_HOME", "MCP_CLIENT_AUTH_STORAGE"):
        del terminal.environment[name]
    answer = terminal.run("demo", "--no-browser", HTTP_PROXY="http://127.0.0.1:9", ALL_PROXY="")
    assert answer.code == 0, answer.err
    numbers = [int(n) for n in re.findall(r"^([ \d]\d)  \S", answer.err, re.MULTILINE)]
    assert numbers == list(range(1, 16))
    assert '"login_name": "Ada"' in answer.out
    assert list(tmp_path.rglob("*")) == []


def test_accounts_are_logins_of_their_own(terminal: Terminal, server: DemoServer) -> None:
    terminal.log_in(server.url)
    terminal.log_in(server.url, "--account", "work")
    tokens = {terminal.run("token", server.url, "--account", a).out for a in ("default", "work")}
    assert len(tokens) == 2
    assert terminal.run("token", server.url, MCP_CLIENT_AUTH_ACCOUNT="work").out in tokens
    assert terminal.run("logout", server.url, "--account", "work").code == 0
    assert terminal.run("token", server.url).code == 0
    missing = terminal.run("token", server.url, "--account", "work")
    assert missing.code == 3
    assert f"mcp-login {server.url} --account work" in missing.err


def test_a_scope_is_asked_for_and_a_wider_one_means_a_new_login(
    terminal: Terminal, server: DemoServer
) -> None:
    assert "scopes   notes:read\n" in terminal.log_in(server.url, "--scope", "notes:read").err
    wider = terminal.log_in(server.url, "--scope", "notes:read notes:write").err
    assert "scopes   notes:read notes:write\n" in wider
    assert "already" in terminal.log_in(server.url, "--scope", "notes:write").err


SECRET = "planted/secret+with: blanks"
CLIENTS = {
    method: RegisteredClient(
        "ours", None if method == "none" else SECRET, method, ("http://127.0.0.1/callback",)
    )
    for method in ("none", "client_secret_basic", "client_secret_post")
}


@pytest.mark.parametrize(
    ("server", "method"),
    [(Settings(registration=False, clients=(client,)), m) for m, client in CLIENTS.items()],
    indirect=["server"],
    ids=list(CLIENTS),
)
def test_a_client_of_the_operators_logs_in(
    terminal: Terminal, server: DemoServer, method: str
) -> None:
    stdin = method == "client_secret_basic"
    arguments = [server.url, "--client-id", "ours"]
    if method != "none":
        file = terminal.home / "secret"
        file.write_text(SECRET + "\n")
        arguments += ["--client-secret-file", "-" if stdin else str(file)]
    if method == "client_secret_basic":  # where the server takes both, post is the default
        arguments += ["--client-auth-method", method]
    answer = terminal.run(*arguments, stdin=SECRET if stdin else "")
    assert answer.code == 0, answer.err
    assert SECRET not in answer.err
    server.expire_access_tokens()
    assert terminal.run("token", server.url).code == 0


def test_help_and_version(terminal: Terminal) -> None:
    assert terminal.run("--version").out == f"mcp-login {__version__}\n"
    help_ = terminal.run("--help")
    assert help_.code == 0
    assert help_.err == ""
    for verb in ("login", "token", "list", "logout", "import", "doctor", "demo"):
        assert re.search(rf"^  {verb} ", help_.out, re.MULTILINE)
    assert ".." not in help_.out.partition("Commands:")[2]


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX")
def test_a_bridge_that_a_person_starts_says_whom_it_waits_for(
    terminal: Terminal, server: DemoServer
) -> None:
    from tests.support.ptys import at_a_pty

    with at_a_pty(command("bridge", server.url), terminal.environment) as running:
        assert "--print-config CLIENT" in running.wait_for("what it needs")
        running.type("\x04")
        assert running.end() == 0, running.text
    with terminal.start("bridge", server.url) as piped:
        assert piped.end().err == ""
