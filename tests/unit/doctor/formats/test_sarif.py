"""SARIF: its shape, and that a run of tomorrow knows the findings of today."""

from __future__ import annotations

import json
from typing import Any

import fastjsonschema
import pytest

from mcp_client_auth.doctor.formats.sarif import sarif
from tests.support.doctor_reports import URL, told
from tests.support.sarif_shape import SARIF

TOLD = dict(told())
KEEPS_TO_SARIF = fastjsonschema.compile(SARIF)


def made(*names: str) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(sarif([TOLD[name] for name in names]))
    KEEPS_TO_SARIF(log)
    return log


@pytest.mark.parametrize("name", TOLD)
def test_every_report_has_the_shape(name: str) -> None:
    (run,) = made(name)["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(rules) == len(set(rules))
    assert [rules[each["ruleIndex"]] for each in run["results"]] == [
        each["ruleId"] for each in run["results"]
    ]
    told = [f["level"] for f in TOLD[name]["findings"] if f["level"] != "ok"]
    assert [each["level"] for each in run["results"]] == told
    assert run["invocations"][0]["exitCode"] == TOLD[name]["exit_code"]


def test_several_servers_are_several_runs_with_ids_of_their_own() -> None:
    runs = made("broken", "this machine")["runs"]
    assert [run["automationDetails"]["id"] for run in runs] == [
        f"mcp-login doctor/{URL}/",
        "mcp-login doctor/this machine/",
    ]


def test_a_finding_stays_the_same_when_its_words_change() -> None:
    def prints(log: dict[str, Any]) -> list[str]:
        return [each["partialFingerprints"]["finding/v1"] for each in log["runs"][0]["results"]]

    first, second = prints(made("broken")), prints(made("hostile"))
    assert first == second
    assert len(set(first)) == 2  # an error and a warning are two findings


def test_the_message_has_the_remedy() -> None:
    (result,) = made("warned")["runs"][0]["results"]
    assert result["message"]["text"].split("\n") == [
        "resource is elsewhere",
        "Affects: clients that compare strings",
        f"Fix: Let resource be {URL}",
    ]
    assert result["properties"]["url"] == URL


def test_a_name_that_sarif_does_not_know_is_seen() -> None:
    log = made("warned")
    log["runs"][0]["results"][0]["severity"] = "high"
    with pytest.raises(fastjsonschema.JsonSchemaException, match="severity"):
        KEEPS_TO_SARIF(log)
