"""What an operator changes, by fault: why a login fails in one clause, the remedy, the lines to
paste.

The readers run the server, so no row names a switch that makes a client forgive the fault.
`{}` in a row is a value that the check has found.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from . import challenge, connections, cors, documents, endpoints, issuer, registration, tokens
from .row import Fix

_UNLESS_KNOWN: Final = {"instead": ""}

FIXES: Final[Mapping[str, Fix]] = {
    **connections.ROWS,
    **challenge.ROWS,
    **documents.ROWS,
    **issuer.ROWS,
    **endpoints.ROWS,
    **registration.ROWS,
    **tokens.ROWS,
    **cors.ROWS,
}


def fix(fault: str, product: str, values: Mapping[str, Any]) -> tuple[str, str, str]:
    """Why, what to change, and what to paste, which the product decides if it is known."""
    row, named = FIXES[fault], _Named(values)
    texts = row.why, row.change, row.products.get(product, row.paste)
    why, change, paste = (text.format_map(named) for text in texts)
    return why, change, paste


class _Named(dict[str, Any]):
    """The values of a row; one that is not known is shown as “…”. `shell_` and a name: that value
    quoted as a word of a command, since a document may contain anything."""

    def __missing__(self, name: str) -> str:
        if name.startswith("shell_"):
            return shlex.quote(str(self[name.removeprefix("shell_")]))
        return _UNLESS_KNOWN.get(name, "…")
