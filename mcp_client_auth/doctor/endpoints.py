"""Ask once each endpoint that the metadata names: does it answer as one?

Nothing that is sent belongs to anyone: client and code are made up.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl

from ..errors import AuthError
from ..origin import is_loopback, shown
from ..protocol.document import described, is_page, parsed, redirected_to
from ..protocol.flow import HttpRequest, HttpResponse
from ..protocol.metadata import ServerMetadata
from ..protocol.oauth_error import OAuthError, is_passing, read_error, said
from ..protocol.tokens import read_token_response
from ..secret import Secret, quoted
from .client_metadata import private_members
from .exam import Check, Exam
from .faults import is_sign_in
from .report import IF_REAL, Finding, Level, Question
from .walk import NO_PAGE, Walk, refused, unreachable

_FORM: Final = {
    "Accept": "application/json",
    "Content-Type": "application/x-www-form-urlencoded",
}
_CODE: Final = (
    b"grant_type=authorization_code&code=made-up-code&client_id=made-up-client"
    b"&redirect_uri=http%3A%2F%2F127.0.0.1%3A33418%2Fcallback"
    b"&code_verifier=made-up-verifier-made-up-verifier-made-up-verifier"
)
_PUSH: Final = (
    b"response_type=code&client_id=made-up-client&code_challenge_method=S256"
    b"&redirect_uri=http%3A%2F%2F127.0.0.1%3A33418%2Fcallback"
    b"&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeGmyCuWhvTnuF-QsGIY"
)
_REQUEST: Final = (*parse_qsl(_PUSH.decode()), ("state", "made-up-state"))
_NOT_REACHED: Final = (502, 503, 504)  # what is in front of the endpoint does not reach it
_NO_FORM: Final = 415
_PAGE_EXPIRED: Final = 419  # Laravel's answer to a form without its CSRF token
_BEGINNING: Final = 4096
_OF_READERS: Final = ("invalid_grant", "invalid_client", "unauthorized_client")
_CSRF: Final = re.compile(rb"\bcsrf|cross-site|request forgery", re.IGNORECASE)
# the server finds nothing in the body: FastAPI and Express read it as JSON by default
_UNREAD: Final = re.compile(
    r"grant_type\W.{0,40}\b(?:missing|required|not (?:given|present|provided)|empty|undefined|null)"
    r"|\b(?:missing|required|no|provide)\b.{0,40}\bgrant_type|valid dictionary",
    re.IGNORECASE,
)
_PAGE: Final = "a page where a person signs in, or what is wrong with the request (RFC 6749 §3.1)"
_REFUSAL: Final = "400 or 401 with a JSON error for a client that is not known (RFC 6749 §5.2)"
_PAR: Final = "400 or 401 with a JSON error for a client that is not known (RFC 9126 §2.3)"
_KEYS: Final = "a JWK set with public keys (RFC 7517 §5, RFC 8414 §2)"
_EVERYBODY: Final = "everybody: a login gets no further"
_OF_TOKENS: Final = "servers that check tokens by these keys: they refuse each token"


def authorization(exam: Exam, server: ServerMetadata) -> Check[None]:
    """Request the sign-in page without parameters, because no client is known there. If that is a
    server error, also send the complete request of a made-up client."""
    url = server.authorization_endpoint
    if not url:
        return
    question = exam.ask("endpoint.authorization", f"GET {shown(url)}", _PAGE, url)
    page = yield from _page(exam, question, url)
    if page is None:
        return
    got = f"HTTP {page.status}"
    if page.status in NO_PAGE:
        yield _absent(question, "authorize-absent", url, refused(url, page), got)
    elif page.status == 429:
        yield question.found("warning", "rate-limited", f"{shown(url)}: {got}", IF_REAL, url=url)
    elif is_passing(page.status):
        whole = yield from _page(exam, question, url.with_query(_REQUEST))
        if whole is not None:
            yield _failing(question, url, page, whole)
    else:
        yield question.ok(f"{shown(url)}: {got}")


def _page(exam: Exam, question: Question, url: str) -> Check[HttpResponse | None]:
    """What a browser would get there; a fault of the network is what a login would end with."""
    headers = {"Accept": "text/html,application/xhtml+xml"}
    try:
        exam.check(url)
        return exam.send(HttpRequest("GET", url, headers, redirects=False))
    except AuthError as error:
        if error.code == "forbidden_address":
            yield question.failed(error)
        else:
            ends = unreachable(url, error)
            yield _absent(question, "authorize-absent", url, ends, error.summary)
    return None


def _failing(question: Question, url: str, bare: HttpResponse, whole: HttpResponse) -> Finding:
    """Judge a server error, which affects everyone only if the requests are not at fault: some
    servers fail on a request without parameters, some on a client that is not known."""
    got = f"HTTP {whole.status}"
    if not is_passing(whole.status):
        came = f"{shown(url)}: {got} for a client that is made up"
        return question.note(f"{came}, HTTP {bare.status} for a request without parameters")
    if bare.status in _NOT_REACHED and whole.status in _NOT_REACHED:
        return _absent(question, "authorize-fails", url, refused(url, whole), got)
    came = f"{shown(url)}: {got}, without parameters and for a client that is made up"
    return question.found("warning", "authorize-fails", came, IF_REAL, url=url, got=got)


def signed_in(exam: Exam, server: ServerMetadata, done: Walk) -> Check[None]:
    """What the sign-in page says to the trial client; an error on the way back ended the walk."""
    url, page = server.authorization_endpoint, done.page
    requested = f"GET {shown(url)}, the request of a trial client, not followed"
    question = exam.ask("endpoint.authorization", requested, _PAGE, url)
    if page is not None and done.error is None:
        target = redirected_to(page)
        where = f", to {target}" if target and not is_loopback(target) else ""
        yield question.ok(f"{shown(url)}: HTTP {page.status}{where}")


def _absent(question: Question, fault: str, url: str, error: AuthError, came: str) -> Finding:
    return question.found(
        "error", fault, error.summary, _EVERYBODY, type(error).__name__, url=shown(url), got=came
    )


def token(exam: Exam, server: ServerMetadata) -> Check[None]:
    """The token endpoint, with a client and a code that were made up."""
    url = server.token_endpoint
    requested = f"POST {shown(url)}, a code and a client that are made up"
    question = exam.ask("endpoint.token", requested, _REFUSAL, url)
    response = yield from _posted(exam, question, "token-absent", url, _CODE)
    if response is None:
        return
    came = f"{shown(url)}: HTTP {response.status}"
    value = parsed(response)
    named = read_error(value).code if isinstance(value, dict) else ""
    broken = _broken(response)
    if isinstance(value, dict) and 200 <= response.status < 300 and "access_token" in value:
        yield question.found("warning", "token-open", "a made-up code got a token", "everybody")
    elif named and response.status in (400, 401) and not broken:
        yield question.ok(f"{came}, {named}")
    elif response.status == 429:
        yield question.found("warning", "rate-limited", came, IF_REAL, url=url)
    elif is_passing(response.status) and response.status not in _NOT_REACHED and not named:
        got = f"HTTP {response.status}"
        yield question.found("warning", "token-fails", came, IF_REAL, url=url, got=got)
    elif _is_there(response, named) and not broken:
        unfit = f"{came} with {quoted(named, 60) if named else described(response)}"
        affected = "clients that read the error of a token response"
        yield question.found("warning", "token-unfit", unfit, affected, url=shown(url), got=came)
    else:
        ends = _ending(response)
        what = f"{_described(response)} at the token endpoint"
        blocked = response.status in (401, 403) and is_page(response)
        blocked = blocked or is_sign_in(redirected_to(response))
        yield question.found(
            "error",
            broken or ("token-blocked" if blocked else "token-absent"),
            f"{what}: {ends.summary}",
            _EVERYBODY,
            type(ends).__name__,
            url=shown(url),
            got=f"HTTP {response.status}",
        )


def pushed(exam: Exam, server: ServerMetadata) -> Check[None]:
    """The endpoint for pushed authorization requests, with a client that was made up."""
    url = server.pushed_authorization_request_endpoint
    if not url:
        return
    requested = f"POST {shown(url)}, a request of a client that is made up"
    question = exam.ask("endpoint.pushed_request", requested, _PAR, url)
    response = yield from _posted(
        exam, question, "par-absent", url, _PUSH, required=server.par_required
    )
    if response is None:
        return
    value = parsed(response)
    named = read_error(value).code if isinstance(value, dict) else ""
    came = f"{shown(url)}: HTTP {response.status}"
    if named and response.status < 500 and response.status not in NO_PAGE:
        yield question.ok(f"{came}, {named}")
    elif _is_there(response, named):
        yield question.note(f"{came} with {described(response)}")
    else:
        required = server.par_required  # a login pushes nothing unless it has to
        level: Level = "error" if required else "warning"
        came = f"{_described(response)} at the endpoint for pushed requests"
        affected = _EVERYBODY if required else "clients that push their requests"
        kind = type(_ending(response)).__name__ if required else ""
        values = {"url": shown(url), "got": f"HTTP {response.status}"}
        fault = "par-form" if response.status == _NO_FORM else "par-absent"
        yield question.found(level, fault, came, affected, kind, **values)


def keys(exam: Exam, server: ServerMetadata) -> Check[None]:
    """Check the keys that verify tokens. A login works without them: tokens may be opaque."""
    url = server.raw.get("jwks_uri")
    if not isinstance(url, str) or not url:
        return
    question = exam.ask("endpoint.jwks", f"GET {shown(url)}", _KEYS, url)
    try:
        response = exam.send(HttpRequest("GET", url, {"Accept": "application/json"}))
    except AuthError as error:
        came = f"jwks_uri {shown(url)}: {error.summary}"
        yield question.found("warning", "jwks-absent", came, _OF_TOKENS)
        return
    value = parsed(response)
    listed = value.get("keys") if isinstance(value, dict) else None
    if response.status != 200 or not isinstance(listed, list):
        came = f"jwks_uri {shown(url)}: {_described(response)}"
        yield question.found("warning", "jwks-absent", came, _OF_TOKENS)
    elif not listed:
        came = f"jwks_uri {shown(url)} has no key"
        yield question.found("warning", "jwks-absent", came, _OF_TOKENS)
    elif private := dict(private_members(listed)):
        exam.secrets += [Secret(v) for v in private.values() if isinstance(v, str) and len(v) > 3]
        came = f"a private key is published at {shown(url)}: {', '.join(private)}"
        yield question.found("warning", "jwks-private", came, "everybody: anyone can sign tokens")
    else:
        count = "1 key" if len(listed) == 1 else f"{len(listed)} keys"
        yield question.ok(f"{shown(url)}: {count}")


def _posted(
    exam: Exam, question: Question, fault: str, url: str, body: bytes, *, required: bool = True
) -> Check[HttpResponse | None]:
    """Once, without a retry; a fault of the network is what a login would end with."""
    try:
        return exam.send(HttpRequest("POST", url, _FORM, body))
    except AuthError as error:
        kind = type(error).__name__ if required else ""
        found = question.found(
            "error" if required else "warning",
            fault,
            error.summary,
            _EVERYBODY if required else "clients that use it",
            kind,
            url=shown(url),
            got=error.summary,
        )
        known = question.failed(error) if error.code in ("certificate", "unknown_host") else found
        yield replace(known, level=found.level, error=kind)
        return None


def _is_there(response: HttpResponse, named: str) -> bool:
    """Whether an endpoint exists that merely refuses in its own way."""
    status = response.status
    if status in NO_PAGE:
        return named.startswith(("invalid_", "unauthorized_client", "unsupported_"))
    if (
        status in (*_NOT_REACHED, _NO_FORM)
        or redirected_to(response)
        or (status == 403 and not named and parsed(response) is None)
    ):
        return False
    return not (200 <= status < 300 and parsed(response) is None)


def _broken(response: HttpResponse) -> str:
    """Why every client is refused alike, whatever it sends, as a row of the remedies."""
    value = parsed(response)
    error = read_error(value) if isinstance(value, dict) else OAuthError()
    read = error.code in _OF_READERS  # it has looked for the code, or for the client
    unread = not read and 400 <= response.status < 500
    if response.status == _NO_FORM or (unread and _UNREAD.search(error.text or said(response))):
        return "token-form"
    if error.code == "unsupported_grant_type":
        return "token-grant"
    guarded = response.status in (400, 403) and _CSRF.search(response.body[:_BEGINNING])
    return "token-csrf" if guarded or response.status == _PAGE_EXPIRED else ""


def _ending(response: HttpResponse) -> AuthError:
    """Return the error that a login ends with if it gets this answer for its code."""
    try:
        read_token_response(response, 0.0)
    except AuthError as error:
        return error
    raise AssertionError("a refusal was read as tokens")


def _described(response: HttpResponse) -> str:
    value: Any = parsed(response)
    named = read_error(value).code if isinstance(value, dict) else ""
    return f"HTTP {response.status} with {quoted(named, 60) if named else described(response)}"
