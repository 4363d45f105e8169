"""The MCP server's response to a request without a token: the 401 and its challenge."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from ..errors import AuthError
from ..events import Event
from ..grants.probe import require_covered
from ..origin import same_origin, shown
from ..protocol.absence import is_downgrade
from ..protocol.challenge import Challenge, read_challenges
from ..protocol.document import parsed
from ..protocol.oauth_error import is_passing, said
from ..protocol.probe import ServerAnswer, ask_server
from ..protocol.scopes import OFFLINE
from ..protocol.urls import Endpoint, is_relative
from ..secret import quoted
from .exam import Check, Exam
from .faults import is_sign_in
from .report import Finding, Question

_401: Final = "401 without a token (RFC 6750 §3.1, MCP “Error Handling”)"
_CHALLENGE: Final = "a Bearer challenge with resource_metadata (RFC 9728 §5.1)"
_REDIRECT: Final = "the MCP endpoint is one URL that takes a POST (MCP “Streamable HTTP”)"
_NO_OFFLINE: Final = "a server does not ask for offline_access (MCP “Refresh Tokens”)"
_HEADER: Final = "www-authenticate"
# RFC 9110 §11.2: a value with a colon or a slash in it is a quoted string
_UNQUOTED: Final = re.compile(r"resource_metadata\s*=\s*(?![\"\s])(\S+)", re.IGNORECASE)
# as the MCP SDKs, Starlette, Django, Rails, Vite and webpack word it
_HOST: Final = re.compile(
    r"invalid (?:http_)?host\b|(?:blocked|disallowed) hosts?\b|\ballowed_?hosts\b"
    r"|\bhost\b.{0,100}?\bnot (?:allowed|permitted)",
    re.IGNORECASE,
)
_BEGINNING: Final = 4096
# as nginx words it, and others in similar words
_NO_CERTIFICATE: Final = (b"No required SSL certificate", b"lient certificate required")
_REFUSALS: Final = ("unauthorized", "unauthenticated", "invalid_token", "access_denied")
_NOT_CODE: Final = "‘’“”"


def challenge(exam: Exam) -> Check[ServerAnswer]:
    """The 401 and its challenge, after redirects."""
    redirects: list[Event] = []
    answer = exam.follow(ask_server(exam.server_url), redirects.append, looking=True)
    exam.endpoint = answer.url
    for event in redirects:
        requested = f"POST {event.url}, an MCP initialize without a token"
        yield exam.ask("challenge.redirect", requested, _REDIRECT, event.url).found(
            "warning",
            "redirect",
            f"HTTP {event.status}, {event.detail}",
            "clients that do not repeat a POST after a redirect, or drop the token on the way",
        )
    try:
        require_covered(exam.server_url, answer)
    except AuthError as error:
        yield exam.ask("challenge.redirect", f"POST {exam.server_url.shown}").failed(error)
    requested = f"POST {shown(answer.url)}, an MCP initialize without a token"
    yield _status(exam, exam.ask("challenge.status", requested, _401, answer.url), answer)
    if answer.status == 401:
        yield from _header(exam, requested, answer)
    return answer


def _status(exam: Exam, question: Question, answer: ServerAnswer) -> Finding:
    status, came = answer.status, f"HTTP {answer.status}"
    if status == 401:
        return question.ok(came)
    if is_passing(status):
        fault = "rate-limited" if status == 429 else "server-error"
        return question.found("error", fault, came, "all", "Unavailable", status=status)
    words = said(answer.response)
    came += f": {quoted(words)}" if words else ""
    if 200 <= status < 300 and answer.refuses:
        came += ", an error of JSON-RPC in place of a 401"
    elif refuses_inside(answer):
        came += ", with a refusal in the body in place of a 401"
    elif 200 <= status < 300:
        affected = "none, if this is meant; a client that waits for a 401 never logs in"
        remedy = "Answer 401 with a challenge to every request that requires a login"
        return question.note(f"{came} without a token", affected, remedy)
    if answer.led_to:
        came += f" to {shown(answer.led_to)}, which is not followed"
    fault = "host-refused" if refuses_host(answer) else "no-401"
    fault = "http-urls" if is_downgrade(exam.server_url, answer) else fault
    if is_sign_in(answer.led_to):
        affected = (
            "clients that begin with the 401; all, if requests with a token are redirected too"
        )
        return question.found("warning", "sign-in", came, affected, led=shown(answer.led_to))
    affected = "clients that begin with the 401; this one goes on to the well-known places"
    return question.found("warning", fault, came, affected)


def refuses_host(answer: ServerAnswer) -> bool:
    """Whether the server, or its framework, refuses a host name that it was not configured for."""
    start = answer.response.body[:_BEGINNING].decode("utf-8", "replace")
    refused = answer.status in (400, 403, 404) and bool(_HOST.search(start))
    return refused or answer.status == 421


def wants_certificate(answer: ServerAnswer) -> bool:
    """Whether a proxy refuses because the connection has no certificate of the client."""
    return answer.status in (400, 403, 496) and any(
        words in answer.response.body[:_BEGINNING] for words in _NO_CERTIFICATE
    )


def refuses_inside(answer: ServerAnswer) -> bool:
    """Whether a success contains a refusal, as from a gateway that sends a function's whole
    answer as the body."""
    value = parsed(answer.response) if 200 <= answer.status < 300 else None
    fields = value if isinstance(value, dict) else {}
    statuses = {str(fields.get(name)) for name in ("statusCode", "status", "code")}
    error = fields.get("error")
    refused = isinstance(error, str) and error.lower() in _REFUSALS
    return answer.refuses or refused or bool(statuses & {"401", "403"})


def _header(exam: Exam, requested: str, answer: ServerAnswer) -> Check[None]:
    """Check the header of the 401: the place of the resource metadata, and what else it says."""
    question = exam.ask("challenge.header", requested, _CHALLENGE, answer.url)
    challenge, headers = answer.challenge, answer.response.header_values(_HEADER)
    if challenge is None:
        yield _none(question, answer, headers)
        return
    yield _named_place(exam, question, challenge, headers)
    if challenge.error:
        standard = "no error code where no token was sent (RFC 6750 §3.1)"
        yield exam.ask("challenge.error", requested, standard).note(
            f"error={challenge.error} in the challenge although no token was sent",
            "clients that take it for a token that was refused",
            "Leave error out when the request carries no Authorization header",
        )
    scope = challenge.scope
    if scope and OFFLINE in scope:
        yield offline_listed(exam, "challenge.scope", requested)
    elif scope:
        standard = "the scopes that the request needs (MCP “Scope Selection Strategy”)"
        yield exam.ask("challenge.scope", requested, standard).ok(f"scope {' '.join(scope)}")
    else:
        standard = "scope is recommended (MCP “Scope Selection Strategy”)"
        came = "no scope in the challenge: clients ask for scopes_supported of the metadata"
        yield exam.ask("challenge.scope", requested, standard).note(came)


def _none(question: Question, answer: ServerAnswer, headers: list[str]) -> Finding:
    """No Bearer challenge: has a gateway renamed the header, or is there none at all?"""
    affected = "clients that learn from the header that a login is required, and where"
    standard = "a 401 has a WWW-Authenticate header (RFC 9110 §15.5.2); " + _CHALLENGE
    question = replace(question, standard=standard)
    renamed = [n for n, _ in answer.response.headers if n.lower().endswith("-" + _HEADER)]
    if renamed:
        came = f"WWW-Authenticate comes renamed, as {quoted(renamed[0], 60)}"
        return question.found("warning", "challenge-renamed", came, affected)
    schemes = ", ".join(each.scheme for each in read_challenges(headers)) or "none"
    came = f"no Bearer challenge in WWW-Authenticate (schemes: {schemes})"
    return question.found("warning", "no-challenge", came, affected)


def _named_place(
    exam: Exam, question: Question, challenge: Challenge, headers: list[str]
) -> Finding:
    """Where the challenge says that the resource metadata is."""
    named, affected = challenge.resource_metadata, "clients that look nowhere else"
    if not named:
        return question.found(
            "warning",
            "challenge-no-metadata",
            f"a {challenge.scheme} challenge without resource_metadata",
            "clients that follow MCP 2025-06-18 and read the place from the header only",
        )
    came = f"resource_metadata is {shown(named)}"
    if named[0] in "'`&" or any(mark in named for mark in _NOT_CODE):
        what = "single quotes are" if named[0] == "'" else "the quotes are"
        came = f"{came}, which is not an absolute URL: {what} part of it"
        return question.found("warning", "challenge-quotes", came, affected)
    if is_relative(named):
        came += ", which is not an absolute URL"
        return question.found("warning", "challenge-relative", came, affected)
    try:
        Endpoint.checked(named, "the challenge's resource_metadata", exam.options)
    except AuthError as error:
        return question.failed(error)
    if any(_UNQUOTED.search(header) for header in headers):
        came = f"{came}, without quotes around it"
        return question.found("warning", "challenge-quotes", came, "clients with a strict parser")
    if same_origin(named, exam.server_url):
        return question.ok("a Bearer challenge that names the resource metadata")
    affected = "clients that read metadata from the server's own origin only"
    return question.found("warning", "challenge-elsewhere", came, affected)


def offline_listed(exam: Exam, check: str, requested: str) -> Finding:
    return exam.ask(check, requested, _NO_OFFLINE).note(
        "offline_access is among the scopes",
        "people consent to more than the server needs",
        "Remove it; clients add it where the authorization server lists it",
    )
