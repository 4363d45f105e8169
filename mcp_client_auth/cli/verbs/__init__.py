"""The verbs of `mcp-login`, one module each: a new one is a module and its line in this table.

The line begins the verb's help; the docstring of the module's `command` is the rest. A help page
loads the module, which therefore imports what is heavy inside its functions.
"""

from __future__ import annotations

from keyword import iskeyword
from typing import Final

SECTIONS: Final = {
    "Log in": {
        "login": "Log in to an MCP server.",
        "logout": "Log out: delete the login here and end it at the server.",
        "list": "List the logins on this machine.",
        "status": "Show a login, and with --check whether it works.",
    },
    "Use a login": {
        "token": "Print a valid access token, refreshed first if needed.",
        "tools": "List the tools of a server.",
        "call": "Call a tool of a server.",
        "bridge": "Give an MCP client a server behind a login.",
        "headers": "Print the headers of an authorized request as JSON.",
        "request": "Make an authorized HTTP request.",
        "exec": "Run a command with the token in its environment.",
        "refresh": "Renew the access token now.",
    },
    "For operators and authors": {
        "doctor": "Check everything that a login needs, without logging in.",
        "client-metadata": "Write or check a client ID metadata document.",
        "store": "Check or set up a storage that many hosts share.",
    },
    "More": {
        "import": "Import the logins of mcp-remote.",
        "demo": "Log in to a demo server in fifteen steps, and call a tool.",
        "completion": "Print the completion script for a shell.",
    },
}
RARE: Final = ("store",)  # left out where all verbs have to fit a screen
VERBS: Final = {verb: line for verbs in SECTIONS.values() for verb, line in verbs.items()}


def module_of(verb: str) -> str:
    return f"{__name__}.{verb.replace('-', '_')}{'_' * iskeyword(verb)}"
