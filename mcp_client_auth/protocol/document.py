"""A JSON object from a server, read field by field with one kind of complaint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ..errors import BadResponse, quoted
from ..secret import Secret
from .flow import HttpResponse
from .urls import shown

_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Document:
    """The object, with what it is and where it came from, so that an error can say both.

    A needed field of the wrong type is a `BadResponse`; an optional one counts as absent.
    """

    what: str
    url: str
    raw: Mapping[str, Any] = field(repr=False)  # of a token response, these are the tokens

    def text(self, name: str) -> str:
        """An optional string; empty when absent, null or of another type."""
        value = self.raw.get(name)
        return value if isinstance(value, str) else ""

    def secret(self, name: str) -> Secret | None:
        """An optional string that nobody may see; None when absent or empty."""
        return Secret(self.text(name)) if self.text(name) else None

    def need(self, name: str) -> str:
        value = self.raw.get(name)
        if isinstance(value, str) and value:
            return value
        self.broken(f"“{name}” must be a non-empty string, got {_kind(self.raw, name)}")

    def texts(self, name: str) -> tuple[str, ...] | None:
        """An optional array of strings, or one string of words; None when absent."""
        value = self.raw.get(name)
        if isinstance(value, str):
            return tuple(value.split())
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(dict.fromkeys(value))
        return None

    def flag(self, name: str) -> bool:
        return self.raw.get(name) is True

    def number(self, name: str) -> float | None:
        """An optional finite number, also one written as a string."""
        value = self.raw.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return number if -1e18 < number < 1e18 else None

    def broken(self, why: str) -> NoReturn:
        raise BadResponse(f"the {self.what} is not usable: {why}", url=shown(self.url))


def read_document(response: HttpResponse, what: str) -> Document:
    """The answer's JSON object; `BadResponse` when it is anything else."""
    value = parsed(response)
    if isinstance(value, dict):
        return Document(what, response.url, value)
    got = described(response) if value is None else f"a JSON {_NAMES.get(type(value), 'number')}"
    raise BadResponse(
        f"the {what} must be a JSON object, but HTTP {response.status} came with {got}",
        url=shown(response.url),
    )


def parsed(response: HttpResponse) -> Any:
    """The JSON value of the body, or None where the body is not JSON."""
    try:
        value = json.loads(response.body.decode("utf-8-sig"), parse_constant=_no_constant)
        # RFC 7493 §2.1: half a surrogate pair is no character, and could not be sent on
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value


def error_code(text: str) -> str:
    """A server's error code as it may stand in a field or log (RFC 6749 §5.2): never empty."""
    return quoted(text, 60)[1:-1] or "unknown_error"


def described(response: HttpResponse) -> str:
    """What a body is that is not what was expected, in a few words."""
    if not response.body:
        return "an empty body"
    start = response.body[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    kind = response.header("content-type").partition(";")[0].strip()
    return f"a body of type {quoted(kind, 60)}" if kind else "a body that is not JSON"


def _kind(raw: Mapping[str, Any], name: str) -> str:
    if name not in raw:
        return "nothing"
    value = raw[name]
    return "an empty one" if value == "" else _NAMES.get(type(value), "a number")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
