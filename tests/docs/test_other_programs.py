"""The configuration lines for other programs are well-formed, and our commands in them run."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.inside import Inside, credential
from tests.support.python_path import ROOT

PAGE = (ROOT / "docs" / "other-programs.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = dict.fromkeys(re.findall(r"(?<!`)`(mcp-login [^`]*)`", PAGE))
URL = "https://mcp.example.com/mcp"


def values(found: Any, name: str) -> Iterator[str]:
    """The values under a name, at any depth."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key == name:
                yield value
            yield from values(value, name)


CONFIGURATIONS = [json.loads(text) for kind, text in BLOCKS if kind == "json"]
CONFIGURATIONS += [tomllib.loads(text) for kind, text in BLOCKS if kind == "toml"]
HELPERS = [helper for each in CONFIGURATIONS for helper in values(each, "headersHelper")]


@pytest.fixture
def at_work(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> Inside:
    from mcp_client_auth.storage.settings import Settings

    inside.keep(credential(URL))
    Settings().name("work", URL)
    monkeypatch.setattr("mcp_client_auth.cli.execute.execute", lambda command, environment: 0)
    return inside


def test_each_configuration_names_the_server_and_holds_no_token() -> None:
    assert len(CONFIGURATIONS) == 5
    assert [list(values(each, "url")) for each in CONFIGURATIONS] == [[URL]] * 5
    for each in CONFIGURATIONS:
        for header in values(each, "Authorization"):
            assert re.fullmatch(r"Bearer (\$?\{(env|input):\w+\})", header)


@pytest.mark.parametrize("helper", [*HELPERS, "mcp-login headers"])
def test_the_helper_of_claude_code_prints_the_headers(at_work: Inside, helper: str) -> None:
    ran = at_work(*shlex.split(helper)[1:], CLAUDE_CODE_MCP_SERVER_URL=URL)
    assert (ran.code, json.loads(ran.out)) == (0, {"Authorization": "Bearer planted-access"})


@pytest.mark.parametrize("line", [line for line in COMMANDS if "SERVER" not in line])
def test_each_command_runs(at_work: Inside, line: str) -> None:
    ran = at_work(*shlex.split(line)[1:], CLAUDE_CODE_MCP_SERVER_URL=URL)
    assert ran.code == (2 if line == "mcp-login request" else 0), "it lacks a server"
