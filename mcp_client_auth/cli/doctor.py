"""How `mcp-login doctor` prints its report: check by check, then a table; or as JSON.

The report is the answer, so it goes to stdout; what is being checked goes to stderr.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from .answers import answers
from .screen import screen

if TYPE_CHECKING:
    from ..doctor import Asked, Finding, Report

_MARKS: Final = {"ok": "ok", "note": "note", "warning": "WARNING", "error": "ERROR"}
_WIDEST, _NARROWEST, _BARE = 100, 40, 60
_LABELS: Final = {
    "requested": "requested",
    "came": "came back",
    "standard": "standard",
    "stumbles": "stumbles",
    "remedy": "remedy",
}


def run_doctor(asked: Asked, *, strict: bool) -> int:
    """Examine and print; gives the exit code."""
    from ..doctor import examine

    return printed(examine(asked, on_check=tell_check), strict=strict)


def tell_check(name: str) -> None:
    screen.remark(f"checking {name} …")


def printed(report: Report, *, strict: bool) -> int:
    """The report on stdout; gives the exit code."""
    code = exit_code_of(report, strict=strict)
    if answers.as_json:
        import json

        click.echo(json.dumps(report.as_json(code), indent=2))
        return code
    for line in lines(report, shutil.get_terminal_size((80, 24)).columns):
        click.echo(_encodable(line))
    return code


def exit_code_of(report: Report, *, strict: bool = False) -> int:
    """That of the error which a login would meet first; 1 for a warning where these count."""
    from .. import errors
    from . import code_of

    if report.worst == "error":
        return code_of(getattr(errors, report.error, errors.AuthError))
    return 1 if strict and report.worst == "warning" else 0


def lines(report: Report, width: int) -> Iterator[str]:
    """The whole report for a terminal of that width."""
    width = min(max(width, _NARROWEST), _WIDEST)
    for finding in report.findings:
        yield from _told(finding, width)
        yield ""
    yield from summary(report, width)


def summary(report: Report, width: int) -> Iterator[str]:
    """The table: a line for each finding, and how many there are of each level."""
    room = max(len(finding.check) for finding in report.findings)
    for finding in report.findings:
        yield from _row(finding, room, width)
    yield ""
    levels = [finding.level for finding in report.findings]
    counts = ", ".join(f"{levels.count(level)} {level}" for level in dict.fromkeys(levels))
    yield from textwrap.wrap(f"{report.server or 'This machine'}: {counts}", width)


def _told(finding: Finding, width: int) -> Iterator[str]:
    yield f"{_MARKS[finding.level]}: {finding.check}"
    for name, label in _LABELS.items():
        text = getattr(finding, name)
        if text:
            yield from _hanging(f"  {label:<9}  ", text, width)


def _row(finding: Finding, room: int, width: int) -> Iterator[str]:
    """Level, check and answer side by side; the answer below where the terminal is narrow."""
    head = f"{_MARKS[finding.level]:<7}  {finding.check:<{room}}"
    if width >= _BARE:
        yield from _hanging(head + "  ", finding.came, width)
        return
    yield head.rstrip()
    yield from _hanging("  ", finding.came, width)


def _hanging(head: str, text: str, width: int) -> list[str]:
    blank = " " * len(head)
    wrapped = textwrap.wrap(
        text, width, initial_indent=head, subsequent_indent=blank, break_on_hyphens=False
    )
    return wrapped or [head.rstrip()]


def _encodable(line: str) -> str:
    """The line with a question mark for what this terminal cannot show."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return line.encode(encoding, "replace").decode(encoding)
