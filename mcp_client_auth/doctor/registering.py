"""A trial registration, and its end: what was made is taken away again where that is possible."""

from __future__ import annotations

from typing import Final

from ..errors import AuthError, quoted
from ..protocol.flow import HttpRequest
from ..protocol.metadata import ServerMetadata
from ..protocol.registration import Client, register
from ..protocol.urls import same_origin, shown
from .exam import Check, Exam
from .finding import Finding, failed

_REDIRECT: Final = "http://127.0.0.1:33418/callback"
_ANSWER: Final = "201 with a client_id (RFC 7591 §3.2.1)"
_END: Final = "204 to a DELETE of registration_client_uri (RFC 7592 §2.3)"


def not_tried(exam: Exam, server: ServerMetadata, scope: tuple[str, ...]) -> Check[None]:
    asked = f"POST {shown(server.registration_endpoint)}"
    yield Finding(
        "registration.answer", "note", asked, "not tried", _ANSWER, remedy="--register tries it"
    )


def trial(exam: Exam, server: ServerMetadata, scope: tuple[str, ...]) -> Check[None]:
    """Register as a login would, judge the answer, and delete the client."""
    asked = f"POST {shown(server.registration_endpoint)}, a public native client"
    try:
        client = exam.follow(register(server, _REDIRECT, scope or None, exam.options))
    except AuthError as error:
        yield failed("registration.answer", error, asked, _ANSWER)
        return
    exam.secrets += [s for s in (client.secret, client.management_token) if s]
    came = f"a client with the authentication {client.method}"
    if client.secret:
        why = "clients that cannot keep a secret"
        mend = "Honour token_endpoint_auth_method “none” for native clients (OAuth 2.1 §2.1)"
        yield Finding("registration.answer", "note", asked, came, _ANSWER, why, mend)
    else:
        yield Finding("registration.answer", "ok", asked, came, _ANSWER)
    yield _taken_away(exam, server, client)


def _taken_away(exam: Exam, server: ServerMetadata, client: Client) -> Finding:
    uri, token = client.management_uri, client.management_token
    left = f"the client {quoted(client.client_id, 60)} stays registered"
    mend = "Delete it at the authorization server if it disturbs"
    if not uri or token is None:
        return _kept(left + ": the answer names no way to delete it", mend)
    if not same_origin(uri, server.registration_endpoint):
        # the token belongs to the server that gave it, and to no other that it names
        return _kept(left + ": registration_client_uri is on another origin", mend)
    asked = f"DELETE {shown(uri)}"
    headers = {"Authorization": "Bearer " + token.reveal()}
    try:
        status = exam.send(HttpRequest("DELETE", uri, headers)).status
    except AuthError as error:
        return _kept(f"{left}: {error.summary}", mend, asked)
    if status == 204:
        return Finding("registration.end", "ok", asked, "HTTP 204, deleted", _END)
    return _kept(f"{left}: HTTP {status}", mend, asked)


def _kept(came: str, mend: str, asked: str = "the way to delete the trial client") -> Finding:
    return Finding("registration.end", "note", asked, came, _END, remedy=mend)
