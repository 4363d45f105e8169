"""Where our files lie, what they are called, and whose they are.

It imports next to nothing: `mcp-login token` reads one file, and shall cost little more.
"""

import os

TYPE_CHECKING = False  # typing costs more than all that is done here
if TYPE_CHECKING:
    from typing import Final

VARIABLE: "Final" = "MCP_CLIENT_AUTH_HOME"
RECORD: "Final" = ".secret"  # of the file storage
ENTRY: "Final" = ".json"  # of the index
READ: "Final" = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def home() -> str:
    """The directory of our files: `MCP_CLIENT_AUTH_HOME`, else the platform's for user data."""
    named = os.environ.get(VARIABLE)
    if named:
        return os.path.abspath(os.path.expanduser(named))
    from platformdirs import user_data_dir

    return user_data_dir("mcp-client-auth", appauthor=False, roaming=False)


def record_id(*words: str) -> str:
    """A file name of 32 hex digits for what these words name."""
    import hashlib
    import json

    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:32]


def is_foreign(found: os.stat_result) -> bool:
    """Whether a file or directory belongs to another user, who could have put anything there."""
    return os.name == "posix" and found.st_uid != os.geteuid()
