"""The mutants of `python -m tests.mutation`: small, distinct, of the whole sample, and tried."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation import __main__ as program
from tests.mutation.__main__ import EQUIVALENT, equivalent, keep, results
from tests.mutation.mutants import PACKAGE, mutants
from tests.support.python_path import ROOT

ROOM = "listener"
TRIED = """
import sys
from tests.mutation.mutants import mutants
from tests.mutation.trial import tried, warm

warm()
found = next(m for m in mutants("listener") if "_digest returned" in m.what)
print(tried(None, [sys.argv[1]], 60).outcome, tried(found, [sys.argv[1]], 60).outcome)
"""


def test_each_mutant_has_a_name_of_its_own_and_is_another_program() -> None:
    found = list(mutants(ROOM))
    assert len({mutant.key for mutant in found}) == len(found) > 300
    kinds = {mutant.kind.partition(" ")[0] for mutant in found}
    assert kinds >= {"comparison", "and,", "not", "constant", "returned", "left", "swapped"}
    for mutant in found[::20]:
        source = ast.unparse(mutant.source())
        compile(source, mutant.file, "exec")
        assert source != ast.unparse(ast.parse((PACKAGE / mutant.file).read_text("utf-8")))


def test_what_counts_as_equivalent_is_a_mutant_and_has_a_reason() -> None:
    rows = [line for line in EQUIVALENT.read_text("utf-8").splitlines() if "#" not in line[:1]]
    assert len(equivalent()) == len(rows)
    assert all(len(reason) > 20 for reason in equivalent().values())


def test_what_came_of_a_mutant_is_kept_for_other_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, gone = [*mutants(ROOM)][:3]
    kept = tmp_path / "tried.jsonl"
    rows = [gone.key, "killed", "test_of_the_past"], [one.key, "survived", ""]
    kept.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(program, "TRIED", kept)
    lines = [
        {"key": each.key, "outcome": "killed", "by": "test_it[a\u2028b]\n"} for each in (one, two)
    ]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    keep([one, two], tmp_path)
    (tmp_path / "results.jsonl").unlink()
    assert results(tmp_path) == {line["key"]: line for line in lines}


def test_a_mutant_is_tried_in_a_fork_and_leaves_nothing_behind(tmp_path: Path) -> None:
    test = tmp_path / "test_digest.py"
    test.write_text(
        "from mcp_client_auth.prompt.loopback import _digest\n\n\n"
        "def test_a_digest():\n    assert _digest('a') != _digest('b')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", TRIED, str(test)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.split() == ["survived", "killed"], done.stderr
