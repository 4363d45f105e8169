"""Run a program in place of this one, if the system can do that."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # `exec` with a fresh token imports next to nothing
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

_PYTHONS: Final = () if sys.platform == "win32" else (signal.SIGPIPE, signal.SIGXFSZ)
_NOT_FOUND: Final = 127  # as a shell says it
_NOT_RUN: Final = 126


def execute(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command and return its exit code; on POSIX it takes our place, signals included."""
    try:
        if sys.platform == "win32":
            import subprocess

            return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # Python ignores them, and what is ignored stays so in the program that takes our place
        ignored = {number: signal.signal(number, signal.SIG_DFL) for number in _PYTHONS}
        try:
            os.execvpe(command[0], list(command), environment)  # noqa: S606
        finally:
            for number, before in ignored.items():
                signal.signal(number, before)
    except (FileNotFoundError, ValueError):  # or a name that is empty
        why, code = "was not found", _NOT_FOUND
    except OSError as error:
        why, code = f"cannot be run: {error.strerror}", _NOT_RUN
    from ..prompt.screen import blamed, say
    from ..secret import quoted

    say(blamed("mcp-login:", f"{quoted(command[0], 120)} {why}"))
    return code
