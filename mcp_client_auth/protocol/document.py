"""A JSON object from a server, read field by field with one kind of error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn
from urllib.parse import urljoin

from ..errors import BadResponse, Remedy
from ..origin import shown
from ..secret import Secret, quoted
from .flow import HttpResponse
from .json_text import json_value as json_value

TO_FIX: Final = "The server's operator has to fix this"
_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Document:
    """The object, with what it is and where it came from, so that an error can say both.

    A required field of the wrong type raises `BadResponse`; an optional one counts as absent.
    """

    what: str
    url: str
    raw: Mapping[str, Any] = field(repr=False)  # in a token response, these are the tokens
    hint: str | Remedy = TO_FIX  # what the person can do about a document that is not usable

    def text(self, name: str) -> str:
        """An optional string; empty when absent, null or of another type."""
        value = self.raw.get(name)
        return value if isinstance(value, str) else ""

    def secret(self, name: str) -> Secret | None:
        """An optional string that is a secret; None when absent or empty."""
        return Secret(self.text(name)) if self.text(name) else None

    def need(self, name: str, hint: str | Remedy = "") -> str:
        value = self.raw.get(name)
        if isinstance(value, str) and value:
            return value
        got = "an empty one" if value == "" else _NAMES.get(type(value), "a number")
        got = got if name in self.raw else "nothing"
        self.broken(f"“{name}” must be a non-empty string, got {got}", hint)

    def texts(self, name: str) -> tuple[str, ...] | None:
        """An optional array of strings, or one string of words; None when absent."""
        value = self.raw.get(name)
        if isinstance(value, str):
            return tuple(value.split())
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(dict.fromkeys(value))
        return None

    def words(self, name: str) -> tuple[str, ...] | None:
        """The same, split into words: spaces around or between them are not part of any."""
        texts = self.texts(name)
        return None if texts is None else tuple(dict.fromkeys(" ".join(texts).split()))

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

    def broken(self, why: str, hint: str | Remedy = "") -> NoReturn:
        raise BadResponse(
            f"the {self.what} is not usable: {why}", url=self.url, hint=hint or self.hint
        )


def read_document(response: HttpResponse, what: str, hint: str | Remedy = TO_FIX) -> Document:
    """The answer's JSON object; `BadResponse` when it is anything else."""
    value = parsed(response)
    if isinstance(value, dict):
        return Document(what, response.url, value, hint)
    raise BadResponse(
        f"the {what} must be a JSON object, got HTTP {response.status} with {described(response)}",
        url=response.url,
        hint=hint,
    )


def parsed(response: HttpResponse) -> Any:
    """The JSON value of the body, or None where the body is not JSON."""
    try:
        return json_value(response.body.decode("utf-8-sig"))
    except ValueError:
        return None


def described(response: HttpResponse) -> str:
    """Describe in a few words an answer that is not what was expected."""
    if target := redirected_to(response):
        return f"a redirect to {target}, which is not followed"
    if not response.body:
        return "an empty body"
    if is_page(response):
        return "an HTML page"
    value = parsed(response)
    if value is not None or response.body.strip() == b"null":
        return f"a JSON {_NAMES.get(type(value), 'number')}"
    kind = response.header("content-type").partition(";")[0].strip()
    if kind.lower() == "application/json":
        return "a body that is not valid JSON"
    return f"a body of type {quoted(kind, 60)}" if kind else "a body that is not JSON"


def redirected_to(response: HttpResponse) -> str:
    """Where an answer redirects to, made fit for a message; empty if it does not redirect."""
    location = response.header("location")
    if not 300 <= response.status < 400 or not location:
        return ""
    try:
        return shown(urljoin(response.url, location))
    except ValueError:
        return shown(location)


def is_page(response: HttpResponse) -> bool:
    """Whether it is an HTML page, by its body or by its type; JSON is not, whatever its type."""
    start = response.body[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return True
    kind = response.header("content-type").partition(";")[0].strip().lower()
    return kind in ("text/html", "application/xhtml+xml") and parsed(response) is None
