"""Which tests run which lines, and how long each takes: made once for a room, kept in its file."""

from __future__ import annotations

import ast
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from tests.mutation.mutants import PACKAGE, ROOMS
from tests.support.python_path import ROOT

NODES: Final = "nodes"
LINES: Final = "lines"
SOURCE: Final = "source"


class _Noting:
    """A plugin of pytest: each test is a context of its own, whatever thread it works on."""

    def __init__(self, coverage: Any) -> None:
        self._coverage = coverage
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        began = time.process_time()
        done = yield
        self.seconds[item.nodeid] = time.process_time() - began
        self._coverage.switch_context("")
        return done

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:  # as it does without a mutant
            self.failed.add(report.nodeid)


def make(room: str, file: Path) -> None:
    """Run the tests of a room under coverage; in a process of its own."""
    from coverage import Coverage

    coverage = Coverage(
        data_file=None,
        include=[str(PACKAGE / pattern) for pattern in ROOMS[room][0]],
        branch=False,
        config_file=False,
    )
    noting = _Noting(coverage)
    coverage.start()
    places = [str(ROOT / "tests" / place) for place in ROOMS[room][1]]
    code = pytest.main(
        [*places, "-q", "-p", "no:cacheprovider", "-m", "not slow", "--no-header"],
        plugins=[noting],
    )
    coverage.stop()
    if code not in (0, 1):
        raise SystemExit(f"pytest ended with {code}")
    data = coverage.get_data()
    for node in noting.failed:
        noting.seconds.pop(node, None)
    numbers = {node: number for number, node in enumerate(noting.seconds)}
    lines: dict[str, dict[int, list[int]]] = defaultdict(dict)
    for measured in data.measured_files():
        name = Path(measured).relative_to(PACKAGE).as_posix()
        for line, contexts in data.contexts_by_lineno(measured).items():
            lines[name][line] = sorted(numbers[each] for each in contexts if each in numbers)
    nodes = [[node, round(seconds, 4)] for node, seconds in noting.seconds.items()]
    file.write_text(json.dumps({NODES: nodes, LINES: lines, SOURCE: source_of(room)}))


def source_of(room: str) -> str:
    """A digest of the files of a room: of others the lines are not known."""
    paths = sorted(path for pattern in ROOMS[room][0] for path in PACKAGE.glob(pattern))
    return sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def is_current(room: str, file: Path) -> bool:
    return file.exists() and json.loads(file.read_text()).get(SOURCE) == source_of(room)


@cache
def parsed(file: str) -> ast.Module:
    return ast.parse((PACKAGE / file).read_text("utf-8"))


def is_in_body(file: str, line: int) -> bool:
    """Whether a line is run when its function is: others are run once, in whatever test comes
    first."""
    return any(
        each.body[0].lineno <= line <= (each.end_lineno or line)
        for each in ast.walk(parsed(file))
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def defined(file: str) -> Iterator[tuple[str, range]]:
    """The names of constants, fields and functions of a file, and their lines."""
    for each in ast.walk(parsed(file)):
        match each:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name, range(each.lineno, (each.end_lineno or each.lineno) + 1)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, range(each.lineno, each.body[0].lineno)


class Map:
    """The tests of a line, those of the room itself first and the quick ones of these first."""

    def __init__(self, room: str, file: Path) -> None:
        read = json.loads(file.read_text())
        self._nodes: list[tuple[str, float]] = [(node, seconds) for node, seconds in read[NODES]]
        self._lines: dict[str, dict[str, list[int]]] = read[LINES]

    def tests(self, file: str, line: int, budget: float) -> tuple[list[str], float]:
        """Those of the line; of one that is run as its module is loaded the file's own, and those
        of what uses it, or all of the file, in more time. And their cost."""
        found, own = self._of(file, line) if is_in_body(file, line) else set(), set[int]()
        if not found:
            own, budget = self._own(file), 3 * budget
            found = own | (self._of_users(file, line) or self._of_file(file))
        chosen: list[str] = []
        cost = 0.0
        order = sorted(found, key=lambda n: (n not in own, not self._is_unit(n), self._cost(n)))
        for number in order:
            cost += self._cost(number)
            if chosen and cost > budget:
                break
            chosen.append(self._nodes[number][0])
        return chosen, cost

    def _of(self, file: str, line: int) -> set[int]:
        """Those of a line, or of the statement that it goes on with, which is above it."""
        known = self._lines.get(file, {})
        above = (str(each) for each in range(line, max(line - 8, 0), -1))
        return set(next((known[each] for each in above if each in known), []))

    def _of_users(self, file: str, line: int) -> set[int]:
        """Those of the lines of the room that use what this one defines."""
        names = {name for name, lines in defined(file) if line in lines}
        return {
            number
            for other in self._lines
            for each in ast.walk(parsed(other))
            if getattr(each, "attr", getattr(each, "id", "")) in names
            and is_in_body(other, each.lineno)  # type: ignore[attr-defined]
            for number in self._of(other, each.lineno)  # type: ignore[attr-defined]
        }

    def _of_file(self, file: str) -> set[int]:
        return {each for tests in self._lines.get(file, {}).values() for each in tests}

    def _own(self, file: str) -> set[int]:
        """Those of the file of unit tests that has its name."""
        place, _, name = file.rpartition("/")
        own = f"tests/unit/{place}/test_{name}::"
        return {each for each, (node, _) in enumerate(self._nodes) if node.startswith(own)}

    def _is_unit(self, number: int) -> bool:
        return self._nodes[number][0].startswith("tests/unit/")

    def _cost(self, number: int) -> float:
        return self._nodes[number][1]


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
