"""SARIF 2.1.0 (OASIS), which code scanning services show beside the code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_NAME: Final = "mcp-login doctor"
# The report itself, where there is no file: services want a place in the repository to show it at.
_PLACE: Final = "mcp-login-doctor"


def sarif(reports: Sequence[Mapping[str, Any]]) -> str:
    """Return one run per server, with an id of its own, so that one upload can hold several."""
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(each) for each in reports]}
    return json.dumps(log, indent=2)


def _run(report: Mapping[str, Any]) -> dict[str, Any]:
    found = [each for each in report["findings"] if each["level"] != "ok"]
    rules = list(dict.fromkeys(each["check"] for each in found))
    standards = {each["check"]: each["standard"] for each in reversed(found)}
    return {
        "tool": {
            "driver": {
                "name": _NAME,
                "semanticVersion": report["mcp_client_auth"],
                "rules": [_rule(check, standards[check]) for check in rules],
            }
        },
        "automationDetails": {"id": f"{_NAME}/{report['server'] or 'this machine'}/"},
        "invocations": [{"executionSuccessful": True, "exitCode": report["exit_code"]}],
        "results": [_result(each, rules.index(each["check"]), report["server"]) for each in found],
    }


def _rule(check: str, standard: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": check, "shortDescription": {"text": standard or check}}
    return {**rule, "help": {"text": standard}} if standard else rule


def _result(finding: Mapping[str, Any], index: int, server: str) -> dict[str, Any]:
    where = finding.get("where") or server
    texts = [finding["came"], f"Affects: {finding['stumbles']}" if finding["stumbles"] else ""]
    texts += [f"Fix: {finding['remedy']}" if finding["remedy"] else "", finding.get("paste", "")]
    names = "requested", "standard", "error", "fault"
    properties = {name: finding[name] for name in names if finding.get(name)}
    if where:
        properties["url"] = where
    # without `came`, which may contain a time or a count: it is the same finding tomorrow
    same = "\n".join([server, finding["check"], finding["requested"], finding["level"]])
    place = {"artifactLocation": {"uri": _PLACE}, "region": {"startLine": 1}}
    return {
        "ruleId": finding["check"],
        "ruleIndex": index,
        "level": finding["level"],
        "message": {"text": "\n".join(filter(None, texts))},
        "locations": [
            {
                "physicalLocation": place,
                "logicalLocations": [{"fullyQualifiedName": where or "this machine"}],
            }
        ],
        "partialFingerprints": {"finding/v1": sha256(same.encode()).hexdigest()},
        "properties": properties,
    }
