"""How `mcp-login exec` starts its command: in our place, where the system can do that."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import Final, NoReturn

from ..errors import UsageError, quoted
from ..flight import settle
from ..session import Session
from .opening import fresh
from .screen import say

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PYTHONS: Final = () if sys.platform == "win32" else (signal.SIGPIPE, signal.SIGXFSZ)
_NOT_FOUND: Final = 127  # as a shell says it
_NOT_RUN: Final = 126


def run_with_token(
    session: Session, command: tuple[str, ...], variable: str, min_valid: float
) -> int:
    """The command's exit code; on POSIX it does not return, and signals go where they belong."""
    if not _NAME.fullmatch(variable):
        raise UsageError(f"{quoted(variable, 60)} cannot be the name of a variable")
    held = fresh(session, min_valid)
    if held.tokens.bound:
        raise UsageError(
            "this login is bound to a key (DPoP), so the token alone is of no use to a command",
            hint="Let it use mcp-login request, or the library",
        )
    token = held.tokens.access_token.reveal()
    environment = {**os.environ, variable: token, "MCP_SERVER_URL": session.wanted.server_url}
    settle()  # a renewal that is on the wire must be kept before we are gone
    try:
        return _started(command, environment)
    except FileNotFoundError:
        say(f"mcp-login: {quoted(command[0], 120)} was not found")
        return _NOT_FOUND
    except OSError as error:
        say(f"mcp-login: {quoted(command[0], 120)} cannot be run: {error.strerror}")
        return _NOT_RUN


def _started(command: tuple[str, ...], environment: dict[str, str]) -> int:
    if sys.platform != "win32":
        _replaced(command, environment)
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603


def _replaced(command: tuple[str, ...], environment: dict[str, str]) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Python ignores them, and what is ignored stays so in the program that takes our place
    ignored = {number: signal.signal(number, signal.SIG_DFL) for number in _PYTHONS}
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606
    finally:
        for number, before in ignored.items():
            signal.signal(number, before)
