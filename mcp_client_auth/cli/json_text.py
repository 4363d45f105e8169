"""JSON and other text of a server as a person reads it: indented, coloured, and harmless."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Final

from ..environment import has_colours, is_terminal

_MEANING: Final = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=:)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>\btrue\b|\bfalse\b|'
    r"\bnull\b)|(?P<number>-?\d[\d.eE+-]*)"
)
_COLOURS: Final = {"key": "cyan", "text": "green", "word": "magenta", "number": "yellow"}


def safe(text: str) -> str:
    """Return the text without what could control a terminal, if stdout is one."""
    if not is_terminal(sys.stdout):
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text.replace("\r", ""))


def write(text: str, *, nl: bool = True) -> None:
    """Write the text to stdout: in UTF-8, or for a terminal in the characters that it has."""
    import click

    if is_terminal(sys.stdout):
        encoding = getattr(sys.stdout, "encoding", None) or "ascii"
        click.echo(text.encode(encoding, "replace").decode(encoding), nl=nl)
    else:
        click.echo(text.encode(), nl=nl)


def pretty(value: Any) -> str:
    """Return indented JSON; for a terminal, in colour and with unprintable text escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if not is_terminal(sys.stdout):
        return text
    text = "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
    if not has_colours(sys.stdout):
        return text
    import click

    def coloured(found: re.Match[str]) -> str:
        return click.style(found[0], fg=_COLOURS[found.lastgroup or "key"])

    return _MEANING.sub(coloured, text)
