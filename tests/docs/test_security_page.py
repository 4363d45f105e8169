"""SECURITY.md names only what there is."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

import mcp_client_auth
from mcp_client_auth import Options
from tests.support.python_path import ROOT

PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
HELP = (ROOT / "docs" / "commands.md").read_text("utf-8")
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
    assert name in mcp_client_auth.__all__ or name == "Authorization"
