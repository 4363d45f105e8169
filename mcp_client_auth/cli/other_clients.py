"""What other clients would meet at a server, as `doctor --as-client` prints it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..doctor.clients.verdict import ClientVerdict

WORDS: Final = {
    "works": "works",
    "setup": "setup",
    "unknown": "not known",
    "fails": "FAILS",
}
SURE: Final = {
    "source": "its source code",
    "vendor": "the vendor",
    "maintainer": "a maintainer",
    "run": "an operator's run",
    "survey": "a survey",
    "report": "reports",
}
_HEADING: Final = "Other clients, by what is known of each; none was run"
_BARE: Final = 60


def client_lines(
    clients: Sequence[ClientVerdict], width: int, *, verbose: bool = False
) -> Iterator[str]:
    """A row a client, below a heading: the verdict, why, and what the operator can do.

    `verbose`: every point that was found, and where each fact that it rests on comes from.
    """
    if not clients:
        return
    yield from ("", *textwrap.wrap(_HEADING, width))
    room = max(len(each.client.id) for each in clients)
    for each in clients:
        head = f"{WORDS[each.outcome]:<9}  {each.client.id:<{room}}  "
        indent = " " * (4 if width < _BARE else len(head))
        if width < _BARE:
            yield head.rstrip()
        because = each.because or each.client.name
        yield from _hanging(indent if width < _BARE else head, because, width)
        for remedy in each.remedies:
            yield from _hanging(indent + "fix: ", remedy, width)
        if verbose:
            yield from _everything(each, indent, width)


def _everything(verdict: ClientVerdict, indent: str, width: int) -> Iterator[str]:
    for point in verdict.points:
        head = f"{indent}step {point.step}, {point.step_name}: "
        yield from _hanging(indent, head.strip() + " " + point.because, width)
    for fact in verdict.sources:
        known = f"{fact.name}: {SURE[fact.sure]}, {fact.date}, {fact.source}"
        known += f" ({fact.detail})" if fact.detail else ""
        yield from _hanging(indent + "- ", known, width)


def _hanging(head: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, len(head) + 20),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_on_hyphens=False,
    )
