"""The one question about where logins are kept, and what is said without a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from keyring.backends import fail

from mcp_client_auth.storage import Summary
from mcp_client_auth.storage.file import FileBackend
from mcp_client_auth.storage.index import Index
from mcp_client_auth.storage.memory import process_memory
from mcp_client_auth.testing import DemoServer
from mcp_client_auth.testing.secret_service import INSTALL, SecretService
from tests.support.inside import Inside, credential
from tests.support.ptys import Pty, at_a_pty
from tests.support.terminal import Terminal, command

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX")
NO_KEYRING = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
FailKeyring: Any = fail.Keyring
QUESTION = "Keep logins there from now on?"


@contextmanager
def at_a_screen(terminal: Terminal, *words: str, **environment: str) -> Iterator[Pty]:
    """Run the command at a terminal, with no storage named."""
    inherited = {k: v for k, v in terminal.environment.items() if k != "MCP_CLIENT_AUTH_STORAGE"}
    with at_a_pty(command(*words), {**inherited, **environment}, columns=200) as screen:
        yield screen


def test_without_a_keyring_one_question_is_asked_and_its_answer_remembered(
    terminal: Terminal, server: DemoServer
) -> None:
    with at_a_screen(terminal, server.url, **NO_KEYRING) as screen:
        screen.wait_for(QUESTION)
        assert server.count("/register") == 0
        assert str(terminal.store) in screen.text
        assert "not encrypted" in screen.text
        screen.type("y\n")
        assert screen.end() == 0, screen.text
    assert "kept in  a file that only you can read" in screen.text
    with at_a_screen(terminal, server.url, "--account", "work", **NO_KEYRING) as screen:
        assert screen.end() == 0
    assert QUESTION not in screen.text
    assert terminal.run("token", server.url, MCP_CLIENT_AUTH_STORAGE="", **NO_KEYRING).code == 0


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"], ids=["no", "nothing", "end of input"])
def test_who_does_not_agree_is_told_the_remedies_before_anything_is_sent(
    answer: str, terminal: Terminal, server: DemoServer
) -> None:
    with at_a_screen(terminal, server.url, **NO_KEYRING) as screen:
        screen.wait_for(QUESTION)
        screen.type(answer)
        code = screen.end()
    assert code == (130 if answer == "\x04" else 7)
    if code == 7:
        assert "--store file" in screen.text
    assert server.requests == []
    assert terminal.stored() == {}


def test_a_storage_that_was_named_is_not_asked_about(
    terminal: Terminal, server: DemoServer
) -> None:
    with at_a_screen(terminal, server.url, "--store", "keyring", **NO_KEYRING) as screen:
        assert screen.end() == 7
    assert QUESTION not in screen.text


def test_without_a_terminal_nobody_is_asked(terminal: Terminal, server: DemoServer) -> None:
    answer = terminal.run(server.url, MCP_CLIENT_AUTH_STORAGE="", **NO_KEYRING)
    assert answer.code == 7
    assert "--store file" in answer.err
    assert server.requests == []


def test_a_token_without_a_keyring_and_a_login_needs_a_login(
    terminal: Terminal, server: DemoServer
) -> None:
    answer = terminal.run("token", server.url, MCP_CLIENT_AUTH_STORAGE="", **NO_KEYRING)
    assert answer.code == 3
    assert f"mcp-login {server.url}" in answer.err


def test_a_person_is_told_that_the_keyring_may_be_waiting_for_them(
    terminal: Terminal, server: DemoServer, tmp_path: Path
) -> None:
    if not SecretService.installed():
        pytest.skip(f"a Secret Service is needed: {INSTALL}")
    with SecretService() as service:
        service.lock_with_a_prompt()
        with at_a_screen(terminal, server.url, **service.environment) as screen:
            screen.wait_for("Waiting for the OS keyring: it may be asking for its password")
            assert screen.press("\x03") == 130
    assert server.requests == []


# Memory, where a command cannot keep anything


@pytest.mark.parametrize("named", ["option", "variable"])
def test_a_login_to_memory_says_before_and_after_that_nothing_is_kept(
    named: str, inside: Inside, server: DemoServer
) -> None:
    words = ("--store", "memory") if named == "option" else ()
    ran = inside(server.url, *words, MCP_CLIENT_AUTH_STORAGE="memory")
    assert ran.code == 0
    before, after = ran.err.split("Sign in with your browser")
    assert "this login ends with this command" in before
    assert "Logged in" not in after
    assert f"Signed in to {server.url}" in after
    assert "kept in  nowhere" in after
    process_memory.cache_clear()
    assert not (inside.home / "logins").exists()


@pytest.mark.parametrize("words", [("token",), ("refresh",), ("request", "-d", "{}")])
def test_a_command_without_a_login_in_memory_is_sent_in_no_circle(
    words: tuple[str, ...], inside: Inside, server: DemoServer
) -> None:
    process_memory.cache_clear()
    ran = inside(*words, server.url, "--store", "memory")
    assert ran.code == 3
    assert "keeps no login from one command to the next" in ran.err
    assert "Run: mcp-login" not in ran.err


def test_status_says_that_nothing_is_kept_in_memory(inside: Inside) -> None:
    ran = inside("status", MCP_CLIENT_AUTH_STORAGE="memory")
    assert "New logins are kept nowhere" in ran.out


# A keyring that is not there is not promised


def test_status_says_that_there_is_no_keyring(inside: Inside) -> None:
    inside.patch.setattr("keyring.get_keyring", FailKeyring)
    ran = inside("status", MCP_CLIENT_AUTH_STORAGE="")
    assert ran.code == 0
    assert "does not work: no OS keyring is usable here" in " ".join(ran.out.split())
    ran = inside("status", "--json", MCP_CLIENT_AUTH_STORAGE="")
    assert "no OS keyring is usable here" in ran.answer["storage"]


def test_a_login_in_a_keyring_that_is_gone_is_not_called_good(inside: Inside) -> None:
    made = credential("https://mcp.example.com/mcp")
    Index(FileBackend(inside.storage.directory)).put(Summary.of(made, "keyring"))
    inside.patch.setattr("keyring.get_keyring", FailKeyring)
    ran = inside("status", made.key.server)
    assert ran.code == 7
    assert "no OS keyring is usable here" in " ".join(ran.out.split())
    ran = inside("status", "--json")
    assert ran.code == ran.answer["exit_code"] == 7
    assert "no OS keyring" in ran.answer["logins"][0]["kept_in"]
    assert inside("list").code == 0, "it asks no keyring"


# An option is not blamed for a variable


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("STORAGE", "floppy", ("token", "https://mcp.example.com/mcp")),
        ("STORAGE", "floppy", ("https://mcp.example.com/mcp",)),
        ("STORAGE", "floppy", ("status",)),
        ("TIMEOUT", "soon", ("https://mcp.example.com/mcp",)),
        ("CALLBACK_PORT", "99999", ("https://mcp.example.com/mcp",)),
        ("ACCOUNT", "\x1b", ("token", "https://mcp.example.com/mcp")),
        ("CLIENT_SECRET_FILE", "/no/such/file", ("https://mcp.example.com/mcp",)),
        ("CLIENT_AUTH_METHOD", "magic", ("https://mcp.example.com/mcp",)),
        ("GRANT", "magic", ("token", "https://mcp.example.com/mcp")),
    ],
)
@pytest.mark.parametrize("json", [False, True])
def test_a_bad_variable_is_named_and_no_option_is(
    variable: str, value: str, words: tuple[str, ...], json: bool, inside: Inside
) -> None:
    name = f"MCP_CLIENT_AUTH_{variable}"
    inside.patch.setenv(name, value)
    ran = inside(*words, *(["--json"] if json else []))
    assert ran.code == 2
    assert name in ran.err
    assert "--" not in ran.err.replace("--help", "")
    if json:
        assert name in ran.answer["error"]["message"]


def test_a_bad_option_beside_a_variable_is_named_itself(inside: Inside) -> None:
    ran = inside("status", "--store", "floppy", MCP_CLIENT_AUTH_STORAGE="file")
    assert ran.code == 2
    assert "'--store'" in ran.err


# A record is described as it is stored, whatever the key is now

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
URL = "https://mcp.example.com/mcp"


def test_status_says_of_a_sealed_record_that_it_is_and_that_its_key_is_not_here(
    inside: Inside,
) -> None:
    with inside.patch.context() as patch:
        patch.setenv("MCP_CLIENT_AUTH_KEY", KEY)
        inside.keep(credential(URL))
    ran = inside("status", "--json")
    [login] = ran.answer["logins"]
    place, _, why = login["kept_in"].partition(", which does not work: ")
    assert place.endswith(f"{inside.home / 'logins'}, sealed")
    assert str(inside.record(URL)) in why
    assert (ran.code, ran.answer["exit_code"]) == (7, 7)  # it cannot be used without its key
    wrong = inside("status", "--json", MCP_CLIENT_AUTH_KEY=f"B{KEY[1:]}")
    assert wrong.answer["logins"][0]["kept_in"].startswith(f"{place}, which does not work")
    assert wrong.code == 7
    assert inside("status", MCP_CLIENT_AUTH_KEY=KEY).code == 0


def test_status_does_not_call_a_clear_record_sealed_because_there_is_a_key_now(
    inside: Inside,
) -> None:
    inside.keep(credential(URL))
    ran = inside("status", "--json", MCP_CLIENT_AUTH_KEY=KEY)
    assert ran.answer["logins"][0]["kept_in"].endswith(str(inside.home / "logins"))
    assert ran.answer["storage"].endswith(", sealed")  # new logins go there
    assert ran.code == 0
