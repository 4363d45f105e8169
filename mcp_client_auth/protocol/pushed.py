"""Pushed authorization requests: the whole request to the server, a reference to the browser."""

from __future__ import annotations

from dataclasses import replace

from ..errors import AuthError, BadResponse, quoted
from ..events import Event
from ..secret import masked
from . import _authlib
from .authorization import AuthorizationRequest, refusal
from .client_auth import PLAIN, FormPost, Prover
from .discovery import unavailable
from .document import described, error_code, parsed, read_document
from .flow import Flow, HttpResponse
from .urls import shown


def push_request(request: AuthorizationRequest) -> FormPost:
    """RFC 9126 §2.1: all parameters, with the client's proof as at the token endpoint."""
    fields = list(request.parameters)
    if request.client.method == "client_secret_basic":  # every other proof has it in the body
        fields.append(("client_id", request.client.client_id))
    endpoint = request.server.pushed_authorization_request_endpoint
    return FormPost(endpoint, request.client, _authlib.form(fields))


def read_push(request: AuthorizationRequest, response: HttpResponse) -> AuthorizationRequest:
    """The same request with the URL of its reference: client_id and request_uri (§4).

    Raises `AuthorizationDenied` for an OAuth error, `Unavailable` for a passing fault,
    `BadResponse` for anything that is no answer to a push.
    """
    if response.status not in (200, 201):
        raise _failure(request, response)
    document = read_document(response, "answer to the pushed authorization request")
    reference = document.need("request_uri")
    if not (reference.isascii() and reference.isprintable()):
        document.broken("“request_uri” is no URI")
    fields = [("client_id", request.client.client_id), ("request_uri", reference)]
    endpoint = request.server.authorization_endpoint
    return replace(
        request,
        url=_authlib.with_query(endpoint, fields),
        pushed_for=max(document.number("expires_in") or 0.0, 0.0),
    )


def push(request: AuthorizationRequest, prover: Prover = PLAIN) -> Flow[AuthorizationRequest]:
    """Send the request ahead; what comes back is what the browser opens."""
    response = yield from push_request(request).send(prover)
    pushed = read_push(request, response)
    where = shown(request.server.pushed_authorization_request_endpoint)
    life = f"the reference is good for {pushed.pushed_for:.0f} s"
    rule = "pushed authorization request (RFC 9126)"
    yield Event("notice", where, response.status, life, rule, response.seconds)
    return pushed


def _failure(request: AuthorizationRequest, response: HttpResponse) -> AuthError:
    value = parsed(response)
    fields = value if isinstance(value, dict) else {}
    error, text = fields.get("error"), fields.get("error_description")
    sent = (request.state, request.client.secret)
    if response.status == 429 or response.status >= 500:
        return unavailable(response)
    where = shown(response.url)
    if response.status >= 400 and isinstance(error, str) and error:
        said = masked(text, sent) if isinstance(text, str) else ""
        return refusal(request, error_code(masked(error, sent)), said, where, response.status)
    return BadResponse(
        f"the endpoint for pushed authorization requests must answer 201 (RFC 9126 §2.2), got"
        f" HTTP {response.status} with {described(response) if value is None else quoted('JSON')}",
        url=where,
    )
