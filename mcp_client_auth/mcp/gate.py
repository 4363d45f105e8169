"""Which requests to a listener on loopback may pass: pure, and asked before a body is read.

Any program on this machine can connect there, and so can a web page in the user's browser. No
word of a request is repeated in its answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple, TypeAlias

from ..secret import Secret

PATH: Final = "/mcp"
METHODS: Final = ("DELETE", "GET", "POST")
Headers: TypeAlias = Sequence[tuple[str, str]]  # names are in lower case
_UNPROVEN: Final = "The secret is missing or wrong. It was shown when this program started"
_NO_PAGE: Final = "Web pages may not use this listener"
_FROM_PAGES: Final = ("cross-site", "same-site")
# What MCP says in headers (2025-11-25 and 2026-07-28, transports). Nothing else is handed on.
_OF_REQUESTS: Final = ("accept", "content-type", "last-event-id")
_OF_ANSWERS: Final = ("content-type", "retry-after")
_OF_BOTH: Final = "mcp-"


class Refusal(NamedTuple):
    """The status and text of the answer to a request that may not pass."""

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()


class Gate:
    """`hosts`: what a client may call us in `Host`, with the port. `secret` is in the header
    `Authorization: Bearer`, or in the path before `/mcp`."""

    def __init__(self, hosts: Collection[str], secret: Secret) -> None:
        self._hosts, self._secret = hosts, secret

    def refusal(self, method: str, target: str, headers: Headers) -> Refusal | None:
        """Why a request may not pass; None if it may."""
        return (
            self._foreign(headers)
            or self._unknown(target, headers)
            or _unfit(method, headers)
            or None
        )

    def _foreign(self, headers: Headers) -> Refusal | None:
        hosts = [value.lower() for name, value in headers if name == "host"]
        # DNS rebinding: a page calls our address by a name of its own
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return Refusal(421, "The header Host does not name this listener")
        for name, value in headers:
            if name == "origin" and value.lower().removeprefix("http://") not in self._hosts:
                return Refusal(403, _NO_PAGE)
            if name == "sec-fetch-site" and value.lower() in _FROM_PAGES:
                return Refusal(403, _NO_PAGE)
        return None

    def _unknown(self, target: str, headers: Headers) -> Refusal | None:
        if target == PATH:
            given = [value for name, value in headers if name == "authorization"]
            scheme, _, secret = (given[0] if len(given) == 1 else "").partition(" ")
            if scheme.lower() == "bearer" and self._secret.matches(secret.strip()):
                return None
            return Refusal(401, _UNPROVEN, (("WWW-Authenticate", "Bearer"),))
        root, _, rest = target.partition("/")
        before, slash, rest = rest.partition("/")
        if not root and f"{slash}{rest}" == PATH and self._secret.matches(before):
            return None
        return Refusal(404, "There is nothing at this path")


def _unfit(method: str, headers: Headers) -> Refusal | None:
    if method not in METHODS:
        return Refusal(405, f"MCP uses only {', '.join(METHODS)}", (("Allow", ", ".join(METHODS)),))
    counts = Counter(name for name, _ in headers)
    # of two, a proxy may believe the one and a server the other
    if {"content-length", "transfer-encoding"} <= counts.keys():
        return Refusal(400, "The length of the request is given in two ways")
    lengths = [value for name, value in headers if name == "content-length"]
    # a server that does not read it would take it for the next request, perhaps another client's
    if method != "POST" and ("transfer-encoding" in counts or any(map(_is_some, lengths))):
        return Refusal(400, "Only a POST may have a body")
    if any(counts[name] > 1 for name in counts if name != "accept" and _is_handed_on(name)):
        return Refusal(400, "A header is given twice")
    kind = next((value for name, value in headers if name == "content-type"), "")
    if method == "POST" and kind.partition(";")[0].strip().lower() != "application/json":
        return Refusal(415, "An MCP message must be application/json")
    return None


def _is_some(length: str) -> bool:
    return length.strip("0") != ""


def _is_handed_on(name: str) -> bool:
    return name in _OF_REQUESTS or name.startswith(_OF_BOTH)


def to_server(headers: Headers) -> dict[str, str]:
    """The headers of a request that go to the server, as they are sent: in UTF-8."""
    kept: dict[str, str] = {}
    for name, value in headers:
        if _is_handed_on(name):
            value = value.encode("latin-1").decode("utf-8", "surrogateescape")
            kept[name] = f"{kept[name]}, {value}" if name in kept else value
    return kept


def to_client(headers: Headers) -> list[tuple[str, str]]:
    """The headers of an answer that go to the client: above all no cookie, and no challenge, which
    would make it log in itself."""
    return [
        (name, value)
        for name, value in headers
        if (name in _OF_ANSWERS or name.startswith(_OF_BOTH))
        and value.isascii()
        and value.isprintable()
    ]
