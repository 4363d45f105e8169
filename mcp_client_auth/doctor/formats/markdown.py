"""Markdown for an issue, a pull request, or the summary of a CI job."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_ACTIVE: Final = re.compile(r"([\\`*_\[\]!|~])")
_MENTION: Final = re.compile(r"([@#])(?=\w)")
_VERDICTS: Final = {"works": "works", "setup": "needs a client id", "unknown": "not known"}


def markdown(reports: Sequence[Mapping[str, Any]]) -> str:
    return "\n\n".join(_report(report) for report in reports)


def _report(report: Mapping[str, Any]) -> str:
    verdict = report["verdict"]
    lines = [f"## {plain(report['server'] or 'This machine')}", "", plain(verdict["sentence"])]
    if verdict["change"]:
        lines += ["", f"**Fix:** {plain(verdict['change'])}"]
    wrong = [each for each in report["findings"] if each["level"] in ("error", "warning")]
    wrong = [each for each in wrong if not each["check"].startswith("client.")]
    for each in sorted(wrong, key=lambda finding: str(finding["level"])):
        lines += ["", f"- **{each['level']}** `{each['check']}`: {plain(each['came'])}"]
        if each["stumbles"]:
            lines += [f"  - Affects: {plain(each['stumbles'])}"]
        if each["remedy"]:
            lines += [f"  - Fix: {plain(each['remedy'])}"]
        if each.get("paste"):
            lines += ["", *(f"        {line}" for line in each["paste"].split("\n"))]
    if report.get("clients"):
        lines += ["", "| client | verdict | why | fix |", "|---|---|---|---|"]
    for client in report.get("clients") or ():
        word = _VERDICTS.get(client["verdict"]) or f"fails at step {client['step']}"
        cells = client["name"], word, client["because"], "; ".join(client["remedies"])
        lines.append("| " + " | ".join(map(plain, cells)) + " |")
    return "\n".join(lines)


def plain(text: str) -> str:
    """Return a server's words as plain text: they become no markup, image or mention. A URL in
    them may become a link, which leads where it says."""
    text = (
        _ACTIVE.sub(r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    )
    return _MENTION.sub("\\1\u200b", text)  # services look for mentions in the rendered text
