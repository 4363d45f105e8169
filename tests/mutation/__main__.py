"""How many small mistakes in the source do the tests see?

    nice python -m tests.mutation run [--number 1000] [--first 150] [--again] [--state DIRECTORY]
    python -m tests.mutation report [--state DIRECTORY]
    python -m tests.mutation show KEY
    python -m tests.mutation keep [--state DIRECTORY]

A sample is drawn with a fixed seed, equally over the rooms. Each mutant is tried in a fork of a
process that has loaded everything but the package, by the tests that run its line: those of the
room first; a storage that hosts share also at real engines. What came of it is appended to a file
of the state directory, so that a run goes on where the one before has ended. `--again` tries those
once more that had survived, by more tests; delete the map of a room whose tests have changed. What
cannot be seen from outside stands in `equivalent.txt`, one by one with the reason. `keep` writes
what came of all into `tried.jsonl`, from where any machine goes on; delete that to try each afresh.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Final

from tests.mutation.coverage_map import Map, is_current
from tests.mutation.mutants import Mutant, drawn
from tests.mutation.trial import Outcome, tried, warm

EQUIVALENT: Final = Path(__file__).with_name("equivalent.txt")
TRIED: Final = Path(__file__).with_name("tried.jsonl")
SEEN: Final = ("killed", "too slow")
_BUDGET: Final = 10.0  # seconds of tests for one mutant
_AGAIN: Final = 100.0  # the same for one that has survived these: nearly all that run its line
# What of the source only a real engine can judge, and the tests that start one if it is installed.
_AT_ENGINES: Final = {f"storage/{each}.py" for each in ("leases", "postgres", "records", "redis")}
_AT_ENGINES.add("storage/shared.py")
_ENGINES: Final = [f"tests/slow/fleet/test_{name}.py" for name in ("laws", "hung", "replicas")]
_AT_ENGINES_SECONDS: Final = 90.0


def maps(state: Path, rooms: set[str]) -> dict[str, Map]:
    """Those of the source as it is; the others are made."""
    made = {}
    for room in rooms:
        file = state / f"map-{room}.json"
        if not is_current(room, file):
            print(f"making the map of {room}", flush=True)
            each = [sys.executable, "-m", "tests.mutation.coverage_map", room, str(file)]
            subprocess.run(each, check=True, stdout=subprocess.DEVNULL)
        made[room] = Map(room, file)
    return made


def results(state: Path) -> dict[str, dict[str, Any]]:
    """The last one of each mutant, by its key: those that are kept, and those of the state."""
    file = state / "results.jsonl"
    kept = [
        {"key": key, "outcome": outcome, "by": by}
        for key, outcome, by in map(json.loads, TRIED.read_text("utf-8").splitlines())
    ]
    lines = file.read_text().splitlines() if file.exists() else []
    return {each["key"]: each for each in [*kept, *map(json.loads, lines)]}


def keep(sample: list[Mutant], state: Path) -> None:
    known = results(state)
    rows = [known[each.key] for each in sample if each.key in known]
    lines = sorted(json.dumps([each["key"], each["outcome"], each["by"]]) + "\n" for each in rows)
    TRIED.write_text("".join(lines), "utf-8")


def equivalent() -> dict[str, str]:
    """The reasons by key: `KEY | NAME | REASON`, a line each."""
    lines = EQUIVALENT.read_text("utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if line and not line.startswith("#")]
    return {key: reason for key, _, reason in rows}


def run(sample: list[Mutant], state: Path, minutes: float, *, again: bool) -> None:
    state.mkdir(parents=True, exist_ok=True)
    known, harmless, until = results(state), equivalent(), time.monotonic() + minutes * 60
    left = [each for each in sample if each.key not in known]
    if again:
        survived = {key for key, each in known.items() if each["outcome"] not in SEEN}
        left = [each for each in sample if each.key in survived - harmless.keys()]
    if not left:
        return
    where = maps(state, {each.room for each in left})
    warm()
    broken: set[str] = set()
    good: set[str] = set()
    for number, mutant in enumerate(left, 1):
        if time.monotonic() > until:
            break
        tests = where[mutant.room].tests(mutant.file, mutant.line, _AGAIN if again else _BUDGET)
        outcome = trial(mutant, *tests, broken, good)
        entry = {
            "key": mutant.key,
            "room": mutant.room,
            "name": mutant.name,
            "line": mutant.line,
            **outcome._asdict(),
        }
        with (state / "results.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        print(f"{number}/{len(left)} {outcome.outcome:9} {mutant.name[:150]}", flush=True)


def trial(
    mutant: Mutant, tests: list[str], cost: float, broken: set[str], good: set[str]
) -> Outcome:
    """By the tests of its line, then, where these do not see it, by those at real engines."""
    outcome = confirmed(mutant, tests, 20 + 5 * cost, broken, good)
    if outcome.outcome in SEEN or mutant.file not in _AT_ENGINES:
        return outcome
    return confirmed(mutant, _ENGINES, _AT_ENGINES_SECONDS, broken, good)


def confirmed(
    mutant: Mutant, tests: list[str], seconds: float, broken: set[str], good: set[str]
) -> Outcome:
    """A test that fails without the mutant, too, kills none."""
    while True:
        outcome = tried(mutant, [each for each in tests if each not in broken], seconds)
        if outcome.outcome != "killed" or "::" not in outcome.by or outcome.by in good:
            return outcome
        if tried(None, [outcome.by], seconds).outcome == "survived":
            good.add(outcome.by)
            return outcome
        broken.add(outcome.by)


def report(sample: list[Mutant], state: Path) -> int:
    known, harmless = results(state), equivalent()
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    survivors = []
    for mutant in sample:
        entry = known.get(mutant.key)
        outcome = entry["outcome"] if entry else "left"
        if mutant.key in harmless:
            outcome = "equivalent"
        rooms[mutant.room][outcome] += 1
        if outcome not in (*SEEN, "left", "equivalent"):
            survivors.append(f"{mutant.key} {outcome} {mutant.file}:{mutant.line} {mutant.name}")
    total: Counter[str] = sum(rooms.values(), Counter())
    for room, counted in [*rooms.items(), ("all", total)]:
        seen, judged = (sum(counted[each] for each in SEEN), counted.total() - counted["left"])
        share = 100 * seen / max(judged - counted["equivalent"], 1)
        print(f"{room:10} {share:5.1f} % killed of {judged}: {dict(counted)}")
    print(*survivors, sep="\n")
    return 1 if survivors else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("verb", choices=("run", "report", "show", "keep"))
    parser.add_argument("key", nargs="?")
    parser.add_argument("--number", type=int, default=1000, help="mutants in the sample")
    parser.add_argument("--first", type=int, default=1000, help="try the first of these only")
    parser.add_argument("--minutes", type=float, default=240)
    parser.add_argument("--again", action="store_true", help="those that survived, once more")
    parser.add_argument("--state", type=Path, default=Path(tempfile.gettempdir(), "mcp-mutation"))
    wanted = parser.parse_args()
    sample = drawn(wanted.number)[: wanted.first]
    if wanted.verb == "run":
        os.environ.pop("CI", None)
        run(sample, wanted.state, wanted.minutes, again=wanted.again)
    if wanted.verb == "keep":
        keep(sample, wanted.state)
    if wanted.verb == "show":
        found = next(each for each in drawn(wanted.number) if each.key.startswith(wanted.key))
        print(found.name, f"{found.file}:{found.line}", results(wanted.state).get(found.key))
        return 0
    return report(sample, wanted.state)


if __name__ == "__main__":
    sys.exit(main())
