"""This machine: what a login needs of it, whatever the server."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import urllib.request
from collections.abc import Mapping
from typing import Final

from .. import __version__
from ..errors import AuthError
from ..prompt.loopback import Listener
from ..prompt.open_browser import can_open
from ..storage import Storage, name_of
from .exam import Check, Exam
from .report import HERE, Question

_PREFIX: Final = "MCP_CLIENT_AUTH_"
_OTHERS: Final = ("PYTHON_KEYRING_BACKEND", "SSL_CERT_FILE", "SSL_CERT_DIR", "BROWSER", "CI")
_AFTER_HOST: Final = re.compile(r"[/?#].*", re.DOTALL)
_MOST_SKEW: Final = 60.0


def software() -> Check[None]:
    yield Question("local.software", "versions").ok(
        f"mcp-client-auth {__version__}, Python {platform.python_version()},"
        f" {platform.system()} {platform.machine()}"
    )


def storage(chosen: Storage) -> Check[None]:
    """Whether what is stored is kept: a canary is written, read back and deleted."""
    question = Question("local.storage", "write, read back and delete a canary")
    try:
        chosen.check()
    except AuthError as error:
        yield question.failed(error)
        return
    came = f"kept in {chosen.where}"
    if name_of(chosen) == "keyring":
        yield question.ok(came)
    else:
        yield question.note(came, remedy="The OS keyring is safer (--store keyring)")


def variables(environ: Mapping[str, str] = os.environ) -> Check[None]:
    """The variables that change what a login does: names, no values."""
    ours = sorted(name for name in environ if name.startswith(_PREFIX))
    names = [name for name in (*ours, *_OTHERS) if environ.get(name)]
    yield Question(
        "local.variables",
        "the environment variables that change what a login does",
    ).finding("note" if names else "ok", ", ".join(names) or "none is set")


def proxies() -> Check[None]:
    """The proxies that requests go through; loopback is never reached through one."""
    known = {name: url for name, url in urllib.request.getproxies().items() if name != "no"}
    question = Question("local.proxies", "the proxies of the environment and the system")
    if not known:
        yield question.ok("none")
        return
    listed = ", ".join(f"{name}: {proxy_shown(url)}" for name, url in known.items())
    yield question.note(listed, "requests that the proxy does not let through")
    used = known.get("https") or known.get("all") or ""
    if used.lower().startswith("socks") and importlib.util.find_spec("socksio") is None:
        yield question.finding(
            "error",
            "the package for SOCKS is not installed",
            "every request but those to this machine",
            "pip install 'mcp-client-auth[socks]'",
            "UsageError",
        )


def proxy_shown(url: str) -> str:
    """Scheme, host and port; the scheme may be missing, and a password may hold anything."""
    scheme, separator, rest = url.rpartition("://")
    _, at, host = rest.rpartition("@")
    return scheme + separator + ("****@" if at else "") + _AFTER_HOST.sub("", host)


def clock(exam: Exam) -> Check[None]:
    """Our clock against the Date of each server's responses."""
    standard = (
        f"within {_MOST_SKEW:.0f} s: tokens and assertions have times in them (RFC 7519 §4.1)"
    )
    for origin, ahead in exam.skews.items():
        requested = f"the Date of {origin} and the clock of this machine"
        question = Question("local.clock", requested, standard)
        if abs(ahead) <= _MOST_SKEW:
            yield question.ok(f"within a minute of {origin}")
        else:
            way = "behind" if ahead > 0 else "ahead of"
            yield question.warning(
                f"this machine is {abs(ahead):.0f} s {way} {origin}",
                "tokens count as expired, or not yet valid",
                "Set the wrong one of the clocks",
            )


def callback() -> Check[None]:
    """Whether a port on loopback is free for the response of a login."""
    standard = "http://127.0.0.1:PORT (RFC 8252 §7.3)"
    question = Question("local.port", "a free port on 127.0.0.1", standard)
    try:
        Listener().close()
    except AuthError as error:
        yield question.failed(error, stumbles=HERE)
    else:
        yield question.ok("a port can be bound")


def browser() -> Check[None]:
    question = Question("local.browser", "whether a browser can be opened from here")
    if can_open():
        yield question.ok("yes")
    else:
        yield question.note(
            "no",
            "a login shows the address, which you open yourself on this machine",
            "Set BROWSER, or forward the callback's port (--callback-port) from your own machine",
        )
