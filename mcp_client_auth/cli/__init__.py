"""`mcp-login`: the one place that runs a verb and turns an error into an exit code."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..errors import AuthError

# RULES: 0 ok, 1 other, 2 usage, 130 interrupted, and the classes of errors
EXIT_CODES: Final = {
    "UsageError": 2,
    "LoginRequired": 3,
    "Refused": 4,
    "Untrusted": 5,
    "Unavailable": 6,
    "StorageError": 7,
    "BadResponse": 8,
    "LoginFailed": 9,
}
INTERRUPTED: Final = 130


def main(arguments: list[str] | None = None) -> None:
    """The entry point of the command; always ends in `SystemExit`."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run the command and give its exit code."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        from .screen import screen

        screen.clear()
        # no word on what was changed: a logout or a login may have done its part already
        print("mcp-login: interrupted", file=sys.stderr)
        # the end waits for a renewal that is on the wire; who will not wait presses it again
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return INTERRUPTED


def _run(arguments: list[str]) -> int:
    import click

    from ..errors import AuthError
    from .commands import cli

    try:
        result = cli.main(arguments, prog_name="mcp-login", standalone_mode=False)
    except AuthError as error:
        _say(error)
        return exit_code(error)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:  # click's word for Ctrl-C, after it has ended the line with the ^C
        raise KeyboardInterrupt from None
    except OSError as error:  # a full disk behind stdout; a closed pipe is click's matter
        click.echo(f"mcp-login: cannot write the answer: {error.strerror}", err=True)
        return 1
    return result if isinstance(result, int) else 0


def exit_code(error: AuthError) -> int:
    return code_of(type(error))


def code_of(error: type) -> int:
    """The code of the nearest class that has one."""
    for kind in error.__mro__:
        if kind.__name__ in EXIT_CODES:
            return EXIT_CODES[kind.__name__]
    return 1


def _say(error: AuthError) -> None:
    """One message: what happened, where, what to do."""
    from .screen import say, screen

    screen.clear()
    say(f"mcp-login: {error.summary}")
    if error.url and error.url not in error.summary:
        say(f"  at {error.url}")
    if error.hint:
        say(f"  {error.hint}")
