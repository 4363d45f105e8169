"""Write `docs/commands.md`: `python -m tests.docs.write_help` after a change of the command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import Any
from unittest.mock import patch

from mcp_client_auth.cli import run
from mcp_client_auth.cli.verbs import VERBS
from tests.support.python_path import ROOT
from tests.support.shapes import SHAPES, Maybe

PAGE = ROOT / "docs" / "commands.md"
_HEAD = """\
# All options of the command

Everything that `mcp-login --help-all` and `mcp-login VERB --help-all` say; what it is for is in
[the command](command.md). The answer of a verb goes to
stdout, everything else to stderr.
"""
_JSON = """\
## Answers in JSON

With `--json` stdout holds one object, also when a verb fails: then it has the key `error`, and
stderr says the same to people. `version` (1) and `mcp_client_auth` (the version of this package)
stand in each. Keys stay; new ones may come. Times are in UTC, `expires_in` in seconds; what is not
known is null. A tool and a result of `call` are objects of the server, as it sends them. The answer
of `doctor` is described [for operators](operators.md#the-doctor).
"""


def help_of(*verb: str) -> str:
    """The help at a terminal of 80 columns, whatever the width of this one."""
    return said(*verb, "--help-all")


def said(*words: str) -> str:
    with patch.dict(os.environ, {"COLUMNS": "80"}), redirect_stdout(StringIO()) as out:
        assert run([*words]) == 0
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def page() -> str:
    parts = [_HEAD, _block(help_of())]
    for verb in VERBS:
        parts += [f"## {verb}\n", _block(help_of(verb))]
    parts.append(_JSON)
    parts += [
        f"{name[0].upper() + name[1:]}:\n\n{_block(shape, 'text')}" for name, shape in _shapes()
    ]
    return "\n".join(parts)


def _shapes() -> Iterator[tuple[str, str]]:
    for name, shape in SHAPES.items():
        yield (name if " " in name and "-" not in name else f"`{name}`"), "\n".join(_lines(shape))


def _lines(shape: dict[str, Any], indent: str = "") -> Iterator[str]:
    for name, value in shape.items():
        kind, below = _kind(value)
        yield f"{indent}{name}: {kind}"
        if below:
            yield from _lines(below, indent + "  ")


def _kind(value: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(value, Maybe):
        kind, below = _kind(value.shape)
        return kind + " or null", below
    if isinstance(value, list):
        kind, below = _kind(value[0])
        return f"list of {kind}s", below
    if isinstance(value, dict):
        return "object", value
    words = {str: "text", bool: "true or false", int: "number", dict: "object"}
    return words.get(value, "number"), {}


def _block(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
