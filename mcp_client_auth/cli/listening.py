"""What `bridge --listen` is started with: where to listen, and the secret of its clients."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import Final, NamedTuple

import click

from ..errors import UsageError
from ..paths import read_private
from ..secret import Secret, quoted

_BYTES: Final = 16  # 128 bits
_LINE: Final = re.compile(r"[A-Za-z0-9._~-]{22,200}")  # what base64 makes of them, at least
_PLACE: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\]):(\d{1,5})")


class Place(NamedTuple):
    host: str
    port: int


def loopback(value: str) -> Place:
    found = _PLACE.fullmatch(value)
    if not found or int(found[2]) > 65_535:
        raise click.BadParameter(
            "expected 127.0.0.1:PORT, [::1]:PORT or localhost:PORT (PORT 0: any that is free)"
        )
    return Place(found[1].strip("[]"), int(found[2]))


def secret_in(path: str | None) -> Secret:
    """Return the secret in a private file, made if it is missing; without a file, a new one."""
    from secrets import token_urlsafe

    made = token_urlsafe(_BYTES)
    if path is None:
        return Secret(made)
    named, path = quoted(path), os.path.expanduser(path)
    try:
        if not os.path.lexists(path):
            _make(path, made + "\n")
        state = os.lstat(path)
        text = read_private(path).decode("ascii", "replace").strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not a path"
        raise UsageError(f"the secret file {named} cannot be used: {why}") from None
    if os.name == "posix" and state.st_mode & 0o077:
        raise UsageError(
            f"the secret file {named} can be read by other users",
            hint=f"Make it private: chmod 600 {named}",
        )
    if not _LINE.fullmatch(text):
        raise UsageError(
            f"the secret file {named} must have one line of at least 22 letters and digits",
            hint="Name a file that does not exist: it is created with a new secret",
        )
    return Secret(text)


def _make(path: str, text: str) -> None:
    """Make a private file with all of its text or not at all; one that was there first stays."""
    aside = f"{path}.{os.getpid()}-{time.monotonic_ns()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        with open(os.open(aside, flags, 0o600), "w") as file:
            file.write(text)
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            os.replace(aside, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(aside)


def tell(name: str, path: str, secret: Secret, file: str | None) -> None:
    """How to connect, on stderr, the only place where the secret is shown."""
    from ..prompt.screen import screen

    shown = f"(the line in {quoted(file)})" if file else secret.reveal()
    screen.say(f"Listening at http://{name}{path}, with the header")
    screen.say(f"  Authorization: Bearer {shown}")
    if not file:
        screen.say(f"or, for clients without headers, at\n  http://{name}/{secret.reveal()}{path}")
