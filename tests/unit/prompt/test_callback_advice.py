"""What to do where a browser's response may not arrive: one sentence, and for SSH a command."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mcp_client_auth.environment import Machine
from mcp_client_auth.prompt.callback_advice import advice, ssh_command

URI = "http://127.0.0.1:4711/callback"
SSH = {"SSH_CONNECTION": "192.0.2.7 50022 198.51.100.9 22", "SSH_TTY": "/dev/pts/0"}


@pytest.fixture(autouse=True)
def ada(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")  # what getpass reads first


def machine(
    environ: Mapping[str, str] = {},
    files: Mapping[str, str] = {},
    platform: str = "linux",
) -> Machine:
    return Machine(environ, platform, files.__contains__, lambda path: files.get(path, ""))


@pytest.mark.parametrize(
    ("uri", "connection", "user", "line"),
    [
        (URI, "192.0.2.7 50022 198.51.100.9 22", "ada", "4711:127.0.0.1:4711 ada@198.51.100.9"),
        (URI, "93.184.1.1 1 93.184.2.2 22", "ada", "4711:127.0.0.1:4711 ada@93.184.2.2"),
        (URI, "10.0.0.7 1 10.0.0.9 22", "ada", "4711:127.0.0.1:4711 ada@10.0.0.9"),
        (URI, "93.184.1.1 1 10.0.0.9 22", "ada", "4711:127.0.0.1:4711 ada@THIS_HOST"),
        (URI, "10.0.0.7 1 10.0.0.9 2222", "ada", "4711:127.0.0.1:4711 -p 2222 ada@10.0.0.9"),
        (URI, "fe80::1%eth0 1 fe80::2%eth0 22", "ada", "4711:127.0.0.1:4711 ada@fe80::2%eth0"),
        (URI, "", "ada", "4711:127.0.0.1:4711 ada@THIS_HOST"),
        (URI, "a b $(id) 22", "ada", "4711:127.0.0.1:4711 ada@THIS_HOST"),
        (URI, "10.0.0.7 1 10.0.0.9 x", "ada", "4711:127.0.0.1:4711 ada@THIS_HOST"),
        (URI, "", "", "4711:127.0.0.1:4711 THIS_HOST"),
        (URI, "", "a; rm -rf", "4711:127.0.0.1:4711 'a; rm -rf@THIS_HOST'"),
        (URI, "", "a\x1b[2J", "4711:127.0.0.1:4711 THIS_HOST"),
        ("http://localhost:80/cb", "", "ada", "80:localhost:80 ada@THIS_HOST"),
        ("http://[::1]:9/cb", "", "ada", "'9:[::1]:9' ada@THIS_HOST"),
    ],
)
def test_the_forwarding_has_the_right_port_user_and_host(
    uri: str, connection: str, user: str, line: str
) -> None:
    there = machine({"SSH_CONNECTION": connection})
    assert ssh_command(uri, there, user) == "ssh -L " + line


@pytest.mark.parametrize(
    ("environ", "files", "opens", "begins"),
    [
        (SSH, {}, False, "At the end the page will not load: "),
        (SSH, {}, True, "If at the end the page will not load: "),
        ({"CODESPACES": "true"}, {}, False, "At the end the page will not load: "),
        ({"CODESPACES": "true"}, {}, True, "If at the end the page will not load: "),
        ({"GITPOD_WORKSPACE_ID": "x"}, {}, False, "At the end the page will not load: "),
        ({}, {"/.dockerenv": ""}, False, "At the end the page will not load: "),
        ({}, {"/.dockerenv": ""}, True, "If at the end the page will not load: "),
        ({"WSL_DISTRO_NAME": "x"}, {}, True, "If at the end the page will not load: "),
        ({"WSL_DISTRO_NAME": "x"}, {}, False, "If at the end the page will not load: "),
        ({}, {}, False, "If at the end the page will not load: "),
        ({"DISPLAY": ":0"}, {}, True, "If at the end the page will not load: "),
    ],
)
def test_where_it_can_be_pasted_one_sentence_says_what_to_do(
    environ: dict[str, str], files: dict[str, str], opens: bool, begins: str
) -> None:
    words = advice(URI, opens=opens, pastes=True, machine=machine(environ, files))
    first, *rest = words.split("\n")
    assert first.startswith(begins + "copy its address and paste it here.")
    forwarded = "SSH_TTY" in environ and not opens
    assert rest == (["  ssh -L 4711:127.0.0.1:4711 ada@198.51.100.9"] if forwarded else [])


@pytest.mark.parametrize(
    ("environ", "opens", "words"),
    [
        (SSH, False, "ssh -L 4711:127.0.0.1:4711"),
        (SSH, True, ""),
        ({"CODESPACES": "true"}, False, "at a terminal"),
        ({"CODESPACES": "true"}, True, ""),
        ({"DISPLAY": ":0"}, True, ""),
        ({}, False, ""),
    ],
)
def test_where_nothing_can_be_pasted_nothing_is_promised(
    environ: dict[str, str], opens: bool, words: str
) -> None:
    said = advice(URI, opens=opens, pastes=False, machine=machine(environ))
    assert words in said if words else said == ""
    assert "paste it here" not in said
