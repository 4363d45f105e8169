"""`mcp-login logout`: one login, the other accounts, all of them."""

from __future__ import annotations

import sys

import pytest
from terminal import Terminal

from mcp_client_auth.testing import DemoServer, Settings


@pytest.mark.parametrize("server", [Settings(registration_management=True)], indirect=True)
def test_a_logout_says_what_was_done(terminal: Terminal, server: DemoServer) -> None:
    terminal.log_in(server.url)
    answer = terminal.run("logout", server.url)
    assert answer.code == 0
    assert answer.out == ""
    assert answer.err == (
        f"Logged out of {server.url} (account default)\n"
        "  The client that was registered for it is deleted there too.\n"
    )


def test_a_local_logout_asks_no_server(terminal: Terminal, server: DemoServer) -> None:
    terminal.log_in(server.url)
    server.clear_requests()
    answer = terminal.run("logout", "--local", server.url)
    assert (answer.code, answer.err) == (0, f"Logged out of {server.url} (account default)\n")
    assert server.requests == []


def test_a_server_that_is_gone_is_said(terminal: Terminal, server: DemoServer) -> None:
    terminal.log_in(server.url)
    server.stop()
    answer = terminal.run("logout", server.url)
    assert answer.code == 0
    assert "has not confirmed" in answer.err
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
    from screen import at_a_screen

    terminal.log_in(server.url)
    with at_a_screen(terminal, "logout", "--all") as screen:
        screen.until("Log out of all 1?")
        screen.type(answer)
        assert screen.end() == 0, screen.text
    assert len(terminal.run("list").out.splitlines()) == (2 if left else 0)


@pytest.mark.parametrize("arguments", [[], ["--all", "https://mcp.example.com/mcp"]])
def test_a_url_or_all(arguments: list[str], terminal: Terminal) -> None:
    answer = terminal.run("logout", *arguments)
    assert answer.code == 2
    assert "--all" in answer.err
