"""`mcp-login logout`: one login, the other accounts, all of them."""

from __future__ import annotations

import os
import sys

import pytest

from mcp_client_auth.testing import DemoServer, Settings
from tests.support.inside import Inside, credential
from tests.support.terminal import Terminal, command


@pytest.mark.parametrize("server", [Settings(registration_management=True)], indirect=True)
def test_a_logout_says_what_was_done(terminal: Terminal, server: DemoServer) -> None:
    terminal.log_in(server.url)
    answer = terminal.run("logout", server.url)
    assert answer.code == 0
    assert answer.out == ""
    assert answer.err == (
        f"Logged out of {server.url}\n"
        "  The client that was registered for it is deleted at the server, too.\n"
    )


def test_a_local_logout_asks_no_server(terminal: Terminal, server: DemoServer) -> None:
    terminal.log_in(server.url)
    server.clear_requests()
    answer = terminal.run("logout", "--local", server.url)
    assert (answer.code, answer.err) == (0, f"Logged out of {server.url}\n")
    assert server.requests == []


def test_a_server_that_is_gone_is_said(terminal: Terminal, server: DemoServer) -> None:
    terminal.log_in(server.url)
    server.stop()
    answer = terminal.run("logout", server.url)
    assert answer.code == 0
    assert "did not confirm" in answer.err
    assert answer.err.count("No answer") == 1
    assert "Traceback" not in answer.err
    server.start()


def test_other_accounts_are_named(terminal: Terminal, server: DemoServer) -> None:
    terminal.log_in(server.url, "--account", "work")
    answer = terminal.run("logout", server.url)
    assert "You were not logged in" in answer.err
    assert "work (--account LABEL)" in answer.err
    assert terminal.run("token", server.url, "--account", "work").code == 0


def test_all_needs_a_yes(terminal: Terminal, server: DemoServer) -> None:
    for account in ("default", "work"):
        terminal.log_in(server.url, "--account", account)
    refused = terminal.run("logout", "--all")
    assert refused.code == 2
    assert "--yes" in refused.err
    answer = terminal.run("logout", "--all", "--yes")
    assert answer.code == 0
    assert answer.err.count("Logged out of") == 2
    assert "not logged in to any" in terminal.run("list").err


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX")
@pytest.mark.parametrize(("answer", "left"), [("n\n", 1), ("y\n", 0)])
def test_all_asks_a_person(answer: str, left: int, terminal: Terminal, server: DemoServer) -> None:
    from tests.support.ptys import at_a_pty

    terminal.log_in(server.url)
    with at_a_pty(command("logout", "--all"), terminal.environment) as running:
        running.wait_for("Log out of it?")
        running.type(answer)
        assert running.end() == 0, running.text
    assert len(terminal.run("list").out.splitlines()) == (2 if left else 0)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX")
@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_who_leaves_at_the_question_gets_a_line_of_their_own(key: str, inside: Inside) -> None:
    from tests.support.ptys import at_a_pty

    for url in ("https://mcp.example.com/mcp", "https://mcp.example.org/mcp"):
        inside.keep(credential(url))
    with at_a_pty(command("logout", "--all"), dict(os.environ)) as running:
        running.wait_for("Log out of all 2? [y/N]: ")
        assert running.press(key) == 130
        assert running.text.splitlines()[-1] == "mcp-login: interrupted"
    assert len(inside("list").out.splitlines()) == 3


@pytest.mark.parametrize("arguments", [[], ["--all", "https://mcp.example.com/mcp"]])
def test_a_url_or_all(arguments: list[str], terminal: Terminal) -> None:
    answer = terminal.run("logout", *arguments)
    assert answer.code == 2
    assert "--all" in answer.err


def test_all_is_narrowed_to_an_account_that_was_typed(inside: Inside) -> None:
    for url in ("https://mcp.example.com/mcp", "https://mcp.example.org/mcp"):
        for account in ("default", "work"):
            inside.keep(credential(url, account=account))
    ran = inside("logout", "--all", "--account", "work", "--yes", "--local")
    assert ran.err.count("Logged out of") == 2
    listed = inside("list", "--json").answer["logins"]
    assert [each["account"] for each in listed] == ["default"] * 2
    assert inside("logout", "--all", "--yes", "--local", MCP_CLIENT_AUTH_ACCOUNT="work").code == 0
    assert "You are not logged in" in inside("list").err
