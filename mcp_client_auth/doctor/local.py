"""This machine: what a login needs of it, whatever the server."""

from __future__ import annotations

import os
import platform
import re
import urllib.request
from collections.abc import Mapping
from typing import Final

from .. import __version__
from ..errors import AuthError
from ..prompt.browser import can_open
from ..prompt.loopback import Listener
from ..storage import Storage
from .exam import Check, Exam
from .finding import Finding, failed

_PREFIX: Final = "MCP_CLIENT_AUTH_"
_OTHERS: Final = ("PYTHON_KEYRING_BACKEND", "SSL_CERT_FILE", "SSL_CERT_DIR", "BROWSER", "CI")
_AFTER_HOST: Final = re.compile(r"[/?#].*", re.DOTALL)
_MOST_SKEW: Final = 60.0


def software() -> Check[None]:
    came = (
        f"mcp-client-auth {__version__}, Python {platform.python_version()},"
        f" {platform.system()} {platform.machine()}"
    )
    yield Finding("local.software", "ok", "versions", came)


def storage(kept: Storage) -> Check[None]:
    """Whether what is stored is kept: a canary is written, read back and deleted."""
    asked = "write, read back and delete a canary"
    try:
        kept.check()
    except AuthError as error:
        yield failed("local.storage", error, asked)
    else:
        safest = kept.name == "keyring"
        mend = "" if safest else "The OS keyring is safer (--store keyring)"
        came = f"kept in {kept.where}"
        yield Finding("local.storage", "ok" if safest else "note", asked, came, remedy=mend)


def variables(environ: Mapping[str, str] = os.environ) -> Check[None]:
    """The variables that change what a login does: names, no values."""
    ours = sorted(name for name in environ if name.startswith(_PREFIX))
    found = [name for name in (*ours, *_OTHERS) if environ.get(name)]
    came = ", ".join(found) or "none is set"
    asked = "the environment variables that change where logins are kept, who is trusted and asked"
    yield Finding("local.variables", "note" if found else "ok", asked, came)


def proxies() -> Check[None]:
    """The proxies that requests go through; loopback is never asked for through one."""
    found = {name: url for name, url in urllib.request.getproxies().items() if name != "no"}
    asked = "the proxies of the environment and the system"
    if not found:
        yield Finding("local.proxies", "ok", asked, "none")
        return
    listed = ", ".join(f"{name}: {proxy_shown(url)}" for name, url in found.items())
    why = "requests that the proxy does not let through"
    yield Finding("local.proxies", "note", asked, listed, stumbles=why)


def proxy_shown(url: str) -> str:
    """Scheme, host and port; the scheme may be missing, and a password may hold anything."""
    scheme, separator, rest = url.rpartition("://")
    _, at, host = rest.rpartition("@")
    return scheme + separator + ("****@" if at else "") + _AFTER_HOST.sub("", host)


def clock(exam: Exam) -> Check[None]:
    """Our clock against the Date of each server's answers."""
    standard = (
        f"within {_MOST_SKEW:.0f} s: tokens and assertions have times in them (RFC 7519 §4.1)"
    )
    for origin, ahead in exam.skews.items():
        asked = f"the Date of {origin} and the clock of this machine"
        way = "behind" if ahead > 0 else "ahead of"
        if abs(ahead) <= _MOST_SKEW:
            yield Finding("local.clock", "ok", asked, f"within a minute of {origin}", standard)
        else:
            came = f"this machine is {abs(ahead):.0f} s {way} {origin}"
            why, mend = (
                "tokens count as expired, or not yet valid",
                "Set the wrong one of the clocks",
            )
            yield Finding("local.clock", "warning", asked, came, standard, why, mend)


def callback() -> Check[None]:
    """Whether a port on loopback is free for the answer of a login."""
    asked, standard = "a free port on 127.0.0.1", "http://127.0.0.1:PORT (RFC 8252 §7.3)"
    try:
        Listener().close()
    except AuthError as error:
        yield failed("local.port", error, asked, standard)
    else:
        yield Finding("local.port", "ok", asked, "a port can be bound", standard)


def browser() -> Check[None]:
    asked = "whether a browser can be opened from here"
    if can_open():
        yield Finding("local.browser", "ok", asked, "yes")
        return
    why = "a login shows the address, which you open yourself on this machine"
    mend = "Set BROWSER, or forward the callback's port (--callback-port) from your own machine"
    yield Finding("local.browser", "note", asked, "no", "", why, mend)
