"""Runs the official MCP conformance suite, client authorization part, over `client.py`.

    python -m tests.slow.conformance.run --groups core,backcompat,draft

`--bridge` puts `mcp-login bridge` between a client over stdio and the suite, and adds the suite's
scenarios of the transport.

Every run is its own process with its own time limit. What is not in `--groups` is run and
reported as well; only a required run that failed makes the exit status 1.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.slow.conformance.scenarios import BRIDGED_RUNS, GROUPS, RUNS, Run
from tests.slow.conformance.suite import (
    CLIENT_TIME_LIMIT,
    TIME_LIMIT,
    Outcome,
    SuiteMissing,
    find_suite,
    perform,
)
from tests.support.python_path import ROOT, search_path

CLIENT = Path(__file__).with_name("client.py")
BRIDGED = CLIENT.with_name("bridged.py")
BRIDGED_SDK = CLIENT.with_name("bridged_sdk.py")
_BAD = ("FAILURE", "WARNING")
_REASON = 160


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is empty when the run passed."""

    run: Run
    reason: str
    seconds: float
    output: str = ""

    @property
    def passed(self) -> bool:
        return not self.reason


def judge(run: Run, outcome: Outcome) -> Verdict:
    """Stricter than the suite: a warning fails, an empty run fails, a wrong error fails."""
    reason = _ended_badly(outcome) or _checks_failed(outcome) or _wrong_ending(run, outcome)
    return Verdict(run, reason[:_REASON], outcome.seconds, outcome.output)


def _ended_badly(outcome: Outcome) -> str:
    if outcome.status is None:
        return f"killed: no end within {TIME_LIMIT:.0f} s"
    if outcome.checks is None:
        last = (outcome.output.strip().splitlines() or ["it said nothing"])[-1]
        return f"the suite left no checks.json: {last}"
    return ""


def _checks_failed(outcome: Outcome) -> str:
    checks = outcome.checks or []
    bad = [each for each in checks if each.get("status") in _BAD]
    if bad:
        # A check that throws tells more in errorMessage, one that never ran in description.
        return "; ".join(
            f"{each['id']}: {each.get('errorMessage') or each['description']}" for each in bad
        )
    if not any(each.get("status") == "SUCCESS" for each in checks):
        return "no check was made"
    return ""


def _wrong_ending(run: Run, outcome: Outcome) -> str:
    wanted = run.scenario.ends_in
    if outcome.report is None:
        return f"the client left no report; it may have hung for {CLIENT_TIME_LIMIT:.0f} s"
    ended = outcome.report.get("error", "")
    if ended != wanted:
        return f"ended in {_told(outcome.report)}, wanted {wanted or 'success'}"
    if outcome.status != 0:
        return f"the suite ended with status {outcome.status}"
    return ""


def _told(report: dict[str, str]) -> str:
    if not report.get("error"):
        return "success"
    return f"{report['error']} [{report.get('code', '')}] {report.get('message', '')}".rstrip()


def show(verdicts: Sequence[Verdict], required: Sequence[str]) -> None:
    width = max(len(each.run.scenario.name) for each in verdicts)
    for each in verdicts:
        group = each.run.scenario.group
        mark = group if group in required else f"({group})"
        result = "passed" if each.passed else "FAILED"
        print(
            f"{each.run.scenario.name:<{width}}  {each.run.version}  {mark:<11}  {result}"
            f"  {each.seconds:4.1f} s  {each.reason}".rstrip()
        )


def _counts(verdicts: Sequence[Verdict]) -> str:
    passed = sum(each.passed for each in verdicts)
    return f"{passed} passed, {len(verdicts) - passed} failed"


def _groups(text: str) -> list[str]:
    groups = [name for name in text.split(",") if name]
    unknown = set(groups) - set(GROUPS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no such group: {', '.join(sorted(unknown))}")
    return groups


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.slow.conformance.run", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--groups", type=_groups, help="must pass (core,backcompat; bridged: all)")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--only", default="", metavar="TEXT", help="runs whose name contains it")
    parser.add_argument("--http", choices=("httpx", "httpx2"), default="httpx", help="under test")
    parser.add_argument("--command", help="another client than client.py")
    parser.add_argument("--bridge", action="store_true", help="the command between, over stdio")
    parser.add_argument("--show", action="store_true", help="the output of each failed run")
    parser.add_argument("--list", action="store_true", help="name the runs, run nothing")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every required run passed, 1 when one failed, 2 when nothing could be run."""
    options = _options(arguments)
    every = BRIDGED_RUNS if options.bridge else RUNS
    runs = [run for run in every if options.only in run.label]
    if options.list:
        print("\n".join(f"{run.label} {run.scenario.group}" for run in runs))
        return 0
    try:
        suite = find_suite()
    except SuiteMissing as missing:
        print(missing, file=sys.stderr)
        return 2
    if not runs:
        print(f"no run is named like {options.only!r}", file=sys.stderr)
        return 2
    environment = {"MCP_CONFORMANCE_HTTP": options.http, "PYTHONPATH": search_path(ROOT)}

    def judged(run: Run) -> Verdict:
        command = options.command or shlex.join([sys.executable, str(client_for(run, options))])
        return judge(run, perform(suite, run, command, environment))

    with ThreadPoolExecutor(options.jobs) as pool:
        verdicts = list(pool.map(judged, runs))
    return _close(verdicts, options.groups or _usual(options), options.show)


def _usual(options: argparse.Namespace) -> Sequence[str]:
    return GROUPS if options.bridge else ("core", "backcompat")


def client_for(run: Run, options: argparse.Namespace) -> Path:
    if run.scenario.group == "transport":
        return BRIDGED_SDK
    return BRIDGED if options.bridge else CLIENT


def _close(verdicts: Sequence[Verdict], groups: Sequence[str], with_output: bool) -> int:
    show(verdicts, groups)
    for each in verdicts:
        if with_output and not each.passed:
            print(f"\n--- {each.run.label}\n{each.output.strip()}")
    required = [each for each in verdicts if each.run.scenario.group in groups]
    others = [each for each in verdicts if each.run.scenario.group not in groups]
    print()
    if others:
        print(f"reported only: {_counts(others)}")
    print(_counts(required))
    return 0 if all(each.passed for each in required) else 1


if __name__ == "__main__":
    sys.exit(main())
