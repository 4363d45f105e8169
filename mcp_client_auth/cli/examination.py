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
from ..secret import clean, quoted
from .answers import answers
from .report import exit_code_of, print_text

if TYPE_CHECKING:
    from ..doctor import Report

Json: TypeAlias = Mapping[str, Any]
TROUBLE: Final = ("warning", "error")
_MOST_BYTES: Final = 32 * 1024 * 1024
_LONGEST: Final = 700  # more than a finding has


@dataclass(frozen=True, slots=True)
class Reporting:
    """How a run is shown and judged. `strict`: a warning fails it. `baseline`: the reports of an
    earlier run by server; what stands there does not count. `again`: seconds between two looks."""

    form: str = "text"
    strict: bool = False
    verbose: bool = False
    baseline: Mapping[str, Json] | None = None
    again: float | None = None

    def __post_init__(self) -> None:
        if answers.as_json and self.form not in ("text", "json"):
            raise UsageError(f"--json and --format {self.form} cannot be combined")
        if self.again is not None and (answers.as_json or self.form != "text"):
            raise UsageError("--watch prints text only")

    @property
    def as_json(self) -> bool:
        return answers.as_json or self.form == "json"


def run(examinations: Sequence[Callable[[], Report]], reporting: Reporting) -> int:
    """Examine one server after the other, print the reports, and return the worst exit code."""
    code = 0
    documents: list[Json] = []
    for examine in examinations:
        report = examine()
        documents.append(judged(report, reporting))
        if reporting.form == "text" and not reporting.as_json:
            if len(documents) > 1:
                click.echo("")
            print_text(report, verbose=reporting.verbose)
            _print_changes(documents[-1].get("changes"), "the baseline")
        code = max(code, documents[-1]["exit_code"])
    if reporting.as_json:
        click.echo(json.dumps(_whole(documents, code), indent=2))
    elif reporting.form != "text":
        click.echo(rendered(documents, reporting).encode())
    if reporting.again is not None:
        _watch(examinations, documents, reporting.again)
    return code


def judged(report: Report, reporting: Reporting) -> Json:
    """The report as JSON, with its exit code, and its changes where there is a baseline."""
    code = exit_code_of(report, strict=reporting.strict)
    document = report.as_json(code)
    if reporting.baseline is None:
        return document
    changes = changed(reporting.baseline.get(document["server"], {}), document)
    levels = {each["level"] for each in changes["new"]}
    counts = "error" in levels or (reporting.strict and "warning" in levels)
    return {**document, "exit_code": code if counts else 0, "changes": changes}


def changed(before: Json, after: Json) -> dict[str, list[Any]]:
    """Return errors and warnings that are new or gone; one that is only reworded is neither."""
    was, now = _troubles(before), _troubles(after)
    return {
        "new": [each for key, each in now.items() if key not in was],
        "gone": [each for key, each in was.items() if key not in now],
    }


def _troubles(report: Json) -> dict[tuple[str, ...], Any]:
    names = "check", "fault", "requested", "level"
    found = [each for each in report.get("findings", ()) if each["level"] in TROUBLE]
    return {tuple(str(each.get(name, "")) for name in names): each for each in found}


def read_baseline(path: str) -> dict[str, Json]:
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


def rendered(reports: Sequence[Json], reporting: Reporting) -> str:
    if reporting.form == "sarif":
        from ..doctor.formats.sarif import sarif

        return sarif(reports)
    if reporting.form == "html":
        from ..doctor.formats.html import html

        return html(reports, time.strftime("%Y-%m-%d %H:%M %Z"))
    if reporting.form == "junit":
        from ..doctor.formats.junit import junit

        return junit(reports, strict=reporting.strict)
    from ..doctor.formats.markdown import markdown

    return markdown(reports)


def schema() -> str:
    """The JSON schema of what `--json` prints."""
    from importlib.resources import files

    return files("mcp_client_auth.doctor").joinpath("report.schema.json").read_text("utf-8")


def _whole(reports: Sequence[Json], code: int) -> Json:
    if len(reports) == 1:
        return reports[0]
    head = {"version": 1, "mcp_client_auth": __version__, "exit_code": code}
    return {**head, "reports": list(reports)}


def _print_changes(changes: Json | None, since: str) -> None:
    if changes is None:
        return
    new, gone = len(changes["new"]), len(changes["gone"])
    click.echo(f"\nSince {since}: {new} new, {gone} gone")
    for line in _lines(changes):
        click.echo(line)


def _lines(changes: Json) -> Iterator[str]:
    for word in ("new", "gone"):
        for each in changes[word]:  # what is gone may come from a file
            what = f"{each.get('check', '')}: {each.get('came', '')}"
            yield f"{word:<5}  {each['level']:<7}  {clean(what, _LONGEST)}"


def _watch(
    examinations: Sequence[Callable[[], Report]], before: Sequence[Json], seconds: float
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
