"""The default tests can run on each system that the package names: the workflow covers them all,
and no test that would run elsewhere uses what only POSIX has.

Read from the source, so that a run on Linux can tell: a function that uses such a thing, or one
that calls it, has a mark that skips it, or asks first.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from tests.support.python_path import ROOT

WORKFLOW: Final = ROOT / ".github" / "workflows" / "tests.yml"
POSIX: Final = {
    *("fork", "mkfifo", "chown", "geteuid", "getuid", "killpg", "setsid", "waitpid"),
    *("set_blocking", "symlink", "symlink_to", "O_NONBLOCK", "SIGKILL", "SIGHUP", "SIGALRM"),
}
MODULES: Final = ("fcntl", "pty", "termios", "tty", "pwd", "grp", "resource")
USED: Final = re.compile(
    rf"\.({'|'.join(POSIX)})\b|^\s*import ({'|'.join(MODULES)})\b", re.MULTILINE
)
ASKED: Final = re.compile(
    r"skipif|importorskip|pytest\.skip\(|hasattr\(os|sys\.platform|os\.name|mark\.slow"
)
TEXTS: Final = {
    file: text
    for file in sorted((ROOT / "tests").rglob("test_*.py"))
    if "slow" not in file.parts and USED.search(text := file.read_text("utf-8"))
}


def test_the_workflow_runs_each_python_on_each_system() -> None:
    workflow: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    job = workflow["jobs"]["default"]
    matrix = job["strategy"]["matrix"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert matrix["python"] == named
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert job["strategy"]["fail-fast"] is False
    assert job["steps"][-1]["run"] == "python -m pytest"
    assert 'pip install -e ".[dev]"' in job["steps"][-2]["run"]
    assert workflow[True] == {"push": {"branches": ["main"]}, "pull_request": None}  # `on`
    assert workflow["permissions"] == {"contents": "read"}
    everything = workflow["jobs"]["everything"]["steps"][-1]["run"]
    assert everything.endswith("bash .ci/run")


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_only_posix_has_is_asked_for_first(file: Path) -> None:
    text = TEXTS[file]
    tree, lines = ast.parse(text), text.splitlines()

    def of(node: ast.stmt) -> str:
        first = min(each.lineno for each in (node, *getattr(node, "decorator_list", ())))
        return "\n".join(lines[first - 1 : node.end_lineno])

    parts = [(node, of(node)) for node in tree.body]
    if any(ASKED.search(part) for node, part in parts if is_for_all(node, part)):
        return
    assert not any(USED.search(part) for node, part in parts if isinstance(node, ast.Import))
    named = {name: part for node, part in parts if (name := name_of(node))}
    asked = {name for name, part in named.items() if ASKED.search(part)}  # or a mark: POSIX = …
    uses: set[str] = set()
    more = {name for name, part in named.items() if USED.search(part)}
    while more := {name for name in more - asked - uses if not asked & words(named[name])}:
        uses |= more
        more = {name for name, part in named.items() if words(part) & uses}
    assert not {name for name in uses if name.startswith("test_")}


def is_for_all(node: ast.stmt, part: str) -> bool:
    return isinstance(node, ast.If) or part.startswith("pytestmark") or "importorskip" in part


def name_of(node: ast.stmt) -> str:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
    return ""


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))
