"""Reads an assertion where the caller keeps it, anew at each use: it may have been rotated."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .errors import AuthError, Unavailable, UsageError, quoted
from .protocol.grants import WithAssertion
from .secret import Secret

_LONGEST: Final = 1024 * 1024


def read_assertion(source: WithAssertion, audience: str) -> Secret:
    """The assertion as it is now. `UsageError` names the place that has none, never what it has.

    `Unavailable` where the caller's function fails: it may ask a server of its own.
    """
    if isinstance(source.assertion, Secret):
        return source.assertion
    if callable(source.assertion):
        return _present(_called(source.assertion, audience), "the function for the assertion")
    if source.assertion_file:
        path = os.fspath(source.assertion_file)
        return _present(_file(path), f"the assertion file {quoted(path)}")
    text = os.environ.get(source.assertion_env, "")
    return _present(Secret(text.strip()), f"the environment variable {source.assertion_env}")


def _present(assertion: Secret, where: str) -> Secret:
    if assertion:
        return assertion
    raise UsageError(f"{where} has no assertion", code="no_assertion", hint="Nothing was sent")


def _file(path: str) -> Secret:
    try:
        with Path(path).open(encoding="utf-8-sig") as file:  # PowerShell writes a byte order mark
            return Secret(file.read(_LONGEST).strip())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
        raise UsageError(
            f"the assertion file {quoted(path)} cannot be read: {why}",
            code="no_assertion",
            hint="Nothing was sent; check that it is there and that this program may read it",
        ) from None


def _called(function: Callable[[str], str], audience: str) -> Secret:
    try:
        given: object = function(audience)
    except AuthError:
        raise
    except Exception as error:  # its text may hold the assertion
        raise Unavailable(
            f"the function for the assertion failed with {type(error).__name__}",
            code="no_assertion",
            hint="Nothing was sent; try again later",
        ) from None
    if isinstance(given, Secret):
        return given
    return Secret(given.strip() if isinstance(given, str) else "")
