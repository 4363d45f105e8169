"""Opens the person's browser: a checked URL as one item of an argument list, never a shell."""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from ..environment import Machine, for_other_programs
from ..errors import InsecureUrl
from ..events import logger
from ..origin import is_loopback, origin_url, split

_MOMENT: Final = 0.5
_TERMINAL: Final = frozenset({"browsh", "elinks", "links", "links2", "lynx", "w3m", "www-browser"})
_OPENERS: Final = [
    ["xdg-open"],
    ["gio", "open"],
    ["x-www-browser"],
    ["firefox"],
    ["google-chrome"],
    ["chromium"],
]
# Some openers are scripts that put the URL into a command line of their own.
_RISKY: Final = r"""[!"$'()*;<>^`{|}]|%(?![0-9A-Fa-f]{2})"""


def checked_url(url: str) -> str:
    """`url` as it may be shown and opened: https, or http on loopback, plain ASCII, no user info.

    Raises `InsecureUrl`, which never repeats the query.
    """
    try:
        parts = split(url)
    except ValueError:
        scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]{0,19}:", url)
        raise InsecureUrl(
            f"the sign-in page has an address ({scheme[0] if scheme else 'no scheme'}) that no"
            " browser is given: https is expected, and no space, control or non-ASCII character"
        ) from None
    where = origin_url(url)
    if "@" in parts.netloc:
        raise InsecureUrl("the sign-in page's address carries user info", url=where)
    if parts.scheme != "https" and not is_loopback(url):
        raise InsecureUrl("the sign-in page is not https", url=where)
    return url


def can_open(machine: Machine | None = None) -> bool:
    """Whether a browser that a person sees can be started from here."""
    machine = machine or Machine()
    if machine.ci:
        return False
    # An editor at work on a remote machine names its helper in $BROWSER.
    if any(_named(machine.environ)):
        return True
    if machine.place == "hub":
        return False
    if machine.display:
        return True
    if machine.ssh:
        return False
    return machine.platform in ("darwin", "win32") or bool(_for_windows_from_linux(machine))


def open_url(url: str) -> bool:
    """Start a browser on `url` and do not wait for it; False when none could be started.

    Raises `InsecureUrl` before anything is started.
    """
    url = re.sub(_RISKY, lambda match: f"%{ord(match[0][0]):02X}", checked_url(url))
    for program, *rest in _named(os.environ):
        filled = [word.replace("%s", url) for word in rest]
        if _started([program, *filled] if filled != rest else [program, *rest, url]):
            return True
    if sys.platform == "win32":
        with suppress(OSError):
            os.startfile(url)  # noqa: S606
            return True
        return False
    if sys.platform == "darwin":
        return _started(["open", url])
    # Without a display, xdg-open falls back to a browser that needs the terminal. The module
    # `webbrowser` does the same, and runs $BROWSER again, in the foreground.
    machine = Machine()
    openers = _for_windows_from_linux(machine) + (_OPENERS if machine.display else [])
    return any(_started([*command, url]) for command in openers)


def _named(env: Mapping[str, str]) -> Iterator[list[str]]:
    """The commands in $BROWSER, a list like PATH, without browsers that run in the terminal."""
    for entry in env.get("BROWSER", "").split(os.pathsep):
        entry = entry.strip().removesuffix("&")
        command = [entry]
        if entry and not os.path.isfile(entry):
            import shlex

            try:
                command = shlex.split(entry, posix=os.name == "posix")
            except ValueError:
                continue
            if os.name != "posix":
                command = [word.strip('"') for word in command]
        if entry and command and os.path.basename(command[0]) not in _TERMINAL:
            yield command


def _for_windows_from_linux(machine: Machine) -> list[list[str]]:
    return [["wslview"]] if machine.wsl and shutil.which("wslview") else []


def _started(command: list[str]) -> bool:
    """Start it detached from us; one that fails within a moment does not count."""
    program = shutil.which(command[0])
    # Windows hands a batch file to cmd.exe, which reads the URL as part of a command line.
    if program is None or program.lower().endswith((".bat", ".cmd")):
        return False
    # Windows looks for a program in the working directory first, which may be a cloned repository.
    if not os.path.dirname(command[0]) and not os.path.isabs(program):
        return False
    import subprocess

    try:
        # A session of its own: Ctrl-C at our terminal must not close the person's browser.
        process = subprocess.Popen(  # noqa: S603
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=for_other_programs(),
            start_new_session=True,
        )
    except OSError as error:
        logger.debug("%s cannot be started: %s", program, type(error).__name__)
        return False
    try:
        return process.wait(_MOMENT) == 0
    except subprocess.TimeoutExpired:
        threading.Thread(target=process.wait, name="browser", daemon=True).start()
        return True
