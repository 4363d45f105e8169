"""`mcp-login client-metadata URL`: a hosted document, seen as an authorization server sees it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from .. import __version__
from ..addresses import CLASS_NAMES, PUBLIC, host_class
from ..errors import AuthError, InsecureUrl, UsageError, quoted
from ..protocol.client_document import CALLBACK, LARGEST, private_members
from ..protocol.document import parsed, read_document
from ..protocol.flow import HttpRequest, HttpResponse
from ..protocol.options import Options
from ..protocol.redirects import callback_for
from ..protocol.registration import ClientMetadataDocument
from ..protocol.urls import require_secure, shown, split
from ..secret import Secret
from ..transport import HttpTransport
from . import tls
from .client_fields import content, key_set
from .exam import Check, Exam
from .finding import Finding, Report, failed

_JSON: Final = re.compile(r"application/(?:[^\s/;]+\+)?json", re.IGNORECASE)
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,10})", re.IGNORECASE)
_A_DAY: Final = 86_400
_BOM: Final = b"\xef\xbb\xbf"
_ELSEWHERE: Final = "Host it where the authorization server can reach it, as a rule on the internet"
_OBJECT: Final = "a JSON object (draft §4.1, RFC 8259)"


def examine_document(
    url: str, options: Options, on_check: Callable[[str], None], **connection: Any
) -> Report:
    """Fetch and judge. `connection`: what `HttpTransport` is told beside the URL.

    Raises `UsageError` for what is no URL of such a document.
    """
    ClientMetadataDocument(url)
    seen: tls.Seen = {}
    transport = HttpTransport(url, options, on_tls=tls.noted(seen), **connection)
    exam = Exam(url, options, transport, options.http_timeout + 1, on_check=on_check, tls=seen)
    _look(exam, url)
    findings = tuple(finding.fit(exam.secrets) for finding in exam.findings)
    return Report(shown(url), __version__, findings)


def command_for(url: str, document: Mapping[str, Any]) -> str:
    """How a login uses a sound document; `UsageError` where no callback of it can arrive here."""
    uris = tuple(document["redirect_uris"])
    words = ["mcp-login", "SERVER", "--client-metadata-url", shlex.quote(url)]
    if CALLBACK not in uris:
        where = callback_for(ClientMetadataDocument(url, uris), False, "", Options())
        words += ["--redirect-uri", shlex.quote(where.uri)]
    if document.get("token_endpoint_auth_method") == "private_key_jwt":
        words += ["--client-key-file", "KEY"]
    return " ".join(words)


def _look(exam: Exam, url: str) -> None:
    exam.perform("document.url", _url(url))
    response = exam.perform("document.answer", _answer(exam, url))
    if response is None:
        return
    exam.perform("document.served", _served(response))
    document = exam.perform("document.json", _object(response))
    if document is None:
        return
    exam.secrets += _secrets(document)
    exam.perform("document.content", content(url, document))
    if isinstance(document.get("jwks_uri"), str):
        exam.perform("document.jwks_uri", _other_keys(exam, document["jwks_uri"]))
    exam.perform("tls", tls.connections(exam))
    if all(finding.level != "error" for finding in exam.findings):
        exam.perform("document.use", _use(url, document))


def _url(url: str) -> Check[None]:
    standard = "https with a path, short and stable, better without a query (draft §3)"
    asked = shown(url)
    if split(url).query:
        why = "authorization servers that take no client_id with a query"
        yield Finding(
            "document.url", "note", asked, "it has a query", standard, why, "Leave it out"
        )
    else:
        yield Finding("document.url", "ok", asked, "https with a path", standard)
    yield _address(split(url).hostname or "")


def _address(host: str) -> Finding:
    """Seen from here, where the name may mean another address than at the server."""
    check, standard = "document.address", "a public address (draft “SSRF Attacks”, RFC 6890)"
    kind = host_class(host)
    if kind == PUBLIC:
        return Finding(check, "ok", host, "public, or not known here", standard)
    why = "authorization servers elsewhere, which cannot or must not fetch from there"
    return Finding(check, "warning", host, CLASS_NAMES[kind], standard, why, _ELSEWHERE)


def _answer(exam: Exam, url: str) -> Check[HttpResponse | None]:
    check, standard = "document.answer", "200 at once; no redirect is followed (draft §4)"
    asked = f"GET {shown(url)}"
    try:
        response = exam.send(_request(url))
    except AuthError as error:
        yield failed(check, error, asked, standard)
        return None
    if response.status == 200:
        yield Finding(check, "ok", asked, "HTTP 200", standard)
        return response
    came, target = f"HTTP {response.status}", response.header("location")
    if 300 <= response.status < 400 and target:
        came += f", a redirect to {shown(target)}"
    passing = response.status == 429 or response.status >= 500
    why = "every authorization server, which must count it as an error"
    mend = "Serve the document at this very URL, or name the client by the URL where it is"
    kind = "Unavailable" if passing else "BadResponse"
    yield Finding(check, "error", asked, came, standard, why, mend, kind)
    return None


def _request(url: str) -> HttpRequest:
    return HttpRequest("GET", url, {"Accept": "application/json"}, redirects=False)


def _served(response: HttpResponse) -> Check[None]:
    asked = f"GET {shown(response.url)}"
    kind = response.header("content-type").partition(";")[0].strip()
    standard = "application/json, or a type of its own with +json (draft §4.1)"
    if _JSON.fullmatch(kind):
        yield Finding("document.type", "ok", asked, kind, standard)
    else:
        came, why = quoted(kind, 80) if kind else "none", "servers that look at the type first"
        mend = "Send Content-Type: application/json"
        yield Finding("document.type", "warning", asked, came, standard, why, mend)
    yield _size(asked, len(response.body))
    yield _caching(asked, response)


def _size(asked: str, size: int) -> Finding:
    check, came, standard = (
        "document.size",
        f"{size} bytes",
        "5 kB at most (draft “Maximum Response Size”)",
    )
    if size <= LARGEST:
        return Finding(check, "ok", asked, came, standard)
    why = "authorization servers with the limit that the draft recommends"
    mend = "Leave out what is not needed; publish many keys by jwks_uri"
    return Finding(check, "error", asked, came, standard, why, mend, "BadResponse")


def _caching(asked: str, response: HttpResponse) -> Finding:
    check, standard = "document.caching", "servers keep it as long as it says (draft §4.4)"
    told = response.header("cache-control")
    age = _MAX_AGE.search(told)
    if "no-store" in told.lower():
        came, mend = "no-store: it is fetched for each login", "Allow some minutes: max-age=300"
        return Finding(check, "note", asked, came, standard, remedy=mend)
    if age is None:
        came = "no max-age: each server decides how soon it sees a change"
        return Finding(check, "note", asked, came, standard, remedy="Send Cache-Control: max-age")
    came = f"max-age={age[1]}"
    if int(age[1]) > _A_DAY:
        came += ": a change, also of a key, is seen days later"
        return Finding(check, "note", asked, came, standard, remedy="A day is long enough")
    return Finding(check, "ok", asked, came, standard)


def _object(response: HttpResponse) -> Check[Mapping[str, Any] | None]:
    check, asked = "document.json", f"GET {shown(response.url)}"
    try:
        document = read_document(response, "client metadata document").raw
    except AuthError as error:
        yield failed(check, error, asked, _OBJECT)
        return None
    if response.body.startswith(_BOM):
        came, why = "a JSON object behind a byte order mark", "parsers that refuse one"
        mend = "Save it as UTF-8 without a mark (RFC 8259 §8.1)"
        yield Finding(check, "warning", asked, came, _OBJECT, why, mend)
    else:
        yield Finding(check, "ok", asked, "a JSON object", _OBJECT)
    return document


def _secrets(document: Mapping[str, Any]) -> list[Secret]:
    """What no finding may repeat, although anybody can read it there."""
    named = (document.get(name) for name in ("client_secret", "registration_access_token"))
    found = [*named, *(value for _, value in private_members(document))]
    return [Secret(value) for value in found if isinstance(value, str) and len(value) > 3]


def _other_keys(exam: Exam, url: str) -> Check[None]:
    """The keys that an authorization server fetches from elsewhere."""
    check, standard = "document.jwks_uri", "an https URL with a JWK set (RFC 7591 §2)"
    asked = f"GET {shown(url)}"
    try:
        require_secure(url, "jwks_uri")
        response = exam.send(_request(url))
    except AuthError as error:
        mend = _ELSEWHERE if isinstance(error, InsecureUrl) else error.hint
        yield replace(failed(check, error, asked, standard), remedy=mend)
        return
    if response.status != 200:
        why, mend = "every server that is shown an assertion", "Serve the JWK set there"
        came = f"HTTP {response.status}"
        yield Finding(check, "error", asked, came, standard, why, mend, "BadResponse")
        return
    found = parsed(response)
    exam.secrets += _secrets({"": found})
    yield key_set("jwks_uri", found)


def _use(url: str, document: Mapping[str, Any]) -> Check[None]:
    check, asked = "document.use", "how mcp-login uses it"
    try:
        yield Finding(check, "ok", asked, command_for(url, document))
    except UsageError as error:
        yield Finding(check, "note", asked, error.summary, remedy=error.hint)
