"""The MCP server's response to a request without a token: the 401 and its challenge."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..errors import AuthError
from ..events import Event
from ..grants.probe import require_covered
from ..origin import same_origin, shown
from ..protocol.absence import is_downgrade
from ..protocol.challenge import Challenge, read_challenges
from ..protocol.oauth_error import is_passing
from ..protocol.probe import ServerAnswer, ask_server
from ..protocol.scopes import OFFLINE
from ..protocol.urls import Endpoint, is_relative
from .exam import Check, Exam
from .report import Finding, Question

_401: Final = "401 without a token (RFC 6750 §3.1, MCP “Error Handling”)"
_CHALLENGE: Final = "a Bearer challenge with resource_metadata (RFC 9728 §5.1)"
_REDIRECT: Final = "the MCP endpoint is one URL that takes a POST (MCP “Streamable HTTP”)"
_NO_OFFLINE: Final = "a server does not ask for offline_access (MCP “Refresh Tokens”)"


def challenge(exam: Exam) -> Check[ServerAnswer]:
    """The 401 and its challenge, after redirects."""
    redirects: list[Event] = []
    answer = exam.follow(ask_server(exam.server_url), redirects.append)
    exam.endpoint = answer.url
    for event in redirects:
        requested = f"POST {event.url}, an MCP initialize without a token"
        yield exam.ask("challenge.redirect", requested, _REDIRECT).warning(
            f"HTTP {event.status}, {event.detail}",
            "clients that do not repeat a POST after a redirect, or drop the token on the way",
            "Answer at both URLs without a redirect, or give people the one that it leads to",
        )
    try:
        require_covered(exam.server_url, answer)
    except AuthError as error:
        yield exam.ask("challenge.redirect", f"POST {exam.server_url.shown}").failed(error)
    requested = f"POST {shown(answer.url)}, an MCP initialize without a token"
    yield _status(exam, exam.ask("challenge.status", requested, _401), answer)
    if answer.status == 401:
        yield from _header(exam, requested, answer)
    return answer


def _status(exam: Exam, question: Question, answer: ServerAnswer) -> Finding:
    status, came = answer.status, f"HTTP {answer.status}"
    if status == 401:
        return question.ok(came)
    if is_passing(status):
        remedy = "Fix the server or what stands before it; nothing else can be seen until then"
        return question.finding("error", came, "all", remedy, "Unavailable")
    if 200 <= status < 300:
        affected = "none, if this is meant; a client that waits for a 401 never logs in"
        remedy = "Answer 401 with a challenge to every request that requires a login"
        return question.note(came, affected, remedy)
    if answer.led_to:
        came += f" to {shown(answer.led_to)}, which is not followed"
    remedy = "Check the URL; answer 401 with a challenge before the request is looked at"
    if is_downgrade(exam.server_url, answer):
        remedy = (
            "The server behind the TLS proxy takes itself for one on http: let it trust"
            " X-Forwarded-Proto (uvicorn: --proxy-headers --forwarded-allow-ips)"
        )
    affected = "clients that begin with the 401; this one goes on to the well-known places"
    return question.warning(came, affected, remedy)


def _header(exam: Exam, requested: str, answer: ServerAnswer) -> Check[None]:
    """The header of the 401: where it says that the resource metadata is, and what else."""
    question, challenge = exam.ask("challenge.header", requested, _CHALLENGE), answer.challenge
    if challenge is None:
        headers = answer.response.header_values("www-authenticate")
        schemes = ", ".join(each.scheme for each in read_challenges(headers)) or "none"
        standard = "a 401 has a WWW-Authenticate header (RFC 9110 §15.5.2); " + _CHALLENGE
        yield replace(question, standard=standard).warning(
            f"no Bearer challenge in WWW-Authenticate (schemes: {schemes})",
            "clients that learn from the header that a login is required, and where",
            'Send WWW-Authenticate: Bearer resource_metadata="…"',
        )
        return
    yield _named_place(exam, question, challenge)
    if challenge.error:
        standard = "no error code where no token was sent (RFC 6750 §3.1)"
        yield exam.ask("challenge.error", requested, standard).note(
            f"error={challenge.error}",
            "clients that take it for a token that was refused",
            "Leave error out when the request carries no Authorization header",
        )
    scope = challenge.scope
    if scope and OFFLINE in scope:
        yield offline_listed(exam, "challenge.scope", requested)
    elif scope:
        standard = "the scopes that the request needs (MCP “Scope Selection Strategy”)"
        yield exam.ask("challenge.scope", requested, standard).ok(f"scope={' '.join(scope)}")
    else:
        standard = "scope is recommended (MCP “Scope Selection Strategy”)"
        came = "no scope: clients ask for scopes_supported of the resource metadata"
        yield exam.ask("challenge.scope", requested, standard).note(came)


def _named_place(exam: Exam, question: Question, challenge: Challenge) -> Finding:
    """Where the challenge says that the resource metadata is."""
    named = challenge.resource_metadata
    if not named:
        return question.warning(
            f"a {challenge.scheme} challenge without resource_metadata",
            "clients that follow MCP 2025-06-18 and read the place from the header only",
            "Add resource_metadata with the URL of the metadata document",
        )
    came = f"resource_metadata is {shown(named)}"
    if is_relative(named):
        came += ", which is no absolute URL"
        remedy = "Name the whole URL of the metadata document"
        if named.startswith("'"):
            came, remedy = f"{came}: single quotes are part of it", "Put the URL in double quotes"
        return question.warning(came, "clients that look nowhere else", remedy)
    try:
        Endpoint.checked(named, "the challenge's resource_metadata", exam.options)
    except AuthError as error:
        return question.failed(error)
    if same_origin(named, exam.server_url):
        return question.ok(came)
    affected = "clients that read metadata from the server's own origin only"
    remedy = "Behind a proxy this is usually an internal address: set the server's public URL"
    return question.warning(came, affected, remedy)


def offline_listed(exam: Exam, check: str, requested: str) -> Finding:
    return exam.ask(check, requested, _NO_OFFLINE).note(
        "offline_access is among the scopes",
        "people consent to more than the server needs",
        "Remove it; clients add it where the authorization server lists it",
    )
