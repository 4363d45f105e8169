"""The help: the page in `docs` is what the command says, and says all that it can be told."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from write_help import PAGE, help_of, module_of, page, verbs

import mcp_client_auth
from mcp_client_auth.cli.commands import PREFIX
from mcp_client_auth.cli.options import ENDPOINTS
from mcp_client_auth.cli.overview import VERBS

SOURCES = "\n".join(
    file.read_text("utf-8") for file in Path(mcp_client_auth.__file__).parent.rglob("*.py")
)


def command_of(verb: str) -> click.Command:
    command: click.Command = import_module(module_of(verb)).command
    return command


def test_the_page_is_what_the_command_says() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python tests/cli/write_help.py"


def test_the_readme_leads_to_it() -> None:
    readme = (PAGE.parents[1] / "README.md").read_text("utf-8")
    command = readme.partition("### The command")[2].partition("### The library")[0]
    assert "(docs/commands.md)" in command


@pytest.mark.parametrize("verb", verbs())
def test_the_overviews_line_is_the_first_of_the_verbs_help(verb: str) -> None:
    first = (command_of(verb).help or "").partition("\n")[0]
    assert first == VERBS[verb]
    assert re.search(rf"^  {verb} +{re.escape(first)}$", help_of(), re.MULTILINE)


@pytest.mark.parametrize("verb", verbs())
def test_every_option_says_what_it_does(verb: str) -> None:
    options = [each for each in command_of(verb).params if isinstance(each, click.Option)]
    for option in options:
        assert option.help, option.name
        assert option.help[0].isupper() or option.help.startswith("client_credentials"), option.help
        assert option.help.endswith("."), option.help
    shown = help_of(verb)
    assert all(option.opts[-1] in shown for option in options)


@pytest.mark.parametrize("verb", verbs())
def test_sections_follow_the_usual_options(verb: str) -> None:
    titles = re.findall(r"^([A-Z][\w ]+):$", help_of(verb), re.MULTILINE)
    assert titles[0] == "Options"
    assert len(titles) == len(set(titles))


def test_every_variable_that_is_named_is_read() -> None:
    """By click, for an option; else by name in the package."""
    readme = (PAGE.parents[1] / "README.md").read_text("utf-8")
    named = set(re.findall(PREFIX + r"([A-Z_]+)", readme + page()))
    by_options = {
        str(option.envvar).removeprefix(PREFIX)
        for verb in verbs()
        for option in command_of(verb).params
        if option.envvar
    }
    in_help = set()
    for verb in verbs():
        sentence = help_of(verb).partition(f"each behind {PREFIX}:")[2]
        in_help |= set(re.findall(r"[A-Z_]+", sentence))
    assert in_help == by_options
    elsewhere = {name for name in named - by_options if f'"{PREFIX}{name}"' in SOURCES}
    assert named - by_options == elsewhere
    assert named


def test_the_endpoints_that_it_names_are_those_of_the_options() -> None:
    from dataclasses import fields

    from mcp_client_auth.protocol.options import Endpoints

    assert set(ENDPOINTS) == {field.name for field in fields(Endpoints)}
