"""The help: the page in `docs` is what the command says, and says all that it can be told."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import click
import pytest

import mcp_client_auth
from mcp_client_auth.cli import verbs
from mcp_client_auth.cli.arguments import PREFIX
from mcp_client_auth.cli.values import ENDPOINTS
from mcp_client_auth.cli.verbs import SECTIONS, VERBS, module_of
from mcp_client_auth.environment import SECRET_VARIABLES
from tests.docs.write_help import PAGE, help_of, said
from tests.docs.write_help import page as page_of_help
from tests.support.documents import PAGES, page

SOURCES = "\n".join(
    file.read_text("utf-8") for file in Path(mcp_client_auth.__file__).parent.rglob("*.py")
)


def command_of(verb: str) -> click.Command:
    command: click.Command = import_module(module_of(verb)).command
    return command


def test_the_page_is_what_the_command_says() -> None:
    assert PAGE.read_text("utf-8") == page_of_help(), "run: python -m tests.docs.write_help"


def test_the_readme_leads_to_it() -> None:
    assert "docs/command.md" in page("README.md").links
    assert "commands.md" in page("docs/command.md").links


def test_the_first_page_has_each_verb_with_the_first_line_of_its_help() -> None:
    lines = help_of().splitlines()
    for title, names in SECTIONS.items():
        at = lines.index(f"{title}:")
        rows = lines[at + 1 : at + 1 + len(names)]
        first = [(command_of(name).help or "").partition("\n")[0] for name in names]
        assert [row.split(maxsplit=1) for row in rows] == [
            [name, line] for name, line in zip(names, first, strict=True)
        ]


def test_each_module_of_verbs_is_in_the_table() -> None:
    files = {file.stem for file in Path(verbs.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == {module_of(verb).rpartition(".")[2] for verb in VERBS}


@pytest.mark.parametrize("words", [(), *((verb,) for verb in VERBS)], ids=" ".join)
def test_help_fits_a_screen(words: tuple[str, ...]) -> None:
    """What it leaves out is in `--help-all`, which it names."""
    lines = said(*words, "--help").splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert "--help-all" in "".join(lines)


@pytest.mark.parametrize("verb", VERBS)
def test_help_names_the_sections_that_it_leaves_out(verb: str) -> None:
    titles = re.findall(r"^([A-Z][\w ]+):$", help_of(verb), re.MULTILINE)
    short = " ".join(said(verb, "--help").split())
    assert all(title.lower() in short for title in titles if title != "More")


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_says_what_it_does(verb: str) -> None:
    options = [each for each in command_of(verb).params if isinstance(each, click.Option)]
    for option in options:
        assert option.help, option.name
        assert option.help[0].isupper() or option.help.startswith("client_credentials"), option.help
        assert option.help.endswith("."), option.help
    shown = help_of(verb)
    assert all(option.opts[-1] in shown for option in options if not option.hidden)


@pytest.mark.parametrize("verb", VERBS)
def test_sections_follow_the_usual_options(verb: str) -> None:
    titles = re.findall(r"^([A-Z][\w ]+):$", help_of(verb), re.MULTILINE)
    assert titles[0] == "Options"
    assert len(titles) == len(set(titles))


def test_every_variable_that_is_named_is_read() -> None:
    """By click, for an option; otherwise by name in the package."""
    text = "".join(each.text for each in PAGES)
    named = set(re.findall(PREFIX + r"([A-Z_]+)", text))
    by_options = {
        str(option.envvar).removeprefix(PREFIX)
        for verb in VERBS
        for option in command_of(verb).params
        if str(option.envvar).startswith(PREFIX)
    }
    in_help = set()
    for verb in VERBS:
        sentence = help_of(verb).partition(f"prefixed with {PREFIX}:")[2]
        in_help |= set(re.findall(r"[A-Z_]+", sentence))
    assert in_help == by_options
    elsewhere = {name for name in named - by_options if f'"{PREFIX}{name}"' in SOURCES}
    assert named - by_options == elsewhere
    assert named


def test_the_endpoints_that_it_names_are_those_of_the_options() -> None:
    from dataclasses import fields

    from mcp_client_auth.protocol.endpoints import Endpoints

    assert set(ENDPOINTS) == {field.name for field in fields(Endpoints)}


def test_no_variable_with_a_secret_is_handed_to_other_programs() -> None:
    options = [option for verb in VERBS for option in command_of(verb).params]
    named = {str(option.envvar) for option in options if option.envvar}
    telling = re.compile(r".*(_FILE|_KEY|PROXY|SECRET|TOKEN)")
    found = {name for name in named if telling.fullmatch(name)}
    assert found
    assert found <= SECRET_VARIABLES
