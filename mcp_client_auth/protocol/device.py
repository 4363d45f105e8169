"""The device authorization grant: one device shows a code, to be typed on another (RFC 8628)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from ..errors import (
    AuthError,
    AuthorizationDenied,
    BadResponse,
    LoginFailed,
    Refused,
    Remedy,
    Unavailable,
)
from ..events import Event
from ..secret import Secret
from . import _authlib
from .client_auth import UNSIGNED, FormPost, RequestSigner
from .discovery import Discovery
from .flow import Flow, HttpResponse
from .metadata import ServerMetadata
from .registration import DEVICE_GRANT, Client
from .scopes import Scopes
from .tokens import TokenSet, granted_document, read_token_response, summary

INTERVAL: Final = 5.0
_SLOWER: Final = 5.0
_LONGEST_INTERVAL: Final = 60.0
_LONGEST_LIFE: Final = 86_400.0
_LONGEST_CODE: Final = 100
_AGAIN: Final = "Nothing was changed; start the login again"


@dataclass(frozen=True, slots=True)
class DeviceAuthorization:
    """A device code, what its user needs, and the only place where it may be exchanged.

    `expires_in` and `interval` are in seconds (§3.2). `verification_uri_complete` may be empty.
    """

    server: ServerMetadata
    client: Client
    resource: str | None
    scope: Scopes | None
    device_code: Secret
    user_code: str = field(repr=False)
    verification_uri: str
    verification_uri_complete: str = field(default="", repr=False)
    expires_in: float = 600.0
    interval: float = INTERVAL


def require_device(server: ServerMetadata) -> None:
    """Refuse, before anything is sent, a server that has no device authorization endpoint."""
    if server.device_authorization_endpoint:
        return
    raise Refused(
        "the authorization server does not offer login by device code (RFC 8628 §4)",
        url=server.issuer,
        code="no_device_authorization",
        hint=Remedy("Log in with a browser: without {DeviceCode}"),
    )


def device_authorization_request(
    discovery: Discovery, client: Client, scope: Scopes | None, audience: str = ""
) -> FormPost:
    """RFC 8628 §3.1, with resource and audience as an authorization request has them
    (RFC 8707 §2.1)."""
    fields = [("scope", " ".join(scope))] if scope else []
    fields += [("resource", discovery.resource)] if discovery.resource else []
    fields += [("audience", audience)] if audience else []
    endpoint = discovery.server.device_authorization_endpoint
    return FormPost(endpoint, client, urlencode(fields))


def read_device_authorization(
    discovery: Discovery, client: Client, scope: Scopes | None, response: HttpResponse
) -> DeviceAuthorization:
    """The only maker of `DeviceAuthorization` (RFC 8628 §3.2).

    Raises as `granted_document` does; the code to be typed is short and printable.
    """
    document = granted_document(
        response, (client.secret,), what="device authorization", field="device_code"
    )
    code = document.need("user_code")
    if not code.isprintable() or len(code) > _LONGEST_CODE:
        document.broken("“user_code” is not one that a person could type")
    lifetime, interval = document.number("expires_in"), document.number("interval")
    if lifetime is None or lifetime <= 0:
        document.broken("“expires_in” must be a number of seconds (RFC 8628 §3.2)")
    return DeviceAuthorization(
        server=discovery.server,
        client=client,
        resource=discovery.resource,
        scope=scope,
        device_code=Secret(document.need("device_code")),
        user_code=code,
        # Google's servers still use the name of an early draft
        verification_uri=document.text("verification_url") or document.need("verification_uri"),
        verification_uri_complete=document.text("verification_uri_complete"),
        expires_in=min(lifetime, _LONGEST_LIFE),
        interval=INTERVAL
        if interval is None or interval < 0
        else min(max(interval, 1.0), _LONGEST_INTERVAL),
    )


def authorize_device(
    discovery: Discovery,
    client: Client,
    scope: Scopes | None,
    signer: RequestSigner = UNSIGNED,
    *,
    audience: str = "",
) -> Flow[DeviceAuthorization]:
    request = device_authorization_request(discovery, client, scope, audience)
    url = request.url
    response = yield from request.send(signer)
    authorization = read_device_authorization(discovery, client, scope, response)
    yield Event(
        "authorization-request",
        url,
        response.status,
        f"a code for {authorization.expires_in:.0f} s",
        "device code, resource (RFC 8628, 8707)",
        response.seconds,
    )
    return authorization


def device_token_request(authorization: DeviceAuthorization) -> FormPost:
    """RFC 8628 §3.4."""
    fields = [("device_code", authorization.device_code.reveal())]
    fields += [("resource", authorization.resource)] if authorization.resource else []
    body = _authlib.token_body(DEVICE_GRANT, fields)
    return FormPost(authorization.server.token_endpoint, authorization.client, body)


def poll(
    authorization: DeviceAuthorization, now: float, signer: RequestSigner = UNSIGNED
) -> Flow[TokenSet]:
    """Ask once whether the person has decided; `wait_after` tells what an error means."""
    request = device_token_request(authorization)
    response = yield from request.send(signer)
    sent = (authorization.device_code, authorization.client.secret)
    tokens = read_token_response(
        response, now, requested=authorization.scope, sent=sent, proved=signer.binds
    )
    yield Event("token", request.url, response.status, summary(tokens))
    return tokens


def wait_after(error: AuthError, interval: float) -> float:
    """Seconds to wait before asking again; raises if asking again makes no sense (§3.5)."""
    if error.code == "authorization_pending":
        return interval
    if error.code == "slow_down":
        return interval + _SLOWER  # for this and all later requests
    if isinstance(error, Unavailable | BadResponse):
        least = getattr(error, "retry_after", None) or 0.0
        return max(interval, least, min(2 * interval, _LONGEST_INTERVAL))
    if error.code == "access_denied":
        raise AuthorizationDenied("the login was denied", url=error.url, hint=_AGAIN) from None
    if error.code == "expired_token":
        raise too_late(error.url)
    raise error


def too_late(url: str, limit: float | None = None) -> LoginFailed:
    """The error of a login that took too long; `limit` is in seconds, None if the code expired."""
    when = "while the code was valid" if limit is None else f"within {limit:g} s"
    return LoginFailed(f"no one signed in {when}", url=url, code="timeout", hint=_AGAIN)
