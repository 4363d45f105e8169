"""Every Python snippet and every `mcp-login` line of README.md and docs/ runs as it stands.

Only the server's address differs. They run in this process, with a scripted person; README.md
runs as processes too, in `test_readme.py`.
"""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from mcp_client_auth import Login, login
from mcp_client_auth.cli.mcp_remote_words import KNOWN
from mcp_client_auth.cli.servers import is_host
from mcp_client_auth.cli.verbs import VERBS, module_of
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings
from tests.support.documents import EXAMPLE, PAGES, Page
from tests.support.inside import Inside

ELSEWHERE = {"docs/testing.md", "docs/other-programs.md"}  # they have tests of their own
SNIPPETS = [
    pytest.param(
        page,
        number,
        id=f"{page.name}-{number}",
        marks=[pytest.mark.slow] if "import fastmcp" in code else [],  # seconds to load
    )
    for page in PAGES
    if page.name != "docs/testing.md"
    for number, code in enumerate(page.blocks("python"))
]


@pytest.mark.parametrize("sessions", [False, True], ids=["no sessions", "sessions"])
@pytest.mark.parametrize(("page", "number"), SNIPPETS)
def test_a_python_snippet_runs(
    page: Page,
    number: int,
    sessions: bool,
    mcp_person: ScriptedBrowser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = page.blocks("python")[number]
    monkeypatch.chdir(tmp_path)
    with DemoServer(Settings(sessions=sessions)) as server:
        if "prompt=None" not in code and "login(" not in code:
            login(server.url).close()  # a snippet's event loop does not wait for a sign-in
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(code.replace(EXAMPLE, server.url), page.name, "exec"), names)
        for value in names.values():  # as the end of a program does
            if isinstance(value, Login):
                value.close()


LINES = [
    pytest.param(page, id=page.name)
    for page in PAGES
    if page.name not in {"README.md", *ELSEWHERE} and page.blocks("sh")
]


@pytest.mark.parametrize("page", LINES)
def test_the_lines_of_a_page_run_one_after_the_other(page: Page, inside: Inside) -> None:
    with DemoServer(Settings(sessions=True)) as server:
        for line in "".join(page.blocks("sh")).splitlines():
            word, *words = shlex.split(line.replace(EXAMPLE, server.url))
            assert word == "mcp-login"
            ran = inside(*words)
            assert ran.code == 0, f"{line}: {ran.err}"


def commands() -> dict[str, str]:
    """Each command line that a page has anywhere, and the first page that has it."""
    found: dict[str, str] = {}
    for page in PAGES:
        if page.name in ("docs/commands.md", "CHANGELOG.md"):
            continue
        spans = re.findall(r"`([^`\n]+)`", page.prose)
        code = "\n".join([*spans, *page.blocks("sh"), *page.blocks("console")])
        for words in re.findall(r"mcp-login ([^`|)\"\n]*)", code):
            found.setdefault(words.strip(), page.name)
    return found


@pytest.mark.parametrize("words", commands())
def test_a_command_that_is_named_has_these_options(words: str) -> None:
    first = words.split()[0]
    assert first in VERBS or is_host(first) or first in ("URL", "SERVER", "VERB", "--help"), words
    command: click.Command = import_module(module_of(first if first in VERBS else "login")).command
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    ours = words.partition(" -- ")[0]
    given = {word.partition("=")[0] for word in ours.split() if re.match(r"--?[a-z]", word)}
    assert given <= known


FLAGS = {
    flag: page.name
    for page in PAGES
    if page.name not in ("docs/commands.md", "docs/testing.md", "CHANGELOG.md", "CONTRIBUTING.md")
    for flag in re.findall(r"`(--[a-z][\w-]+)", page.prose)
}


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_that_is_named_exists(flag: str) -> None:
    commands = [import_module(module_of(verb)).command for verb in VERBS]
    known = {option for each in commands for parameter in each.params for option in parameter.opts}
    theirs = KNOWN if FLAGS[flag] == "docs/bridge.md" else frozenset()
    assert flag in known | theirs | {"--help", "--help-all", "--version"}, FLAGS[flag]


def test_the_page_of_the_bridge_names_each_option_of_mcp_remote_that_is_read() -> None:
    [page] = [page for page in PAGES if page.name == "docs/bridge.md"]
    assert {flag for flag in KNOWN if f"`{flag}" not in page.prose} == set()
