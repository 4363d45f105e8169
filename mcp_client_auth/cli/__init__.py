"""`mcp-login`: the one place that runs a verb and turns an error into an exit code."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing costs more than all that is done for a token that is there
if TYPE_CHECKING:
    from typing import Final

    import click

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
    if None in (sys.stdin, sys.stdout, sys.stderr):
        from .streams import open_missing

        open_missing()
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
        import signal

        # the end waits for a renewal that is on the wire; who will not wait presses it again
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return INTERRUPTED


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["token"]:
        from .quick import quick_token

        token = quick_token(arguments[1:])
        if token is not None:
            return _printed(token)
    if arguments in (["--help"], ["-h"]):
        from .overview import columns, overview

        return _printed(overview(columns()))
    return _called(arguments)


def _printed(text: str) -> int:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "replace").decode(encoding), flush=True)
    except OSError as error:
        return _unwritten(error)
    return 0


def _unwritten(error: OSError) -> int:
    """A full disk behind stdout, or a reader that has gone."""
    import errno
    import os

    if error.errno in (errno.EPIPE, errno.EBADF):  # nothing more to be lost
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno != errno.EPIPE:
        print(f"mcp-login: cannot write the answer: {error.strerror}", file=sys.stderr)
    return 1


def _called(arguments: list[str]) -> int:
    """By way of click."""
    import click

    from ..errors import AuthError
    from .answers import answers
    from .commands import cli

    answers.expect(arguments)
    try:
        result = cli.main(arguments, prog_name="mcp-login", standalone_mode=False)
    except AuthError as error:
        _say(error)
        return exit_code(error)
    except click.ClickException as error:
        return _misunderstood(error)
    except click.Abort:  # click's word for Ctrl-C, after it has ended the line with the ^C
        raise KeyboardInterrupt from None
    except OSError as error:  # a closed pipe is click's matter
        return _unwritten(error)
    return result if isinstance(result, int) else 0


def _misunderstood(error: click.ClickException) -> int:
    """What click finds wrong with the words, said as any other error."""
    from ..errors import UsageError
    from .progress import plain

    if type(error).__name__ == "NoArgsIsHelpError":  # of newer versions
        error.show()
        return error.exit_code
    text = plain(error.format_message()).rstrip(".")
    where = getattr(error, "ctx", None)
    hint = f"See: {where.command_path} --help" if where else ""
    ours = UsageError(text[:1].lower() + text[1:], hint=hint)
    _say(ours)
    return exit_code(ours)


def exit_code(error: AuthError) -> int:
    return code_of(type(error))


def code_of(error: type) -> int:
    """The code of the nearest class that has one."""
    for kind in error.__mro__:
        if kind.__name__ in EXIT_CODES:
            return EXIT_CODES[kind.__name__]
    return 1


def _say(error: AuthError) -> None:
    """One message: what happened, where, what to do; also in JSON where that was asked for."""
    from .answers import answers, error_fields
    from .screen import hanging, say, screen

    screen.clear()
    say(hanging("", f"mcp-login: {error.summary}"))
    if error.url and error.url not in error.summary:
        say(hanging("  ", f"at {error.url}"))
    if error.hint:
        say(hanging("  ", error.hint))
    if answers.as_json:
        answers.give(error=error_fields(error, exit_code(error)))
