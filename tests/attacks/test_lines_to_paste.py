"""A message shows a line to paste into a shell, with a server's or a file's words in it: each of
these words stays one argument.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_client_auth import LoginRequired
from mcp_client_auth.protocol.challenge import Challenge
from mcp_client_auth.session.single_flight import wait
from tests.support.hostile import World
from tests.support.inside import Inside
from tests.support.session_world import SERVER, Program, credential
from tests.support.session_world import World as Memory

SHELL = {
    "a command": "$(touch${IFS}pwned)",
    "backticks": "`touch pwned`",
    "the next command": ";touch${IFS}pwned",
    "in the background": "&touch%20pwned&",
    "a quotation mark": "'$(touch${IFS}pwned)'",
    "two of them": "\"'$(x)'\"",
    "into a file": ">pwned",
    "an option": "--allow-insecure-http",
    "a history": "!!",
}
LINE = re.compile(r"mcp-login [^\n]*")


def lines(text: str) -> Iterator[list[str]]:
    """The command lines in a text, as a shell would read them."""
    for found in LINE.findall(text):
        words = shlex.split(found)
        assert shlex.join(words) == found, "a word of it is not quoted"
        yield words


@pytest.mark.parametrize("tail", SHELL.values(), ids=SHELL)
def test_a_scope_of_the_servers_stays_one_argument(tail: str) -> None:
    world = Memory()
    program = Program(world, prompt=None)
    asked = Challenge("bearer", {"error": "insufficient_scope", "scope": f"notes {tail}"})
    with pytest.raises(LoginRequired) as raised:
        wait(program.session.after_403(credential(world), asked))
    [words] = lines(raised.value.command)
    assert words[:2] == ["mcp-login", SERVER]
    [scope] = [words[at + 1] for at, word in enumerate(words) if word == "--scope"]
    assert set(tail.split()) <= set(scope.split())
    assert len(words) == 4, words
    assert raised.value.command in str(raised.value.hint)


@pytest.mark.parametrize("tail", SHELL.values(), ids=SHELL)
@pytest.mark.parametrize("verb", ["token", "request", "tools"])
def test_a_url_of_a_file_nearby_stays_one_argument(inside: Inside, verb: str, tail: str) -> None:
    # a variable in such a URL is refused earlier
    url = "https://mcp.example.invalid/" + tail.replace("${IFS}", "%20").replace(" ", "%20")
    inside.names({"notes": url})
    ran = inside(verb, "notes")
    told = [words for words in lines(ran.err) if len(words) > 1 and "example.invalid" in words[1]]
    assert told, ran.err
    for words in told:
        assert words == ["mcp-login", url.rstrip("/")]


def test_an_account_and_a_directory_stay_one_argument(
    inside: Inside, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = "it's $(touch pwned)"
    ran = inside("token", world.url, "--account", account)
    [words] = [words for words in lines(ran.err) if "--account" in words]
    assert words == ["mcp-login", world.url, "--account", account]
    assert not Path("pwned").exists()
