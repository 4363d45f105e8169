"""Headers for a gateway in front of the MCP server; each goes to the origin that it was given for.

Their values are secrets. No redirect carries them anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from ..errors import UsageError
from ..origin import origin_url
from ..secret import Secret, quoted

Headers: TypeAlias = Mapping[str, Mapping[str, Secret]]  # by origin

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")  # RFC 9110 §5.6.2
_VALUE: Final = re.compile(r"[!-~](?:[ -~]{0,8000}[!-~])?")
# The headers of the login and of the connection, and those that the protocol sets.
_NOT_OURS: Final = re.compile(
    r"authorization|dpop|host|cookie2?|proxy-.*|connection|keep-alive|te|trailer|upgrade|expect"
    r"|transfer-encoding|content-.*|accept|accept-encoding|user-agent|origin|last-event-id|mcp-.*",
    re.IGNORECASE,
)


def checked(headers: Mapping[str, Secret | str]) -> dict[str, Secret]:
    """The headers; `UsageError` for what is not one, or is not the caller's to set."""
    secrets = {
        name: Secret(value) if isinstance(value, str) else value for name, value in headers.items()
    }
    if len({name.lower() for name in secrets}) < len(secrets):
        raise UsageError("a gateway header is given twice")
    for name, value in secrets.items():
        if not _NAME.fullmatch(name):
            raise UsageError(f"{quoted(name, 80)} cannot be the name of a gateway header")
        if _NOT_OURS.fullmatch(name):
            raise UsageError(
                f"the header {name} cannot be a gateway's",
                hint="It belongs to the login, the connection or the protocol",
            )
        if not _VALUE.fullmatch(value.reveal()):
            raise UsageError(
                f"the value of the gateway header {name} is empty, or not one line of ASCII"
            )
    return secrets


def checked_for(origins: Mapping[str, Mapping[str, Secret | str]]) -> Headers:
    """The same for the headers of several origins."""
    made = {}
    for url, headers in origins.items():
        try:
            origin = origin_url(url)
        except ValueError:
            origin = ""
        if not origin or url.removesuffix("/") != origin:
            raise UsageError(
                f"headers_for names {quoted(url, 120)}, which is not an origin",
                hint="Expected something like https://auth.example.com",
            )
        made[origin] = checked(headers)
    return made


def headers_at(headers: Headers, url: str) -> dict[str, str]:
    """The headers to send with a request to this URL, in clear text."""
    if not headers:
        return {}
    try:
        ours = headers.get(origin_url(url), {})
    except ValueError:
        return {}
    return {name: value.reveal() for name, value in ours.items()}
