"""Every row of `requirements.md` names tests, and each of them is there."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.support.python_path import ROOT

TABLE = Path(__file__).with_name("requirements.md").read_text(encoding="utf-8")
REVISIONS = ("2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "extensions")
LEVELS = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
SAME_AS = re.compile(r"\bas ((?:\d{4}-\d\d-\d\d|extensions)/[A-Z]+-\d+)")
Test = tuple[str, str]


@dataclass(frozen=True)
class Row:
    """`same` are the ids of rows whose tests show this one too."""

    id: str
    level: str
    what: str
    tests: tuple[Test, ...]
    same: tuple[str, ...]


def read(text: str) -> list[Row]:
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [
        Row(each[0], each[1], each[2], tuple(NAMED.findall(each[-1])), _same(each[-1]))
        for each in cells
        if each[0] != "id" and not each[0].startswith("-")
    ]


def _same(cell: str) -> tuple[str, ...]:
    return tuple(SAME_AS.findall(cell))


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of a file's tests, parametrised or not."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    body = ast.parse(file.read_text(encoding="utf-8")).body
    functions = (n for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(f.name for f in functions if f.name.startswith("test_"))


def shown_by(row: Row, rows: dict[str, Row], on_the_way: tuple[str, ...] = ()) -> set[Test]:
    """Its tests and those of the rows that it refers to; a circular reference shows nothing."""
    found = set(row.tests)
    for other in set(row.same) - set(on_the_way):
        if other in rows:
            found |= shown_by(rows[other], rows, (*on_the_way, row.id))
    return found


def faults(text: str) -> Iterator[str]:
    rows = read(text)
    known = {row.id: row for row in rows}
    yield from (f"{name} stands twice" for name, n in Counter(r.id for r in rows).items() if n > 1)
    yield from (
        f"{revision} has no rows"
        for revision in REVISIONS
        if not any(row.id.startswith(revision + "/") for row in rows)
    )
    for row in rows:
        if row.id.partition("/")[0] not in REVISIONS or row.level not in LEVELS or not row.what:
            yield f"{row.id} is no row of ours: {row.level!r}"
        if not shown_by(row, known):
            yield f"{row.id} names no test"
        yield from (f"{row.id} refers to {name}" for name in row.same if name not in known)
        yield from (
            f"{row.id} names {path}::{name}, which is not there"
            for path, name in row.tests
            if name not in names_in(path)
        )


def test_every_requirement_is_shown_by_tests_that_are_there() -> None:
    assert list(faults(TABLE)) == []


def test_the_table_is_read_whole() -> None:
    lines = re.findall(r"^\| (?:\d{4}-|extensions/).*$", TABLE, re.MULTILINE)
    assert len(read(TABLE)) == len(lines) > 200


GOOD = "`tests/docs/test_requirements.py::test_the_table_is_read_whole`"
BROKEN = {
    "no test": ("| 2026-07-28/X-1 | MUST | be | soon |", "names no test"),
    "a test that is gone": (
        "| 2026-07-28/X-1 | MUST | be | `tests/flows/test_auth.py::test_it` |",
        "which is not there",
    ),
    "a file that is gone": (
        "| 2026-07-28/X-1 | MUST | be | `tests/nowhere.py::test_it` |",
        "which is not there",
    ),
    "a row that is gone": ("| 2026-07-28/X-1 | MUST | be | as 2026-07-28/Y-9 |", "refers to"),
    "two rows that name each other": (
        "| 2026-07-28/X-1 | MUST | be | as 2026-07-28/X-2 |\n"
        "| 2026-07-28/X-2 | MUST | be | as 2026-07-28/X-1 |",
        "names no test",
    ),
    "an id twice": (f"| 2026-07-28/PKCE-1 | MUST | be | {GOOD} |", "stands twice"),
    "an unknown level": (f"| 2026-07-28/X-1 | OUGHT | be | {GOOD} |", "no row of ours"),
    "an unknown revision": (f"| 2024-11-05/X-1 | MUST | be | {GOOD} |", "no row of ours"),
}


@pytest.mark.parametrize(("more", "said"), BROKEN.values(), ids=BROKEN)
def test_a_row_that_shows_nothing_is_a_fault(more: str, said: str) -> None:
    assert [fault for fault in faults(f"{TABLE}\n{more}\n") if said in fault]


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_revision_without_rows_is_a_fault(revision: str) -> None:
    rest = "\n".join(line for line in TABLE.splitlines() if not line.startswith(f"| {revision}/"))
    assert f"{revision} has no rows" in list(faults(rest))
