"""Several examinations of the doctor as one run: formats, what has changed, and the exit code."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from .. import __version__
from ..errors import UsageError
from ..secret import quoted
from .answers import answers
from .report import exit_code_of, print_text

if TYPE_CHECKING:
    from ..doctor import Report

Told: TypeAlias = Mapping[str, Any]
TROUBLE: Final = ("warning", "error")
_MOST_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a run is shown and judged. `strict`: a warning fails it. `baseline`: the reports of an
    earlier run by server; what stands there does not count. `again`: seconds between two looks."""

    form: str = "text"
    strict: bool = False
    verbose: bool = False
    baseline: Mapping[str, Told] | None = None
    again: float | None = None

    def __post_init__(self) -> None:
        if answers.as_json and self.form not in ("text", "json"):
            raise UsageError(f"--json and --format {self.form} cannot be combined")
        if self.again is not None and (answers.as_json or self.form != "text"):
            raise UsageError("--watch prints text only")

    @property
    def as_json(self) -> bool:
        return answers.as_json or self.form == "json"


def run(examinations: Sequence[Callable[[], Report]], wanted: Wanted) -> int:
    """Examine one server after the other and print what came; gives the worst exit code."""
    code = 0
    reports: list[Report] = []
    told: list[Told] = []
    for examine in examinations:
        report = examine()
        reports.append(report)
        told.append(judged(report, wanted))
        if wanted.form == "text" and not wanted.as_json:
            if len(told) > 1:
                click.echo("")
            print_text(report, verbose=wanted.verbose)
            _print_changes(told[-1].get("changes"), "the baseline")
        code = max(code, told[-1]["exit_code"])
    if wanted.as_json:
        click.echo(json.dumps(_whole(told, code), indent=2))
    elif wanted.form != "text":
        click.echo(rendered(told, wanted).encode())
    if wanted.again is not None:
        _watch(examinations, told, wanted.again)
    return code


def judged(report: Report, wanted: Wanted) -> Told:
    """The report as JSON, with its exit code, and its changes where there is a baseline."""
    code = exit_code_of(report, strict=wanted.strict)
    told = report.as_json(code)
    if wanted.baseline is None:
        return told
    changes = changed(wanted.baseline.get(told["server"], {}), told)
    levels = {each["level"] for each in changes["new"]}
    counts = "error" in levels or (wanted.strict and "warning" in levels)
    return {**told, "exit_code": code if counts else 0, "changes": changes}


def changed(before: Told, after: Told) -> dict[str, list[Any]]:
    """Errors and warnings that are new or gone. Their words may change, and they stay the same."""
    was, now = _troubles(before), _troubles(after)
    return {
        "new": [each for key, each in now.items() if key not in was],
        "gone": [each for key, each in was.items() if key not in now],
    }


def _troubles(report: Told) -> dict[tuple[str, ...], Any]:
    names = "check", "fault", "requested", "level"
    found = [each for each in report.get("findings", ()) if each["level"] in TROUBLE]
    return {tuple(str(each.get(name, "")) for name in names): each for each in found}


def read_baseline(path: str) -> dict[str, Told]:
    """The reports of an earlier `--json` by server."""
    try:
        with open(path, "rb") as file:
            kept = json.loads(file.read(_MOST_BYTES))
        reports = kept.get("reports", [kept])
        return {str(each["server"]): each for each in reports if _troubles(each) is not None}
    except OSError as error:
        raise UsageError(f"cannot read the baseline: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise UsageError(
            f"{quoted(path, 200)} is not a report of the doctor",
            hint="Make one with --json",
        ) from None


def rendered(reports: Sequence[Told], wanted: Wanted) -> str:
    if wanted.form == "sarif":
        from ..doctor.formats.sarif import sarif

        return sarif(reports)
    if wanted.form == "html":
        from ..doctor.formats.html import html

        return html(reports, time.strftime("%Y-%m-%d %H:%M %Z"))
    if wanted.form == "junit":
        from ..doctor.formats.junit import junit

        return junit(reports, strict=wanted.strict)
    from ..doctor.formats.markdown import markdown

    return markdown(reports)


def schema() -> str:
    """The JSON schema of what `--json` prints."""
    from importlib.resources import files

    return files("mcp_client_auth.doctor").joinpath("report.schema.json").read_text("utf-8")


def _whole(reports: Sequence[Told], code: int) -> Told:
    if len(reports) == 1:
        return reports[0]
    head = {"version": 1, "mcp_client_auth": __version__, "exit_code": code}
    return {**head, "reports": list(reports)}


def _print_changes(changes: Told | None, since: str) -> None:
    if changes is None:
        return
    new, gone = len(changes["new"]), len(changes["gone"])
    click.echo(f"\nSince {since}: {new} new, {gone} gone")
    for line in _lines(changes):
        click.echo(line)


def _lines(changes: Told) -> Iterator[str]:
    for word in ("new", "gone"):
        for each in changes[word]:
            yield f"{word:<5}  {each['level']:<7}  {each['check']}: {each['came']}"


def _watch(
    examinations: Sequence[Callable[[], Report]], before: Sequence[Told], seconds: float
) -> None:
    """Look again and again, and print what has changed; Ctrl-C ends it."""
    before = list(before)
    while True:
        time.sleep(seconds)
        for at, examine in enumerate(examinations):
            report = examine()
            now = report.as_json(exit_code_of(report))
            changes = changed(before[at], now)
            sentence = now["verdict"]["sentence"]
            if any(changes.values()) or sentence != before[at]["verdict"]["sentence"]:
                click.echo(f"\n{time.strftime('%H:%M:%S')}  {now['server']}: {sentence}")
                for line in _lines(changes):
                    click.echo(line)
                sys.stdout.flush()
            before[at] = now
