"""How a report of the doctor is printed: the verdict, what is wrong, a line for what is well; or
everything in full; or as JSON.

The report is the answer, so it goes to stdout; what is being checked goes to stderr.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import click

from .. import errors
from ..environment import has_colours, page_width
from ..prompt.screen import Meaning, screen, tinted
from . import exit_code
from .answers import answers
from .other_clients import client_lines

if TYPE_CHECKING:
    from ..doctor import Finding, Report

_MARKS: Final = {"ok": "ok", "note": "note", "warning": "WARNING", "error": "ERROR"}
_MEANINGS: Final[dict[str, Meaning]] = {
    "ERROR": "error",
    "FAILS": "error",
    "WARNING": "warning",
    "Fix": "hint",
}
_WIDEST, _NARROWEST = 100, 40
_SCREEN: Final = 24  # lines of a terminal, of which the prompt takes one
_MOST_LINES: Final = 4  # for what is well of one room
_LABELS: Final = {
    "requested": "sent",
    "came": "got",
    "standard": "standard",
    "stumbles": "affects",
    "remedy": "fix",
}
# What is well of a room stands together, but for those whose findings have a line each.
_ROOMS: Final = {
    "challenge": "no token",
    "resource": "resource",
    "issuer": "issuer",
    "registration": "registration",
    "trial": "trial client",
    "cors": "browsers",
    "tls": "TLS",
    "network": "addresses",
    "login": "stored login",
    "person": "login",
    "local": "this machine",
    "document": "document",
}
_LABEL: Final = 13
_UNPROVEN: Final = "Read from a host whose certificate is not trusted, so it proves nothing"


def telling_checks() -> Callable[[str], None]:
    """Return a function that names each check as it begins, but once for several in a row."""
    last = ""

    def tell(name: str) -> None:
        nonlocal last
        if name != last:
            last = name
            screen.remark(f"checking {name} …")

    return tell


def print_report(report: Report, *, strict: bool, verbose: bool = False) -> int:
    """Print the report on stdout and return the exit code."""
    code = exit_code_of(report, strict=strict)
    if answers.as_json:
        import json

        click.echo(json.dumps(report.as_json(code), indent=2))
        return code
    print_text(report, verbose=verbose)
    return code


def print_text(report: Report, *, verbose: bool = False) -> None:
    """The report for people, on stdout."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    coloured = has_colours(sys.stdout)
    of_clients = client_lines(report.clients, min(page_width(), _WIDEST), verbose=verbose)
    for line in (*lines(report, page_width(), verbose=verbose), *of_clients):
        shown = line.encode(encoding, "replace").decode(encoding)
        click.echo(_first_word_tinted(shown), color=coloured)


def _first_word_tinted(line: str) -> str:
    word = line.partition(" ")[0].rstrip(":")
    return tinted(word, _MEANINGS[word]) + line[len(word) :] if word in _MEANINGS else line


def exit_code_of(report: Report, *, strict: bool = False) -> int:
    """Return the code of the error that a login ends with; 1 for a warning if `strict`."""
    if report.caused_by is not None:
        return exit_code(getattr(errors, report.error, errors.AuthError))
    return 1 if strict and report.worst == "warning" else 0


def lines(report: Report, width: int, *, verbose: bool = False) -> Iterator[str]:
    """The whole report for a terminal of that width; `verbose`: every finding in full."""
    width = min(max(width, _NARROWEST), _WIDEST)
    cause = report.caused_by
    yield from _wrapped(report.server, width) if report.server else ()
    yield from _wrapped(report.verdict.sentence, width)
    if cause is not None:
        yield from _hanging("Fix: ", cause.remedy, width) if cause.remedy else ()
        yield from _pasted(cause.paste, "  ", width)
    if verbose:
        for finding in _ours(report):
            yield ""
            yield from _in_full(finding, width)
        return
    if report.verdict.login == "not-required" and report.worst in ("ok", "note"):
        return
    wrong = [cause] if cause is not None else []
    for level in ("error", "warning"):
        wrong += [f for f in _ours(report) if f.level == level and f is not cause]
    yield from _troubles(report, wrong, width)
    well = list(_well(report, width))
    notes = list(_notes(report, width))
    room = _SCREEN - 1 - (2 + len(_wrapped(report.verdict.sentence, width))) - len(well)
    if not wrong and len(notes) > room:
        more = len(notes) - max(room - 1, 0)
        notes = [*notes[: len(notes) - more], f"note     {more} more with --verbose"]
    yield ""
    yield from well
    yield from notes


def _ours(report: Report) -> list[Finding]:
    """All but what other clients would meet, which has a table of its own."""
    return [finding for finding in report.findings if not finding.check.startswith("client.")]


def _troubles(report: Report, wrong: list[Finding], width: int) -> Iterator[str]:
    """Each with its remedy, what is the cause first. All are named on the first screen."""
    blocks = [list(_block(f, width, is_cause=f is report.caused_by)) for f in wrong]
    if sum(len(block) + 1 for block in blocks) > _SCREEN - 5 and len(blocks) > 2:
        yield ""
        for finding in wrong:
            head = f"{_MARKS[finding.level]:<7}  "
            yield _cut(head + finding.came, width)
    for block in blocks:
        yield ""
        yield from block


def _block(finding: Finding, width: int, *, is_cause: bool) -> Iterator[str]:
    head = f"{_MARKS[finding.level]:<7}  "
    blank = " " * len(head)
    yield from _hanging(head, f"{finding.came} [{finding.check}]", width)
    if finding.requested and finding.requested not in finding.came:
        yield from _hanging(f"{blank}sent     ", finding.requested, width)
    if finding.stumbles:
        yield from _hanging(f"{blank}affects  ", finding.stumbles, width)
    if finding.remedy and not is_cause:
        yield from _hanging(f"{blank}fix      ", finding.remedy, width)
        yield from _pasted(finding.paste, blank + " " * 9, width)
    if finding.unproven:
        yield from _hanging(blank, _UNPROVEN, width)


def _well(report: Report, width: int) -> Iterator[str]:
    """One line for each thing that is well; endpoints with their URLs."""
    rooms: dict[str, list[str]] = {}
    for finding in _ours(report):
        room = finding.check.partition(".")[0]
        quiet = finding.level == "ok" or (room == "local" and finding.level == "note")
        if not quiet or finding.check == "local.clock":  # a clock that is right is no news
            continue
        if room == "endpoint":
            room = finding.check.partition(".")[2].replace("_", " ")
        texts = rooms.setdefault(room, [])
        if finding.came not in texts:
            texts.append(finding.came)
    for room, texts in rooms.items():
        head = f"ok       {_ROOMS.get(room, room):<{_LABEL}}  "
        most = _MOST_LINES if room == "issuer" else 2
        found = _hanging(head, "; ".join(texts), width)
        if len(found) > most:
            found = [*found[: most - 1], _cut(found[most - 1] + " …", width)]
        yield from found


def _notes(report: Report, width: int) -> Iterator[str]:
    said = {each.came for each in _ours(report) if each.level in ("error", "warning")}
    # what can be fixed comes first
    for finding in sorted(_ours(report), key=lambda each: not (each.fault or each.remedy)):
        quiet = finding.level != "note" or finding.check.startswith("local.")
        if not quiet and finding.came not in said:
            said.add(finding.came)
            yield _cut(f"note     {finding.came}", width)


def _in_full(finding: Finding, width: int) -> Iterator[str]:
    yield f"{_MARKS[finding.level]}: {finding.check}"
    for name, label in _LABELS.items():
        if text := getattr(finding, name):
            yield from _hanging(f"  {label:<8}  ", text, width)
    yield from _pasted(finding.paste, " " * 12, width)
    if finding.unproven:
        yield from _hanging("  ", _UNPROVEN, width)


def _pasted(text: str, margin: str, width: int) -> Iterator[str]:
    """Lines as they are to be pasted, as long as they fit."""
    for line in text.split("\n") if text else ():
        bare = line.lstrip(" ")
        inner = margin + " " * (len(line) - len(bare))
        if len(inner) + len(bare) <= width:
            yield inner + bare
        else:
            yield from _hanging(inner, bare, width)


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _hanging(head: str, text: str, width: int) -> list[str]:
    blank = " " * len(head)
    wrapped = textwrap.wrap(
        text, width, initial_indent=head, subsequent_indent=blank, break_on_hyphens=False
    )
    return wrapped or [head.rstrip()]
