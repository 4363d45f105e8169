"""Opens the person's browser: a checked URL, one item of an argument list, never a shell."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from ..errors import InsecureUrl
from ..events import logger
from ..protocol.urls import is_loopback, origin_url, split

_MOMENT: Final = 0.5
DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY")
_REMOTE: Final = ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")
_TERMINAL: Final = frozenset({"browsh", "elinks", "links", "links2", "lynx", "w3m", "www-browser"})
_OPENERS: Final = (
    ["xdg-open"],
    ["gio", "open"],
    ["x-www-browser"],
    ["firefox"],
    ["google-chrome"],
    ["chromium"],
)
# Some openers are scripts that put the URL into a command line of their own.
_RISKY: Final = re.compile(r"""[!"$'()*;<>^`{|}]|%(?![0-9A-Fa-f]{2})""")


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
            " browser is given: https is expected, and no blank, control or non-ASCII character"
        ) from None
    where = origin_url(url)
    if "@" in parts.netloc:
        raise InsecureUrl("the sign-in page's address carries user info", url=where)
    if parts.scheme != "https" and not is_loopback(url):
        raise InsecureUrl("the sign-in page is not https", url=where)
    return url


def can_open(environ: Mapping[str, str] | None = None, platform: str | None = None) -> bool:
    """Whether a browser that a person sees can be started from here."""
    env = os.environ if environ is None else environ
    system = sys.platform if platform is None else platform
    if env.get("CI", "").lower() not in ("", "0", "false"):
        return False
    # An editor at work on a remote machine names its helper in $BROWSER.
    if any(_named(env)) or _has(env, DISPLAYS):
        return True
    if _has(env, _REMOTE):
        return False
    return system in ("darwin", "win32") or bool(_for_windows_from_linux(env))


def open_url(url: str) -> bool:
    """Start a browser on `url` and do not wait for it; False when none could be started.

    Raises `InsecureUrl` before anything is started.
    """
    url = _RISKY.sub(lambda found: f"%{ord(found[0][0]):02X}", checked_url(url))
    if any(_started(_filled(command, url)) for command in _named(os.environ)):
        return True
    if sys.platform == "win32":
        return _shell_execute(url)
    return any(_started([*command, url]) for command in _openers(os.environ))


def _has(env: Mapping[str, str], names: tuple[str, ...]) -> bool:
    return any(env.get(name) for name in names)


def _named(env: Mapping[str, str]) -> Iterator[list[str]]:
    """The commands in $BROWSER, a list as PATH is one; a browser in the terminal is left out."""
    for entry in env.get("BROWSER", "").split(os.pathsep):
        command = _words(entry.strip().removesuffix("&"))
        if command and os.path.basename(command[0]) not in _TERMINAL:
            yield command


def _words(entry: str) -> list[str]:
    if os.path.isfile(entry):
        return [entry]
    try:
        words = shlex.split(entry, posix=os.name == "posix")
    except ValueError:
        return []
    return words if os.name == "posix" else [word.strip('"') for word in words]


def _filled(command: list[str], url: str) -> list[str]:
    program, *rest = command
    if any("%s" in word for word in rest):
        return [program, *(word.replace("%s", url) for word in rest)]
    return [*command, url]


def _openers(env: Mapping[str, str]) -> list[list[str]]:
    if sys.platform == "darwin":
        return [["open"]]
    # Without a display xdg-open ends in a browser that wants the terminal. The module
    # `webbrowser` is no help: it does the same, and runs $BROWSER again, in the foreground.
    return _for_windows_from_linux(env) + (list(_OPENERS) if _has(env, DISPLAYS) else [])


def _for_windows_from_linux(env: Mapping[str, str]) -> list[list[str]]:
    inside = env.get("WSL_DISTRO_NAME") and shutil.which("wslview")
    return [["wslview"]] if inside else []


def _shell_execute(url: str) -> bool:
    if sys.platform == "win32":
        with suppress(OSError):
            os.startfile(url)  # noqa: S606
            return True
    return False


def _started(command: list[str]) -> bool:
    """Start it apart from us; one that has failed within a moment does not count."""
    program = shutil.which(command[0])
    # Windows hands a batch file to cmd.exe, which reads the URL as part of a command line.
    if program is None or program.lower().endswith((".bat", ".cmd")):
        return False
    try:
        # A session of its own: Ctrl-C at our terminal must not close the person's browser.
        process = subprocess.Popen(  # noqa: S603
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
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
