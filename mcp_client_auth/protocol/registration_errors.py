"""What the refusal of a registration means, and what helps (RFC 7591 §3.2.2)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from ..errors import AuthError, BadResponse, RegistrationRefused, Remedy
from ..secret import Secret, quoted
from .document import described, parsed
from .flow import HttpResponse
from .metadata import IF_ELSEWHERE, ServerMetadata
from .oauth_error import is_passing, read_error, said, unavailable

_CLIENT_ID: Final = "ask its operator for a client id and pass it: {PreRegistered.client_id}"
UNREGISTERED: Final = Remedy("To log in without a registration, " + _CLIENT_ID)
_CALLBACK: Final = re.compile(r"redirect|callback|loopback|localhost|127\.0\.0\.1", re.IGNORECASE)
_OF_THE_FIELDS: Final = (200, 201, 400, 422)  # some servers refuse with a success status
_METADATA: Final = "invalid_client_metadata"
_UNNAMED: Final = "registration_refused"
_OF_A_CLIENT: Final = (  # RFC 7591 §3.2.2, and what servers say instead
    _METADATA,
    "invalid_redirect_uri",
    "invalid_software_statement",
    "unapproved_software_statement",
    "invalid_scope",
    "invalid_request",
)


def about_callback(error: AuthError) -> bool:
    """Whether the redirect URI is what the server refuses to register."""
    if not isinstance(error, RegistrationRefused):
        return False
    named = error.code == "invalid_redirect_uri"
    return named or (about_some_field(error) and bool(_CALLBACK.search(error.description)))


def about_scope(error: AuthError) -> bool:
    """Whether the scope is what the server refuses to register."""
    if not isinstance(error, RegistrationRefused):
        return False
    return error.code == "invalid_scope" or (
        about_some_field(error) and "scope" in error.description.lower()
    )


def about_some_field(error: RegistrationRefused) -> bool:
    """Whether any field may be the cause; servers say invalid_request, or send no OAuth error."""
    unnamed = error.code in ("invalid_request", _UNNAMED) and error.status in _OF_THE_FIELDS
    return unnamed or error.code == _METADATA


def refused_registration(
    server: ServerMetadata, redirect_uri: str, response: HttpResponse, token: Secret | None = None
) -> AuthError:
    """The error for an answer that registers nothing; it never contains `token`."""
    if is_passing(response.status):  # or permanent, as a limit on clients is
        passing = unavailable(response)
        return passing.advised(passing.remedy, UNREGISTERED)
    body = parsed(response)
    error = read_error(body if isinstance(body, dict) else {}, (token,))
    if not error.text:
        error = replace(error, text=said(response, (token,)))
    code = error.code
    of_the_fields = response.status in (400, 422) and parsed(response) is not None
    about_a_client = token or of_the_fields or code in _OF_A_CLIENT
    if server.source == "defaults" and not about_a_client:  # it refuses everywhere
        came = f" with {described(response)}" if response.status < 400 else ""
        return RegistrationRefused(
            "the server requires authorization but does not say where: it has no resource"
            f" metadata, no authorization server metadata, and HTTP {response.status}{came} at"
            " /register, the place that the 2025-03-26 specification assumes",
            url=response.url,
            code="no_authorization_server",
            status=response.status,
            hint=Remedy(
                "If the server accepts an API key, store that: {login.token}. Otherwise its"
                " operator has to serve the document of RFC 9728; {}",
                IF_ELSEWHERE,
            ),
        )
    if response.status < 400 and not code:
        return BadResponse(
            f"the registration endpoint must answer 201 (RFC 7591 §3.2.1), got HTTP"
            f" {response.status} with {described(response)}",
            url=response.url,
            hint=UNREGISTERED,
        )
    refused = RegistrationRefused(
        f"the authorization server refused to register this client, HTTP {response.status}"
        + (f" {quoted(code, 60)}" if code else "")
        + error.ending,
        url=response.url,
        code=code or _UNNAMED,
        description=error.description,
        status=response.status,
    )
    refused.remedy = _what_helps(refused, redirect_uri, response, token)
    return refused


def _what_helps(
    error: RegistrationRefused, redirect_uri: str, response: HttpResponse, token: Secret | None
) -> Remedy:
    if described(response) == "an HTML page":
        return Remedy(
            "An HTML page is not the answer of an authorization server: something in front of it"
            " may have refused the request. If it persists, " + _CLIENT_ID
        )
    if about_callback(error):
        return Remedy(
            "The server does not accept the callback {}: pass one that it accepts, with a port that"
            " is free ({Options.redirect_uri=http://localhost:PORT/callback}), or " + _CLIENT_ID,
            redirect_uri,
        )
    if about_scope(error):
        return Remedy("Name the scopes that the server grants: {scope}")
    if error.code == _METADATA:
        return UNREGISTERED
    if token and error.status in (401, 403):
        return Remedy(
            "The server did not accept the initial access token: ask its operator for a new one"
        )
    if error.status == 401:
        return Remedy(
            "Its operator may require an initial access token (RFC 7591 §3): ask for one and pass"
            " it ({Options.initial_access_token}), or ask for a client id"
            " ({PreRegistered.client_id})"
        )
    if error.status == 403 and parsed(response) is not None:
        return Remedy("Its operator may only admit clients that they know: " + _CLIENT_ID)
    return UNREGISTERED
