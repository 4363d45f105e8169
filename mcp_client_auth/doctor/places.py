"""The places where a metadata document may lie, each looked at with the eyes of the flow.

The flow stops at the first place that has a document; an operator wants to know of all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import AuthError
from ..protocol.discovery import absent, metadata_request
from ..protocol.flow import HttpResponse
from ..protocol.urls import shown, split
from .exam import Check, Exam
from .finding import Finding, Level, failed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """`missed`: the level where nothing is there, and who then stumbles."""

    url: str
    standard: str
    missed: Level = "note"
    stumbles: str = ""
    remedy: str = ""

    @property
    def path(self) -> str:
        return split(self.url).path


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A document that its reader accepts, and the answer that it came in."""

    value: T
    response: HttpResponse


def look(
    exam: Exam, check: str, place: Place, read: Callable[[HttpResponse], T], *, reached: bool
) -> Check[Found[T] | AuthError | None]:
    """What is at one place: a document, a fault, or nothing.

    `reached`: whether the flow comes here, so that a fault ends it.
    """
    asked = f"GET {shown(place.url)}"
    tried: list[str] = []
    try:
        response = exam.send(metadata_request(place.url))
        if absent(response, tried):
            yield _missing(check, place, asked, tried[-1])
            return None
        value = read(response)
    except AuthError as error:
        yield _broken(check, place, asked, error, reached=reached)
        return error
    kind = response.header("content-type").partition(";")[0].strip().lower()
    yield _present(check, place, asked, kind)
    return Found(value, response)


def _present(check: str, place: Place, asked: str, kind: str) -> Finding:
    came = f"a valid document at {place.path}"
    if kind == "application/json":
        return Finding(check, "ok", asked, came, place.standard)
    return Finding(
        check,
        "warning",
        asked,
        f"{came}, but its Content-Type is {kind or 'missing'}",
        "Content-Type: application/json (RFC 9728 §3.2, RFC 8414 §3.2)",
        "clients that look at the type before they parse",
        "Send Content-Type: application/json",
    )


def _missing(check: str, place: Place, asked: str, came: str) -> Finding:
    came = came.rpartition(" answered ")[2] + f" at {place.path}"
    return Finding(check, place.missed, asked, came, place.standard, place.stumbles, place.remedy)


def _broken(check: str, place: Place, asked: str, error: AuthError, *, reached: bool) -> Finding:
    if reached:
        return failed(check, error, asked, place.standard)
    return Finding(
        check,
        "warning",
        asked,
        error.summary,
        place.standard,
        "clients that look here first",
        "Serve the same document here as at the first place, or none (404)",
    )
