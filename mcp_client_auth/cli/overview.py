"""The help of the whole command: the table of verbs, and examples. It loads next to nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator

TYPE_CHECKING = False  # typing costs as much as all that is done here
if TYPE_CHECKING:
    from typing import Final

# Section by section: the verb and its one line, which its own help begins with.
SECTIONS: Final = {
    "Log in": {
        "login": "Log in to an MCP server.",
        "logout": "Log out: delete the login here, end it at the server.",
        "list": "List the logins on this machine.",
        "status": "Show a login, and with --check whether it works.",
    },
    "Use a login": {
        "token": "Print a valid access token, refreshed first when needed.",
        "request": "Make an authorized HTTP request.",
        "exec": "Run a command with the token in its environment.",
        "refresh": "Renew the access token now.",
    },
    "For operators and authors": {
        "doctor": "Check all that a login needs, without a login.",
        "client-metadata": "Write or check a client ID metadata document.",
    },
    "More": {
        "import": "Take over the logins of mcp-remote.",
        "demo": "Log in to a demo server in fifteen steps, and call a tool.",
        "completion": "Print the completion script of a shell.",
    },
}
VERBS: Final = {verb: line for verbs in SECTIONS.values() for verb, line in verbs.items()}
PURPOSE: Final = "Log in to MCP servers, keep the logins, and use them."
# None is longer than 36, so that it stands in a line of 40.
_EXAMPLES: Final = {
    "mcp-login https://mcp.example.com/mcp": "the same as mcp-login login …",
    "mcp-login mcp.example.com --name work": "https is understood; it is named work",
    "mcp-login token work --header": 'for curl -H "$(…)"',
    "mcp-login request work -d @call.json": "the same, and renewed when needed",
    "mcp-login doctor mcp.example.com": "why can nobody log in there?",
}
_OPTIONS: Final = {"-h, --help": "Show this page.", "--version": "Show the version."}
_WIDEST: Final = 100
_NARROWEST: Final = 30


def overview(columns: int) -> str:
    """The page, as wide as a terminal of so many columns allows."""
    return "\n".join(_lines(min(max(columns, _NARROWEST), _WIDEST)))


def columns() -> int:
    """As `shutil.get_terminal_size` finds them, which loads what packs archives."""
    named = os.environ.get("COLUMNS", "")
    if named.isascii() and named.isdecimal():
        return int(named)
    try:
        return os.get_terminal_size(1).columns
    except (OSError, ValueError):
        return 80


def _lines(width: int) -> Iterator[str]:
    yield "Usage: mcp-login SERVER [OPTION]…"
    yield "       mcp-login VERB [OPTION]…"
    yield ""
    yield from _wrapped(PURPOSE, "", width)
    for title, rows in {**SECTIONS, "Options": _OPTIONS}.items():
        yield ""
        yield f"{title}:"
        room = max(map(len, VERBS))
        for name, line in rows.items():
            yield from _wrapped(line, f"  {name:<{room}}  ", width)
    yield ""
    yield "Examples:"
    room = max(map(len, _EXAMPLES))
    for example, meaning in _EXAMPLES.items():
        if room + len(meaning) + 6 <= width:
            yield f"  {example:<{room}}   {meaning}"
        else:
            yield f"  {example}"
            yield from _wrapped(meaning, "      ", width)
    yield ""
    yield from _wrapped("`mcp-login VERB --help` tells the rest.", "", width)


def _wrapped(text: str, head: str, width: int) -> Iterator[str]:
    """Between words, each line below the first behind as many blanks as `head` is long."""
    line, blank = head, " " * len(head)
    for word in text.split():
        started = line.strip() and not line.endswith("  ")
        if started and len(line) + 1 + len(word) > width:
            yield line.rstrip()
            line = blank + word
        else:
            line += (" " if started else "") + word
    yield line.rstrip()
