"""`mcp-login`: the one place that runs a verb and turns an error into an exit code."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # importing typing takes longer than printing a stored token
if TYPE_CHECKING:
    from typing import Final

    from ..errors import AuthError

# RULES: 0 ok, 1 other, 2 usage, 130 and 143 interrupted, and the classes of errors
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
TERMINATED: Final = 143  # by SIGTERM, as a shell says it


def main(arguments: list[str] | None = None) -> None:
    """The entry point of the command; always ends in `SystemExit`."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        from .streams import open_missing

        open_missing()
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    try:
        if arguments[:1] == ["exec"]:
            from .execute import execute
            from .quick import quick_exec

            if (found := quick_exec(arguments[1:])) is not None:
                return execute(*found)
        if arguments[:1] in (["token"], ["headers"]):
            from . import quick

            answer = quick.quick_token if arguments[0] == "token" else quick.quick_headers
            if (text := answer(arguments[1:])) is not None:
                print(text, flush=True)
                return 0
        return _called(arguments)
    except OSError as error:  # a full disk behind stdout, or a reader that has gone
        import errno
        import os

        # what is still buffered would fail once more at the exit, with a traceback and code 120
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:
            print(f"mcp-login: cannot write the answer: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        import signal

        # exiting waits for a renewal that is on the wire; a second Ctrl-C ends it at once
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        from ..prompt.screen import screen

        screen.clear()
        # it does not say what was changed: a logout or a login may have been partly done
        print("mcp-login: interrupted", file=sys.stderr)
        return TERMINATED if isinstance(stop, _Terminated) else INTERRUPTED


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends the command as Ctrl-C does: a renewal on the wire is kept."""


def _called(arguments: list[str]) -> int:
    """Run it through click, with SIGTERM as Ctrl-C; a second one ends the process at once."""
    import io
    import signal
    import threading

    for stream in (sys.stdout, sys.stderr):
        # a pipe on Windows or an old locale cannot encode every character of our messages
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
    ours = (
        sys.platform != "win32"
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    stops: list[_Terminated] = []

    def terminate(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stops.append(_Terminated())
        raise stops[0]

    if ours:
        signal.signal(signal.SIGTERM, terminate)
    try:
        code = _by_click(arguments)
        if flights := sys.modules.get("mcp_client_auth.session.single_flight"):
            flights.settle_sent()  # here, where a signal loses nothing: see `run`
    except KeyboardInterrupt:
        raise stops[0] if stops else KeyboardInterrupt from None
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return code


def _by_click(arguments: list[str]) -> int:
    import click

    from ..errors import AuthError
    from .answers import answers
    from .commands import cli, usage_error

    answers.expect(arguments)
    try:
        result = cli.main(arguments, prog_name="mcp-login", standalone_mode=False)
    except AuthError as error:
        return _failed(error)
    except click.ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # of newer versions
            error.show()
            return error.exit_code
        return _failed(usage_error(error))
    except click.Abort as stop:  # click's word for Ctrl-C
        if stop.__cause__ is None:  # at a question; elsewhere click has ended the line
            click.echo(err=True)
        raise KeyboardInterrupt from None
    return result if isinstance(result, int) else 0


def exit_code(error: AuthError | type[AuthError]) -> int:
    """The code of the nearest class that has one."""
    kind = error if isinstance(error, type) else type(error)
    return next((EXIT_CODES[k.__name__] for k in kind.__mro__ if k.__name__ in EXIT_CODES), 1)


def _failed(error: AuthError) -> int:
    """Print what happened, where and what to do, with `--json` in JSON too; return the code."""
    from ..errors import names
    from ..prompt.screen import blamed, hanging, say, screen, tinted
    from .answers import answers, error_fields
    from .flags import hint_of

    screen.clear()
    say(blamed("mcp-login:", error.summary))
    if error.url and not names(error.summary, error.url):
        say(hanging("  ", f"at {error.url}"))
    if hint := hint_of(error):
        say(tinted(hanging("  ", hint), "hint"))
    code = exit_code(error)
    if answers.as_json:
        answers.give(error=error_fields(error, code))
    return code
