"""The pages of help load what they show, and nothing that talks to servers or keyrings."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("httpx", "httpx2", "authlib", "joserfc", "keyring", "asyncio", "mcp_client_auth.session")


@pytest.mark.parametrize(
    ("words", "more"),
    [(["--help"], ["mcp_client_auth.cli.verbs.login"]), (["login", "--help"], [])],
    ids=["the first page", "a verb's"],
)
def test_a_page_of_help_loads_nothing_heavy(words: list[str], more: list[str]) -> None:
    code = (
        "import sys; before = set(sys.modules); from mcp_client_auth.cli import run;"
        f"assert run({words!r}) == 0;"
        f"print(sorted({{*{(*HEAVY, *more)!r}}} & (set(sys.modules) - before)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert done.stdout.startswith("Usage: mcp-login ")
