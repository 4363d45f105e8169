"""`WWW-Authenticate` read by its grammar (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728 §5.1).

One pass from left to right: nothing inside a quoted string is ever looked at again, so no
value can pose as a parameter, and a hostile header costs linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

_GAP: Final = re.compile(r"[\s,]*+")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_EQUALS: Final = re.compile(r"[ \t]*+=[ \t]*+")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_UNQUOTED: Final = re.compile(r'[^\s,"]++')
_TOKEN68: Final = re.compile(r"[ \t]++([A-Za-z0-9\-._~+/]++=*+)[ \t]*+(?=,|$)")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_PLAIN_JUNK: Final = re.compile(r"[^\",]++")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge. `scheme` and the parameters' names are in lower case.

    `bearer_too`: another one beside it accepts a Bearer token (RFC 9449 §7.2).
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    token68: str = ""
    bearer_too: bool = False

    def get(self, name: str) -> str:
        return self.parameters.get(name, "")

    @property
    def resource_metadata(self) -> str:
        """RFC 9728 §5.1; empty when the challenge has none."""
        return self.get("resource_metadata")

    @property
    def scope(self) -> tuple[str, ...] | None:
        """RFC 6750 §3; None when the challenge names no scope."""
        return tuple(self.get("scope").split()) or None

    @property
    def error(self) -> str:
        return self.get("error")

    @property
    def dpop_only(self) -> bool:
        """Whether only a token that is bound to a key is accepted (RFC 9449 §7.1)."""
        return self.scheme == "dpop" and not self.bearer_too


def read_challenges(headers: Iterable[str]) -> list[Challenge]:
    """All challenges of all `WWW-Authenticate` headers, in order. Garbage is skipped."""
    challenges: list[tuple[str, dict[str, str], str]] = []
    for text in headers:
        at = 0
        while (at := _end(_GAP, text, at)) < len(text):
            name = _TOKEN.match(text, at)
            if name is None:
                at = _junk(text, at)
            elif (equals := _EQUALS.match(text, name.end())) and challenges:
                at = _parameter(text, name.group().lower(), equals.end(), challenges[-1][1])
            elif name.end() < len(text) and text[name.end()] not in " \t,":
                at = _junk(text, name.end())
            else:
                token68 = _TOKEN68.match(text, name.end())
                challenges.append((name.group().lower(), {}, token68.group(1) if token68 else ""))
                at = (token68 or name).end()
    return [Challenge(scheme, parameters, token68) for scheme, parameters, token68 in challenges]


def relevant(challenges: Iterable[Challenge]) -> Challenge | None:
    """The challenge to act on: one with an error or metadata first, then Bearer before DPoP."""
    ranked = sorted(
        (c for c in challenges if c.scheme in ("bearer", "dpop")),
        key=lambda c: (not c.resource_metadata and not c.error, c.scheme != "bearer"),
    )
    if not ranked:
        return None
    bearer_too = ranked[0].scheme == "dpop" and any(c.scheme == "bearer" for c in ranked)
    return replace(ranked[0], bearer_too=True) if bearer_too else ranked[0]


def _parameter(text: str, name: str, at: int, parameters: dict[str, str]) -> int:
    if text.startswith('"', at):
        value = _QUOTED.match(text, at)
        if value is None:  # no closing quote: the end of the value is unknown
            return len(text)
        parameters.setdefault(name, _ESCAPE.sub(r"\1", value.group(1)))
        return value.end()
    plain = _UNQUOTED.match(text, at)
    if plain is None:
        return at
    parameters.setdefault(name, plain.group())
    return plain.end()


def _junk(text: str, at: int) -> int:
    """Skip something that is neither scheme nor parameter, up to the next comma.

    A quoted string in it is skipped whole: its content is not ours to read.
    """
    while at < len(text) and text[at] != ",":
        if text[at] == '"':
            value = _QUOTED.match(text, at)
            at = value.end() if value else len(text)
        else:
            at = _end(_PLAIN_JUNK, text, at)
    return at


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
