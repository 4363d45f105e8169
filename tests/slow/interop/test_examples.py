"""The examples and the README's snippets at a real FastMCP server, which keeps sessions."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slow.interop.forms import IN_MEMORY
from tests.slow.interop.person import Person
from tests.slow.interop.processes import run, run_script
from tests.support.documents import EXAMPLE, page
from tests.support.python_path import ROOT

README = page("README.md")
SNIPPETS = README.blocks("python")
LINES = [line for text in README.blocks("sh") for line in text.splitlines()]
PLAIN = ("asynchronous.py", "first.py", "official_sdk.py", "through_fastmcp.py")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with IN_MEMORY.start(tmp_path_factory.mktemp("server")) as place:
        yield place.url


@pytest.fixture
def person(person: Person) -> Person:
    person.extra["MCP_CLIENT_AUTH_STORAGE"] = "file"
    return person


@pytest.mark.parametrize("name", PLAIN)
def test_an_example_calls_a_tool(url: str, person: Person, name: str) -> None:
    ran = run_script([str(ROOT / "examples" / name), url], person.environment)
    assert ran.code == 0, ran.err
    assert "somebody" in ran.out, "the answer of its tool `whoami`"


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_gets_an_answer(url: str, person: Person, tmp_path: Path, number: int) -> None:
    script = tmp_path / "snippet.py"
    script.write_text(SNIPPETS[number].replace(EXAMPLE, url))
    ran = run_script([str(script)], person.environment)
    assert ran.code == 0, ran.err
    assert "HTTP 4" not in ran.out + ran.err


def test_the_commands_list_the_tools(url: str, person: Person) -> None:
    lines = [line for line in LINES if not line.startswith("python3 -m venv")]
    script = "set -e\n" + "\n".join(lines).replace(EXAMPLE, url)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ran = run(["bash", "-c", script], {**person.environment, "PATH": path})
    assert ran.code == 0, ran.err
    assert "whoami" in ran.out
