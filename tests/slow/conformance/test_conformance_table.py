"""The runner's table is the suite's, and the runner's judgement is stricter than the suite's."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.slow.conformance.run import judge
from tests.slow.conformance.scenarios import RUNS, SCENARIOS, Run, Scenario
from tests.slow.conformance.suite import Outcome, SuiteMissing, find_suite, install_line, listed

FINE = [{"id": "a", "status": "SUCCESS", "description": "did"}]
SUCCESS = {"error": "", "code": "", "message": ""}
REFUSED = {"error": "IssuerMismatch", "code": "issuer_mismatch", "message": "no"}
PLAIN = Run(Scenario("auth/x", "core", ("2026-07-28",)), "2026-07-28")
STRICT = Run(Scenario("auth/y", "draft", ("2026-07-28",), "IssuerMismatch"), "2026-07-28")


def outcome(**changes: Any) -> Outcome:
    fields = {"status": 0, "checks": FINE, "report": SUCCESS, "seconds": 0.1, "output": ""}
    return Outcome(**{**fields, **changes})


def test_the_table_has_56_runs_of_33_scenarios() -> None:
    assert len(SCENARIOS) == 33
    assert Counter(run.scenario.group for run in RUNS) == {
        "core": 31,
        "backcompat": 2,
        "draft": 11,
        "extension": 12,
    }


def test_the_table_is_the_one_that_the_installed_suite_lists() -> None:
    try:
        theirs = listed(find_suite())
    except SuiteMissing as missing:
        pytest.skip(str(missing))
    ours = {
        each.name: ("extension",) if each.group == "extension" else each.versions
        for each in SCENARIOS
    }
    assert ours == theirs


def test_a_run_passes_when_it_ends_as_the_table_says() -> None:
    assert judge(PLAIN, outcome()).passed
    assert judge(STRICT, outcome(report=REFUSED)).passed


@pytest.mark.parametrize(
    ("run", "changes", "reason"),
    [
        (PLAIN, {"status": None, "checks": None, "report": None}, "killed"),
        (PLAIN, {"checks": None, "output": "one\nboom"}, "boom"),
        (PLAIN, {"checks": []}, "no check"),
        (PLAIN, {"checks": [*FINE, {**FINE[0], "status": "FAILURE"}]}, "a: did"),
        (PLAIN, {"checks": [*FINE, {**FINE[0], "status": "WARNING"}]}, "a: did"),
        (PLAIN, {"report": None}, "no report"),
        (PLAIN, {"status": 1}, "status 1"),
        (PLAIN, {"report": REFUSED}, "ended in IssuerMismatch"),
        (STRICT, {}, "ended in success, wanted IssuerMismatch"),
        (STRICT, {"report": {**REFUSED, "error": "Untrusted"}}, "ended in Untrusted"),
    ],
)
def test_a_run_that_ends_otherwise_fails(run: Run, changes: dict[str, Any], reason: str) -> None:
    assert reason in judge(run, outcome(**changes)).reason


def test_the_install_line_pins_every_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MCP_CLIENT_AUTH_NODE_MODULES", raising=False)
    words = install_line().split()
    packages = words[words.index(".") + 1 :]
    assert packages
    assert all(package.rpartition("@")[2][0].isdigit() for package in packages)
