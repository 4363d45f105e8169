"""Checks for the values of options: one for each kind, as click calls it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import UsageError
from ..secret import quoted
from .sources import is_typed, source_of

if TYPE_CHECKING:
    _Seconds = click.ParamType[float]
    _Choice = click.Choice[str]
else:  # older versions of click are not generic
    _Seconds = click.ParamType
    _Choice = click.Choice

_PROXIES: Final = ("http", "https", "socks", "socks5", "socks5h")
_A_DAY: Final = 86_400.0
VARIABLE: Final = re.compile(r"((?:[A-Za-z-]{1,20} )?)\$\{(\w+)\}")  # of a header: Token ${KEY}
ENDPOINTS: Final = (
    "authorization",
    "token",
    "registration",
    "revocation",
    "pushed_authorization",
    "device_authorization",
)


class Seconds(_Seconds):
    """Up to a day; zero only with `or_none`. Not a range of click's, which lets nan pass."""

    name = "seconds"

    def __init__(self, *, or_none: bool = False) -> None:
        self._or_none = or_none

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        with suppress(ValueError):
            number = float(value)
            if 0 < number <= _A_DAY or (self._or_none and number == 0):
                return number
        self.fail("expected a number of seconds, up to a day", param, ctx)


class StoragePlace(_Choice):
    """The name of a storage, the URL of one that hosts share, or @FILE with such a URL."""

    def __init__(self) -> None:
        super().__init__(["keyring", "file", "memory"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if "://" in value or value[:1] == "@":
            return str(value)
        return str(super().convert(value, param, ctx))


FORMATS: Final = ("text", "json", "sarif", "html", "markdown", "junit")  # of a report
Checked = Callable[[click.Context, click.Parameter, Any], Any]


def checked(check: Callable[[Any], Any]) -> Checked:
    """A check as click calls it; an option that is not given is not checked."""
    return lambda ctx, parameter, value: None if value is None else check(value)


def port(value: int) -> int:
    if not 0 < value < 65_536:
        raise click.BadParameter("expected a number from 1 to 65535")
    return value


def pairs(value: tuple[str, ...]) -> dict[str, str]:
    parts = [pair.partition("=") for pair in value]
    if any(not name or not equals for name, equals, _ in parts):
        raise click.BadParameter("expected NAME=VALUE")
    return {name: text for name, _, text in parts}


def endpoint_pairs(value: tuple[str, ...]) -> dict[str, str]:
    named = pairs(value)
    if not set(named) <= set(ENDPOINTS):
        raise click.BadParameter(f"NAME is one of {', '.join(ENDPOINTS)}")
    return named


def existing(ctx: click.Context, parameter: click.Parameter, path: str | None) -> str | None:
    if path and not os.path.exists(path):
        where = source_of(parameter.name or "")
        raise UsageError(f"{where} names {quoted(path)}, which does not exist")
    return path


def proxy_url(value: str) -> str:
    """The value is in no message: a variable's may have a password in it."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(value)
        usable = parts.scheme in _PROXIES and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(
            f"{source_of('proxy')} is not the URL of a proxy",
            hint="Expected something like http://proxy.example.com:3128, or socks5://…",
        )
    if parts.password and is_typed("proxy"):
        raise UsageError(
            "--proxy contains a password, which every user of this machine could read",
            hint="Pass the proxy in MCP_CLIENT_AUTH_PROXY or HTTPS_PROXY",
        )
    return value


def storage_place(value: str) -> str:
    """Return a place that can be opened; a file is meant for a URL with a password."""
    from ..paths import read_named

    if value[:1] == "@":
        try:
            value = read_named(value[1:]).strip()
        except OSError:
            raise UsageError(f"{source_of('store')} names a file that cannot be read") from None
        if "://" not in value:
            raise UsageError(f"{source_of('store')} names a file without the URL of a storage")
    elif "://" in value and is_typed("store"):
        from ..storage.engine import passwords_in

        if passwords_in(value):
            raise UsageError(
                "--store contains a password, which every user of this machine could read",
                hint="Pass the URL in MCP_CLIENT_AUTH_STORAGE, or as --store @FILE",
            )
    return value


def header_sources(value: tuple[str, ...]) -> dict[str, Any]:
    """Read headers from variables or files, because every user here can read arguments."""
    from ..paths import read_named
    from ..protocol.gateway import checked

    headers: dict[str, str] = {}
    for line in value:
        name, colon, source = (part.strip() for part in line.partition(":"))
        variable = VARIABLE.fullmatch(source)
        if not colon or not (variable or source[:1] == "@") or name in headers:
            raise click.BadParameter("expected 'NAME: ${VARIABLE}' or 'NAME: @FILE', a NAME once")
        if variable:
            scheme, named = variable.groups()
            if not (text := os.environ.get(named, "")):
                raise click.BadParameter(f"the variable {named} is not set")
            text = scheme + text.strip()
        else:
            try:
                text = read_named(source[1:])
            except OSError as error:
                raise click.BadParameter(
                    f"{quoted(source[1:], 120)} cannot be read: {error.strerror}"
                ) from None
        headers[name] = text.strip()
    return checked(headers)


def label(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise click.BadParameter("expected a label of printable characters")
    return value


def hush(quiet: bool) -> bool:
    if quiet:
        from ..prompt.screen import screen

        screen.quiet = True
    return quiet
