"""How a report of the doctor is printed: check by check, then a table; or as JSON.

The report is the answer, so it goes to stdout; what is being checked goes to stderr.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from .. import errors
from ..environment import page_width
from ..prompt.screen import screen
from . import exit_code
from .answers import answers
from .other_clients import client_lines

if TYPE_CHECKING:
    from ..doctor import Report

_MARKS: Final = {"ok": "ok", "note": "note", "warning": "WARNING", "error": "ERROR"}
_WIDEST, _NARROWEST, _BARE = 100, 40, 60
_LABELS: Final = {
    "requested": "sent",
    "came": "got",
    "standard": "standard",
    "stumbles": "affects",
    "remedy": "remedy",
}


def tell_check(name: str) -> None:
    screen.remark(f"checking {name} …")


def print_report(report: Report, *, strict: bool) -> int:
    """The report on stdout; gives the exit code."""
    code = exit_code_of(report, strict=strict)
    if answers.as_json:
        import json

        click.echo(json.dumps(report.as_json(code), indent=2))
        return code
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    for line in lines(report, page_width()):
        click.echo(line.encode(encoding, "replace").decode(encoding))
    for line in client_lines(report.clients, min(page_width(), _WIDEST)):
        click.echo(line.encode(encoding, "replace").decode(encoding))
    return code


def exit_code_of(report: Report, *, strict: bool = False) -> int:
    """That of the error which a login would meet first; 1 for a warning where these count."""
    if report.worst == "error":
        return exit_code(getattr(errors, report.error, errors.AuthError))
    return 1 if strict and report.worst == "warning" else 0


def lines(report: Report, width: int) -> Iterator[str]:
    """The whole report for a terminal of that width."""
    width = min(max(width, _NARROWEST), _WIDEST)
    for finding in report.findings:
        yield f"{_MARKS[finding.level]}: {finding.check}"
        for name, label in _LABELS.items():
            if text := getattr(finding, name):
                yield from _hanging(f"  {label:<8}  ", text, width)
        yield ""
    yield from summary(report, width)


def summary(report: Report, width: int) -> Iterator[str]:
    """The table: level, check and answer of each finding, and how many there are of each level.

    The answer stands below where the terminal is narrow.
    """
    room = max(len(finding.check) for finding in report.findings)
    for finding in report.findings:
        head = f"{_MARKS[finding.level]:<7}  {finding.check:<{room}}"
        if width < _BARE:
            yield head.rstrip()
        yield from _hanging("  " if width < _BARE else head + "  ", finding.came, width)
    yield ""
    levels = [finding.level for finding in report.findings]
    counts = ", ".join(f"{levels.count(level)} {level}" for level in dict.fromkeys(levels))
    yield from textwrap.wrap(f"{report.server or 'This machine'}: {counts}", width)


def _hanging(head: str, text: str, width: int) -> list[str]:
    blank = " " * len(head)
    wrapped = textwrap.wrap(
        text, width, initial_indent=head, subsequent_indent=blank, break_on_hyphens=False
    )
    return wrapped or [head.rstrip()]
