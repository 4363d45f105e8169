"""Translates the words of an mcp-remote command line (0.15) for `bridge`, so that it is enough to
change one word of a configuration.

An option that would do something else here is refused in one sentence; one not needed is dropped.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

import click

from ..errors import UsageError
from ..paths import read_named
from ..secret import Secret, quoted
from .values import VARIABLE

_SAME: Final = {
    "--allow-http": "--allow-insecure-http",
    "--debug": "--verbose",
    "--silent": "--quiet",
    "--authorize-param": "--param",
}
_DEVICE: Final = ["--device", "--no-browser"]
_NOT_NEEDED: Final = {  # whether a value follows
    "--transport": True,  # streamable HTTP, and where that is missing HTTP+SSE
    "--auth-success-url": True,
    "--connect-timeout": True,
    "--headers-timeout": True,
    "--body-timeout": True,
    "--ping-interval": True,
    "--keep-alive": False,  # a session that was dropped is begun again
    "--enable-proxy": False,  # always
    "--disable-cookies": False,  # never any
    "--ipv4": False,
}
_REFUSED: Final = {
    "--header-file": "pass each header as --gateway-header 'NAME: @FILE'",
    "--use-id-token": "an ID token is never sent to an MCP server",
    "--client-credentials": "a program that logs in for itself uses the library: see"
    " ClientCredentials",
    "--token-endpoint": "pass --issuer URL, or --endpoint token=URL",
}
KNOWN: Final = frozenset(  # beside those that are ours as well
    {
        *_SAME,
        *_NOT_NEEDED,
        *_REFUSED,
        "--host",
        "--callback-path",
        "--protocol",
        "--header",
        "--static-oauth-client-info",
        "--static-oauth-client-metadata",
        "--device-code",
        "--disable-resource-parameter",
    }
)
_CALLBACK: Final = "/oauth/callback"  # mcp-remote's own
_PORT: Final = re.compile(r"[0-9]{1,5}")
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


def ours(words: list[str], taking: Collection[str]) -> list[str]:
    """Return the words translated. `taking`: our own options that take a value."""
    kept: list[str] = []
    host, port, path = "localhost", "", _CALLBACK
    moved, left = False, iter(words)
    for word in left:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            if _PORT.fullmatch(word) and not port and _has_server(kept, taking):
                port, moved = word, True
            else:
                kept.append(word)
        elif name in _SAME:
            kept.append(_SAME[name] + equals + value)
            if name == "--authorize-param" and not equals:
                kept += _value(left)
        elif name in ("--host", "--callback-path"):
            moved = True
            [given] = [value] if equals else _value(left, name)
            host, path = (given, path) if name == "--host" else (host, given)
        elif name in _NOT_NEEDED:
            if _NOT_NEEDED[name] and not equals:
                _value(left, name)
        elif name in _REFUSED:
            raise UsageError(f"{name} of mcp-remote is not supported", hint=_said(_REFUSED[name]))
        elif name == "--protocol":
            [given] = [value] if equals else _value(left, name)
            if given != "legacy":
                raise UsageError(
                    "--protocol of mcp-remote is not supported, except as legacy",
                    hint="Messages pass as they are: client and server need a common revision",
                )
        elif name == "--header":
            [given] = [value] if equals else _value(left, name)
            kept += ["--gateway-header", _header(given)]
        elif name == "--static-oauth-client-metadata":
            [given] = [value] if equals else _value(left, name)
            kept += _registered(given)
        elif name == "--device-code":
            kept += _DEVICE
        elif name == "--disable-resource-parameter":
            kept += ["--resource", ""]
        else:
            kept.append(word)
            if not equals and name in taking:
                kept += _value(left)
    return [*kept, "--redirect-uri", _redirect(host, port, path)] if moved else kept


def client_of(value: str) -> tuple[str, Secret | None, str]:
    """`--static-oauth-client-info`: a client's id, its secret and how it authenticates."""
    require_no_secret(value)
    given = _json(value, "--static-oauth-client-info", expand=True)
    client_id, secret = given.get("client_id"), given.get("client_secret")
    method = given.get("token_endpoint_auth_method", "")
    if not isinstance(client_id, str) or not isinstance(secret, str | None):
        raise UsageError(
            "--static-oauth-client-info has no client_id, or a client_secret that is not text"
        )
    return client_id, Secret(secret) if secret else None, method if isinstance(method, str) else ""


def _has_server(kept: list[str], taking: Collection[str]) -> bool:
    behind = [False, *(word in taking for word in kept)]
    return any(
        not word.startswith("-") and not value for word, value in zip(kept, behind, strict=False)
    )


def _value(left: Iterator[str], name: str = "") -> list[str]:
    """Return the word that follows; if an option of ours has none, click will say so."""
    found = next(left, None)
    if found is None and name:
        raise UsageError(f"{name} needs a value")
    return [] if found is None else [found]


def _header(line: str) -> str:
    name, _, value = (part.strip() for part in line.partition(":"))
    if name.lower() == "authorization":
        raise UsageError(
            "the header Authorization is the login's here",
            hint="A token that was issued by hand is kept once: mcp-login login URL --token-file"
            " FILE",
        )
    if not VARIABLE.fullmatch(value) and not value.startswith("@"):
        raise UsageError(
            f"the value of the header {quoted(name, 80)} must not stand in the command line, which"
            " every user of this machine could read",
            hint="Write --header 'NAME: ${VARIABLE}' and set the variable in the configuration, or"
            " 'NAME: @FILE'",
        )
    return f"{name}: {value}"


def _registered(value: str) -> Iterator[str]:
    """What a client says of itself where it registers; the rest is negotiated here."""
    given = _json(value, "--static-oauth-client-metadata")
    for member, option in (("scope", "--scope"), ("client_name", "--client-name")):
        text = given.pop(member, None)
        if isinstance(text, str):
            yield f"{option}={text}"
    if given:
        named = quoted(", ".join(given), 120)
        raise UsageError(
            f"--static-oauth-client-metadata says {named}, which cannot be chosen here",
            hint="Only scope and client_name can be set; the rest is negotiated with the server",
        )


def _json(value: str, name: str, *, expand: bool = False) -> dict[str, Any]:
    try:
        text = read_named(value[1:]) if value.startswith("@") else value
        if expand:
            text = _VARIABLE.sub(lambda found: json.dumps(_variable(found[1]))[1:-1], text)
        given = json.loads(text)
    except OSError as error:
        raise UsageError(f"{name} names a file that cannot be read: {error.strerror}") from None
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise UsageError(f"{name} is not a JSON object, or @FILE with one")
    return given


def require_no_secret(value: str) -> None:
    """Refuse a secret in a client that is given as JSON; a file may have one."""
    try:
        secret = json.loads(value).get("client_secret")
    except (ValueError, AttributeError):
        return
    if isinstance(secret, str) and secret and not _VARIABLE.fullmatch(secret):
        raise UsageError(
            "the client secret is in the command line, which every user of this machine could read",
            hint='Write "client_secret": "${VARIABLE}" and set the variable in the configuration,'
            " or pass @FILE",
        )


def _variable(name: str) -> str:
    if not (text := os.environ.get(name, "")):
        raise click.BadParameter(f"the variable {name} is not set")
    return text


def _redirect(host: str, port: str, path: str) -> str:
    place = f"{host}:{port}" if port else host
    return f"http://{place}{path}"


def _said(text: str) -> str:
    return text[:1].upper() + text[1:]
