"""JUnit XML, which the test pages of CI services read: a suite per server, a case per finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr


def junit(reports: Sequence[Mapping[str, Any]], *, strict: bool = False) -> str:
    """Errors are failures; with `strict`, warnings are too, otherwise text beside their case."""
    failing = ("error", "warning") if strict else ("error",)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    for report in reports:
        cases = [_case(each, failing) for each in report["findings"]]
        failed = sum(each["level"] in failing for each in report["findings"])
        name = quoteattr(report["server"] or "this machine")
        head = f'<testsuite name={name} tests="{len(cases)}" failures="{failed}">'
        lines += [head, *cases, "</testsuite>"]
    return "\n".join([*lines, "</testsuites>"])


def _case(finding: Mapping[str, Any], failing: Sequence[str]) -> str:
    head = f"<testcase classname={quoteattr(finding['check'])}"
    head += f" name={quoteattr(finding['requested'])}"
    if finding["level"] == "ok":
        return head + "/>"
    names = "came", "stumbles", "remedy", "paste", "standard"
    text = escape("\n".join(finding[name] for name in names if finding.get(name)))
    if finding["level"] in failing:
        came = quoteattr(finding["came"])
        body = f'<failure type="{finding["level"]}" message={came}>{text}</failure>'
    else:
        body = f"<system-out>{finding['level']}: {text}</system-out>"
    return f"{head}>{body}</testcase>"
