"""The core knows no flag: it names options by their Python names, which exist, as do the flags."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

import mcp_client_auth
from mcp_client_auth.cli.commands import cli
from mcp_client_auth.cli.flags import FLAGS, flag
from mcp_client_auth.session.open import Arguments

PACKAGE = Path(mcp_client_auth.__file__).parent
FRONT = ("cli/", "doctor/", "testing/")
CORE = sorted(
    file
    for file in (path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    if not file.startswith(FRONT)
)
FLAG = re.compile(r"(?<![\w-])--[A-Za-z][\w-]*")
STYLE = re.compile(r"var\(--\w+\)|--\w+:")  # custom properties of the page's style sheet


FOR_PROGRAMS = re.compile(r"Endpoints\(|Options\(…\)|\(resource=")  # the command has none


def texts_of(file: str) -> list[str]:
    """The texts of a module that are not its docstrings."""
    tree = ast.parse((PACKAGE / file).read_text("utf-8"))
    remarks = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in remarks
    ]


def flags_in(source: str) -> list[str]:
    return FLAG.findall(STYLE.sub("", source))


@pytest.mark.parametrize("file", CORE)
def test_no_flag_stands_in_the_core(file: str) -> None:
    assert flags_in((PACKAGE / file).read_text("utf-8")) == []


@pytest.mark.parametrize(
    "planted", ['"pass --issuer URL"', "# as --force does", "`--store`", "(--dpop)", "'--param=x'"]
)
def test_a_planted_flag_is_seen(planted: str) -> None:
    assert flags_in(f"hint = {planted}")


@pytest.mark.parametrize("file", CORE)
def test_no_text_spells_an_option_that_has_a_flag_in_python(file: str) -> None:
    spelled = [text for text in texts_of(file) if re.search(r"Options\(|PreRegistered\(", text)]
    assert [text for text in spelled if not FOR_PROGRAMS.search(text)] == []


@pytest.mark.parametrize("file", CORE)
def test_only_shell_command_writes_for_a_shell(file: str) -> None:
    assert [text for text in texts_of(file) if "mcp-login " in text] == []


def templates() -> Iterator[tuple[str, str, int]]:
    """Where a `Remedy` is made, of which text, and how many words follow it."""
    for file in CORE:
        for node in ast.walk(ast.parse((PACKAGE / file).read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Remedy" and node.args:
                text, *words = node.args
                yield f"{file}:{node.lineno}", static(text, file), len(words)


def static(node: ast.expr, file: str) -> str:
    """A text that is put together from constants only: a server's words are never a template."""
    if isinstance(node, ast.BinOp):
        return static(node.left, file) + static(node.right, file)
    if isinstance(node, ast.Name):
        module = import_module(f"mcp_client_auth.{file.removesuffix('.py').replace('/', '.')}")
        value = vars(module)[node.id]
    else:
        value = ast.literal_eval(node)
    assert isinstance(value, str), ast.unparse(node)
    return value


TEMPLATES = list(templates())
NAMED = sorted({name for _, text, _ in TEMPLATES for name in re.findall(r"{([\w.]+)", text)})


def test_there_are_remedies_with_options() -> None:
    assert len(TEMPLATES) > 30
    assert len(NAMED) > 15


@pytest.mark.parametrize(("where", "text", "words"), TEMPLATES, ids=[t[0] for t in TEMPLATES])
def test_each_place_in_a_text_is_filled(where: str, text: str, words: int) -> None:
    assert text.count("{}") == words, where
    assert not re.search(r"[{}]", re.sub(r"{[^{}]*}", "", text)), where


@pytest.mark.parametrize("name", NAMED)
def test_an_option_that_a_remedy_names_exists_in_python(name: str) -> None:
    owner, _, argument = name.rpartition(".")
    if argument[0].isupper():
        assert hasattr(mcp_client_auth, argument)
        return
    if owner:
        assert argument in inspect.signature(getattr(mcp_client_auth, owner)).parameters
    else:
        assert argument in Arguments.__annotations__


@pytest.mark.parametrize("name", sorted({*NAMED, *FLAGS}))
def test_an_option_that_a_remedy_names_exists_in_the_command(name: str) -> None:
    command = cli.get_command(click.Context(cli), "login")
    assert command is not None
    word = flag(name, "True").partition(" ")[0]
    assert word in {word for option in command.params for word in option.opts}
