"""SECURITY.md names only what exists, and for each promise the tests that try to break it."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

import mcp_client_auth
from mcp_client_auth import Options
from tests.support.python_path import ROOT

PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
HELP = (ROOT / "docs" / "commands.md").read_text("utf-8")
PROMISES = PAGE.partition("## What is promised\n")[2].partition("\n## ")[0]
EACH = [p for p in re.split(r"^- |^### .*$", PROMISES, flags=re.MULTILINE) if p.strip()]
TEST = re.compile(r"\]\((tests/[\w./]+)\)")
WEAKENING = {
    field.name for field in fields(Options) if field.name.startswith(("allow_", "assume_"))
}


def test_every_option_that_weakens_a_promise_is_named() -> None:
    named = set(re.findall(r"`((?:allow|assume)_\w+)`", PAGE))
    assert named == WEAKENING


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--[\w-]+)", PAGE))))
def test_an_option_of_the_command_exists(option: str) -> None:
    assert option in HELP


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([A-Z]\w+)[`(]", PAGE))))
def test_a_name_is_one_of_ours(name: str) -> None:
    assert name in mcp_client_auth.__all__ or name in ("Authorization", "Host")


@pytest.mark.parametrize("promise", EACH, ids=lambda promise: promise[:30])
def test_each_promise_names_tests_that_try_to_break_it(promise: str) -> None:
    named = TEST.findall(promise)
    assert named, promise
    for name in named:
        assert re.search(r"^(async )?def test_", (ROOT / name).read_text("utf-8"), re.MULTILINE)


def test_every_attack_is_named() -> None:
    there = {f"tests/attacks/{file.name}" for file in (ROOT / "tests/attacks").glob("test_*.py")}
    assert there - set(TEST.findall(PROMISES)) == set()
