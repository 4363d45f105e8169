"""The places where a metadata document may lie, each read as a login reads it.

A login stops at the first place that has a document; an operator wants to know of all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import AuthError
from ..origin import shown, split
from ..protocol.discovery import absent, metadata_request
from ..protocol.flow import HttpResponse
from .exam import Check, Exam
from .report import Level

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """`missing`: the level where nothing is there; `stumbles`, `remedy`: see `Finding`."""

    url: str
    standard: str
    missing: Level = "note"
    stumbles: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Document(Generic[T]):
    """A document that its reader accepts, and the response that it came in."""

    value: T
    response: HttpResponse


def look(
    exam: Exam, check: str, place: Place, read: Callable[[HttpResponse], T], *, reached: bool
) -> Check[Document[T] | AuthError | None]:
    """What is at one place: a document, a fault, or nothing.

    `reached`: whether a fault here is what a login ends with.
    """
    question, path = (
        exam.ask(check, f"GET {shown(place.url)}", place.standard),
        split(place.url).path,
    )
    try:
        response = exam.send(metadata_request(place.url))
        if absence := absent(response):
            came = f"{absence.came} at {path}"
            yield question.finding(place.missing, came, place.stumbles, place.remedy)
            return None
        value = read(response)
    except AuthError as error:
        if reached:
            yield question.failed(error)
        else:
            remedy = "Serve the same document here as at the first place, or none (404)"
            yield question.warning(error.summary, "clients that look here first", remedy)
        return error
    kind = response.header("content-type").partition(";")[0].strip().lower()
    came = f"a valid document at {path}"
    if kind == "application/json":
        yield question.ok(came)
    else:
        standard = "Content-Type: application/json (RFC 9728 §3.2, RFC 8414 §3.2)"
        yield exam.ask(check, question.requested, standard).warning(
            f"{came}, but its Content-Type is {kind or 'missing'}",
            "clients that look at the type before they parse",
            "Send Content-Type: application/json",
        )
    return Document(value, response)
