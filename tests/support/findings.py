"""What tests look up in a report of the doctor."""

from __future__ import annotations

from collections.abc import Callable

from mcp_client_auth.doctor import Finding, Report

Examine = Callable[..., Report]


def only(report: Report, check: str, level: str = "") -> Finding:
    """The one finding with this name, and with this level if one is given."""
    found = [f for f in report.findings if f.check == check and level in ("", f.level)]
    assert len(found) == 1, [(f.check, f.level, f.came) for f in report.findings]
    return found[0]
