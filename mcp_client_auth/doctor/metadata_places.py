"""The places where a metadata document may be, each read as a login reads it.

A login stops at the first place that has a document; an operator wants to know about all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from ..errors import AuthError
from ..origin import shown, split
from ..protocol.absence import Absence
from ..protocol.discovery import absent, metadata_request
from ..protocol.document import parsed
from ..protocol.flow import HttpResponse
from .exam import Check, Exam
from .faults import is_sign_in
from .report import Level

T = TypeVar("T")
_LISTS: Final = (
    "authorization_servers",
    "scopes_supported",
    "bearer_methods_supported",
    "response_types_supported",
    "grant_types_supported",
    "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported",
)
_FLAGS: Final = (
    "authorization_response_iss_parameter_supported",
    "client_id_metadata_document_supported",
    "require_pushed_authorization_requests",
    "dpop_bound_access_tokens_required",
)
_READ: Final = (
    "resource",
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
)
_AGE: Final = re.compile(r"max-age\s*=\s*\"?(\d{1,10})", re.IGNORECASE)
_GZIP: Final = b"\x1f\x8b"
_PACKED: Final = "a body that is compressed twice"
_LONG: Final = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Place:
    """A place to look at. `missing`: the level of the finding if nothing is there. `stumbles`: see
    `Finding`. `fault`: the row of the remedies for that case."""

    url: str
    standard: str
    missing: Level = "note"
    stumbles: str = ""
    fault: str = "metadata-absent"


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What is at one place: a `value` that its reader accepts, or the `error` that it raises, or
    nothing (`absence`); `raw` is the object that came, also if it is not accepted."""

    url: str
    value: T | None = None
    error: AuthError | None = None
    absence: Absence | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    response: HttpResponse | None = None


def look(exam: Exam, place: Place, read: Callable[[HttpResponse], T]) -> Seen[T]:
    """What is there, also behind a certificate that is not trusted."""
    response: HttpResponse | None = None
    raw: Mapping[str, Any] = {}
    try:
        response = exam.look(metadata_request(place.url))
        if absence := absent(response):
            return Seen(place.url, absence=_told(absence, response), response=response)
        value = parsed(response)
        raw = value if isinstance(value, dict) else {}
        return Seen(place.url, read(response), raw=raw, response=response)
    except AuthError as error:
        return Seen(place.url, error=error, raw=raw, response=response)


def _told(absence: Absence, response: HttpResponse) -> Absence:
    """Return the absence as it is meant. If there is no such thing, a REST API Gateway of AWS says
    that a token is missing, and a bucket denies access. A body compressed twice is named too."""
    kind = response.header("x-amzn-errortype")
    denied = b"<Code>AccessDenied</Code>" in response.body
    if absence.status == 403 and (kind.startswith("MissingAuthenticationToken") or denied):
        where = "a bucket: no such object" if denied else "API Gateway: no such route"
        return replace(absence, status=404, came=f"{absence.came} ({where})")
    if response.body.startswith(_GZIP):
        return replace(absence, came=_PACKED)
    return absence


def judged(
    exam: Exam, check: str, place: Place, seen: Seen[T], *, lone: bool, reached: bool
) -> Check[None]:
    """The findings of one place. `lone`: there is no document anywhere, which is a fault of its
    own; `reached`: an error here is what a login ends with."""
    path = split(place.url).path
    question = exam.ask(check, f"GET {shown(place.url)}", place.standard, place.url)
    if seen.absence is not None:
        came = f"{seen.absence.came} at {path}"
        if lone or place.missing == "note":
            yield question.note(came, place.stumbles)
        else:
            yield question.found(place.missing, place.fault, came, place.stumbles)
    elif seen.error is not None:
        level: Level = "error" if reached else "warning"
        made = question.failed(seen.error, level, "" if reached else "clients that look here first")
        if made.fault == "metadata-unfit" and {"issuer", "token_endpoint"} <= seen.raw.keys():
            fault = "metadata-of-server"
            made = question.found(level, fault, made.came, made.stumbles, made.error)
        yield made
    else:
        yield question.ok(path.replace("/.well-known/", "", 1))
    if seen.response is not None and seen.raw:
        yield from _served(exam, check, place.url, seen.response, seen.raw)


def _served(
    exam: Exam, check: str, url: str, response: HttpResponse, raw: Mapping[str, Any]
) -> Check[None]:
    """How a document is served, by the standard and not by what this client forgives."""
    path, requested = split(url).path, f"GET {shown(url)}"
    kind = response.header("content-type").partition(";")[0].strip().lower()
    if kind != "application/json":
        standard = "Content-Type: application/json (RFC 9728 §3.2, RFC 8414 §3.2)"
        yield exam.ask(check, requested, standard, url).found(
            "warning",
            "document-type",
            f"the Content-Type at {path} is {kind or 'missing'}",
            "clients that look at the type before they parse",
        )
    if response.body.startswith(b"\xef\xbb\xbf"):
        standard = "JSON without a byte order mark (RFC 8259 §8.1)"
        yield exam.ask(check, requested, standard, url).found(
            "warning",
            "document-bom",
            f"the document at {path} begins with a byte order mark",
            "clients whose JSON parser refuses it, as JavaScript's does",
        )
    if response.url != url:
        standard = "200 at the place itself (RFC 9728 §3.2, RFC 8414 §3.2)"
        yield exam.ask(check, requested, standard, url).found(
            "warning",
            "document-redirect",
            f"{path} redirects to {shown(response.url)}",
            "pages in browsers without CORS on the redirect, and clients that follow none",
        )
    if wrong := [name for name in _LISTS if isinstance(raw.get(name), str)]:
        standard = "an array of strings (RFC 9728 §2, RFC 8414 §2)"
        example = ", ".join(f'"{name}": ["{raw[name]}"]' for name in wrong)
        yield exam.ask(check, requested, standard, url).found(
            "warning",
            "document-lists",
            f"{' and '.join(wrong)} at {path} is a text, not a list",
            "clients that keep to the standard: they refuse the document",
            example=example,
        )
    if texts := [name for name in _FLAGS if isinstance(raw.get(name), str)]:
        standard = "true or false (RFC 8414 §2, RFC 9207 §3)"
        yield exam.ask(check, requested, standard, url).warning(
            f"{' and '.join(texts)} at {path} is a text, not true or false",
            "clients that read it as false",
            "Write true or false without quotes",
        )
    age = _AGE.search(response.header("cache-control"))
    if age and int(age[1]) > _LONG:
        standard = "a change is seen soon (RFC 9111 §4.2)"
        days = int(age[1]) // 86_400
        yield exam.ask("document.caching", requested, standard, url).found(
            "note", "document-cached", f"caches may keep {path} for {days} days (max-age={age[1]})"
        )


def same_document(exam: Exam, check: str, standard: str, seen: Sequence[Seen[T]]) -> Check[None]:
    """Whether the documents at several places say the same, as far as a login reads them."""
    documents = [each for each in seen if each.raw and each.response is not None]
    for other in documents[1:]:
        first = documents[0]
        differ = [n for n in (*_READ, *_LISTS) if first.raw.get(n) != other.raw.get(n)]
        if differ:
            here, there = split(first.url).path, split(other.url).path
            requested = f"{shown(first.url)} and {shown(other.url)}"
            yield exam.ask(check, requested, standard, other.url).found(
                "warning",
                "documents-differ",
                f"the documents at {here} and {there} differ in {', '.join(differ)}",
                "clients come to different servers, depending on where they look first",
            )


def closed_to(absences: Sequence[Absence]) -> tuple[str, dict[str, str]]:
    """Return why places that have a document do not show it, as a row of the remedies and the
    values for its texts; empty if nothing is there."""
    if absences and all(each.status in (401, 403) for each in absences):
        return "metadata-protected", {"url": absences[0].url}
    for each in absences:
        # within its origin a redirect was followed
        led = each.led_to or (each.url if each.is_page and each.status < 300 else "")
        if is_sign_in(led):
            return "metadata-sign-in", {"url": each.url, "led": shown(led)}
        if each.led_to:
            back = each.led_to.startswith("http://" + each.url.removeprefix("https://"))
            return "http-urls" if back else "document-redirect", {"url": each.url}
        if each.status == 200 and not each.is_page:
            packed = each.came == _PACKED
            return "document-compression" if packed else "document-broken", {"url": each.url}
    return "", {}


def misplaced(exam: Exam, places: Iterable[tuple[str, str, str]]) -> tuple[str, str, str] | None:
    """Return the first place with a document: (fault, where it is by mistake, where it belongs)."""
    for fault, url, belongs in places:
        with suppress(AuthError):
            response = exam.look(metadata_request(url))
            if response.status == 200 and isinstance(parsed(response), dict):
                return fault, url, belongs
    return None
