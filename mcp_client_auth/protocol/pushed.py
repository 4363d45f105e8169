"""Pushed authorization requests: the server gets the whole request, the browser a reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..errors import BadResponse
from ..events import Event
from ..secret import quoted
from . import _authlib
from .authorization import AuthorizationRequest, refusal
from .client_auth import UNSIGNED, FormPost, RequestSigner
from .document import described, parsed, read_document
from .flow import Flow, HttpResponse
from .oauth_error import is_passing, read_error, unavailable

_LONGEST: Final = 86_400.0


def push_request(request: AuthorizationRequest) -> FormPost:
    """RFC 9126 §2.1: all parameters, with the client's proof as at the token endpoint."""
    fields = list(request.parameters)
    if request.client.method == "client_secret_basic":  # every other method has it in the body
        fields.append(("client_id", request.client.client_id))
    endpoint = request.server.pushed_authorization_request_endpoint
    return FormPost(endpoint, request.client, _authlib.form(fields))


def read_push(request: AuthorizationRequest, response: HttpResponse) -> AuthorizationRequest:
    """The same request with the URL of its reference: client_id and request_uri (§4).

    Raises `AuthorizationDenied` for an OAuth error, `Unavailable` for a passing fault,
    `BadResponse` for anything that is not an answer to a push.
    """
    if response.status not in (200, 201):
        if is_passing(response.status):
            raise unavailable(response)
        value = parsed(response)
        members = value if isinstance(value, dict) else {}
        error = read_error(members, (request.state, request.client.secret))
        if response.status >= 400 and error.code:
            raise refusal(request, error, response.url, response.status)
        got = described(response) if value is None else quoted("JSON")
        raise BadResponse(
            "the endpoint for pushed authorization requests must answer 201 (RFC 9126 §2.2), got"
            f" HTTP {response.status} with {got}",
            url=response.url,
        )
    document = read_document(response, "answer to the pushed authorization request")
    reference = document.need("request_uri")
    if not (reference.isascii() and reference.isprintable()):
        document.broken("“request_uri” is not a URI")
    fields = [("client_id", request.client.client_id), ("request_uri", reference)]
    return replace(
        request,
        url=request.server.authorization_endpoint.with_query(fields),
        pushed_for=min(max(document.number("expires_in") or 0.0, 0.0), _LONGEST),
    )


def push(
    request: AuthorizationRequest, signer: RequestSigner = UNSIGNED
) -> Flow[AuthorizationRequest]:
    """Send the request ahead; return the one that the browser opens."""
    response = yield from push_request(request).send(signer)
    pushed = read_push(request, response)
    where = request.server.pushed_authorization_request_endpoint
    life = f"the reference is good for {pushed.pushed_for:.0f} s"
    rule = "pushed authorization request (RFC 9126)"
    yield Event("notice", where, response.status, life, rule, response.seconds)
    return pushed
