"""The core knows no flag: it names options by their Python names, which exist, as do the flags."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import click
import pytest

import mcp_client_auth
from mcp_client_auth.cli.commands import cli
from mcp_client_auth.cli.flags import FLAGS, flag
from mcp_client_auth.session.open import Arguments
from tests.docs.test_storeys import tree_of

PACKAGE = Path(mcp_client_auth.__file__).parent
FRONT = ("cli/", "doctor/", "testing/")
CORE = sorted(
    file
    for file in (path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    if not file.startswith(FRONT)
)
FLAG = re.compile(r"(?<![\w-])--[A-Za-z][\w-]*")
STYLE = re.compile(r"var\(--\w+\)|--\w+:")  # custom properties of the page's style sheet


# the command has no flag for these
FOR_PROGRAMS = re.compile(r"Endpoints\(|Options\(…\)|options=Options\(|\(resource=")


@cache
def source_of(file: str) -> str:
    return (PACKAGE / file).read_text("utf-8")


def texts_of(file: str) -> list[str]:
    """The texts of a module that are not its docstrings."""
    tree = tree_of(file)
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


def test_no_flag_stands_in_the_core() -> None:
    assert {file: flags_in(source_of(file)) for file in CORE if flags_in(source_of(file))} == {}


@pytest.mark.parametrize(
    "planted", ['"pass --issuer URL"', "# as --force does", "`--store`", "(--dpop)", "'--param=x'"]
)
def test_a_planted_flag_is_seen(planted: str) -> None:
    assert flags_in(f"hint = {planted}")


def texts_with(pattern: str) -> list[tuple[str, str]]:
    texts = [(file, text) for file in CORE for text in texts_of(file)]
    assert len(texts) > 3000
    return [(file, text) for file, text in texts if re.search(pattern, text)]


def test_no_text_spells_an_option_that_has_a_flag_in_python() -> None:
    spelled = texts_with(r"Options\(|PreRegistered\(")
    assert [(file, text) for file, text in spelled if not FOR_PROGRAMS.search(text)] == []


def test_only_shell_command_writes_for_a_shell() -> None:
    assert texts_with("mcp-login ") == []


def templates() -> Iterator[tuple[str, str, int]]:
    """Where each `Remedy` is made, its text, and how many words follow it."""
    for file in CORE:
        for node in ast.walk(tree_of(file)):
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


def named() -> set[str]:
    return {name for _, text, _ in templates() for name in re.findall(r"{([\w.]+)", text)}


def test_there_are_remedies_with_options() -> None:
    assert len(list(templates())) > 30
    assert len(named()) > 15


def test_each_place_in_a_text_is_filled() -> None:
    for where, text, words in templates():
        assert text.count("{}") == words, where
        assert not re.search(r"[{}]", re.sub(r"{[^{}]*}", "", text)), where


def test_an_option_that_a_remedy_names_exists_in_python() -> None:
    assert [name for name in sorted(named()) if not exists_in_python(name)] == []


def exists_in_python(name: str) -> bool:
    owner, _, argument = name.rpartition(".")
    if argument[0].isupper():
        return hasattr(mcp_client_auth, argument)
    if owner:
        return argument in inspect.signature(getattr(mcp_client_auth, owner)).parameters
    return argument in Arguments.__annotations__


def test_an_option_that_a_remedy_names_exists_in_the_command() -> None:
    command = cli.get_command(click.Context(cli), "login")
    assert command is not None
    known = {word for option in command.params for word in option.opts}
    words = {name: flag(name, "True").partition(" ")[0] for name in {*named(), *FLAGS}}
    assert {name: word for name, word in words.items() if word not in known} == {}
