"""Dynamic registration: the pair of RFC 7591 §3, and what to request if the first is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin

from ..errors import BadResponse, RegistrationRefused, Remedy
from ..events import Event
from ..origin import is_loopback
from ..secret import Secret, quoted
from .document import Document, parsed, read_document
from .flow import Flow, HttpRequest, HttpResponse, send
from .metadata import ServerMetadata
from .options import LATEST, Options
from .registration import DEVICE_GRANT, WITH_SECRET, Client, usable_method
from .registration_errors import (
    UNREGISTERED,
    about_callback,
    about_scope,
    about_some_field,
    refused_registration,
)
from .scopes import Scopes, parse
from .urls import without_port


def client_metadata(
    server: ServerMetadata, redirect_uri: str, scope: Scopes | None, options: Options
) -> dict[str, Any]:
    """RFC 7591 §2: a public native client, so that no secret has to be kept."""
    # RFC 8628 §3.1: one registration serves login by browser and by device code
    device = [DEVICE_GRANT] if DEVICE_GRANT in (server.grant_types or ()) else []
    return {
        "client_name": options.client_name,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token", *device],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native" if is_loopback(redirect_uri) else "web",
        **({"scope": " ".join(scope)} if scope else {}),
    }


def listed_metadata(
    metadata: dict[str, Any], server: ServerMetadata, *, defaults: bool = True
) -> dict[str, Any]:
    """The same without what the server's metadata does not list (RFC 8414 §2).

    The `defaults` of lists that are left out count only if the other lists change nothing: many
    servers that leave them out accept public clients and issue refresh tokens.
    """
    methods, grants = server.token_auth_methods, server.grant_types
    listed = _within(metadata, methods, grants)
    if listed != metadata or not defaults:
        return listed
    return _within(
        metadata,
        ("client_secret_basic",) if methods is None else methods,
        ("authorization_code",) if grants is None else grants,
    )


def _within(
    metadata: dict[str, Any], methods: tuple[str, ...] | None, grants: tuple[str, ...] | None
) -> dict[str, Any]:
    kept = dict(metadata)
    if methods is not None and "none" not in methods:
        listed = [method for method in WITH_SECRET if method in methods]
        kept["token_endpoint_auth_method"] = next(iter(listed), "none")
    if grants is not None:
        needed = ("authorization_code", *grants)
        kept["grant_types"] = [grant for grant in metadata["grant_types"] if grant in needed]
    return kept


def registration_request(
    server: ServerMetadata, metadata: dict[str, Any], options: Options
) -> HttpRequest:
    """RFC 7591 §3.1."""
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": LATEST,
    }
    if isinstance(options.initial_access_token, Secret):  # RFC 7591 §3: here and nowhere else
        headers["Authorization"] = f"Bearer {options.initial_access_token.reveal()}"
    body = json.dumps(metadata).encode()
    return HttpRequest(
        "POST", server.registration_endpoint, headers, body, to_issuer=True, repeatable=True
    )


def read_registration(
    server: ServerMetadata,
    redirect_uri: str,
    scope: Scopes | None,
    response: HttpResponse,
    *,
    token: Secret | str | None = None,
) -> Client:
    """The client as the server registered it, even if not as requested (RFC 7591 §3.2.1).

    `token` is the initial access token that was sent, which no message may repeat.
    """
    initial = token if isinstance(token, Secret) else None
    nothing = server.source == "defaults" and parsed(response) is None
    if response.status not in (200, 201) or nothing:
        raise refused_registration(server, redirect_uri, response, initial)
    document = read_document(response, "registration response", UNREGISTERED)
    if document.text("error"):
        raise refused_registration(server, redirect_uri, response, initial)
    _require_callback(document, redirect_uri)
    secret = document.secret("client_secret")
    management = document.secret("registration_access_token")
    method = document.text("token_endpoint_auth_method") or usable_method(secret, server)
    if method != "none" and secret is None:
        document.broken(f"it requires {quoted(method, 60)} without giving a client secret")
    if method not in ("none", *WITH_SECRET):  # no key and no certificate was registered
        document.broken(f"it requires the client authentication {quoted(method, 60)}")
    management_uri, path = "", document.text("registration_client_uri")
    if management and path:
        with suppress(ValueError):  # RFC 7592 §3 requires a whole URL; some servers name a path
            management_uri = urljoin(document.url, path)
    return Client(
        client_id=document.need("client_id"),
        issuer=server.issuer,
        kind="dynamic",
        method=method,
        secret=secret,  # with `none` it is not sent, unless it turns out to be demanded
        redirect_uris=(redirect_uri,),
        scope=parse(" ".join(document.texts("scope") or ())) or tuple(scope or ()),
        secret_expires_at=document.number("client_secret_expires_at") or 0.0 if secret else 0.0,
        management_uri=management_uri,
        management_token=management,
        dpop=document.flag("dpop_bound_access_tokens"),
    )


def _require_callback(document: Document, redirect_uri: str) -> None:
    """RFC 7591 §3.2.1: a server may register other values than were requested, and says so.

    It may leave out the port of a loopback URI, which can be any (RFC 8252 §7.3).
    """
    registered = document.texts("redirect_uris")
    if not registered or {redirect_uri, without_port(redirect_uri)} & set(registered):
        return
    raise BadResponse(
        f"the client was registered with other redirect URIs than {redirect_uri}:"
        f" {quoted(' '.join(registered))}",
        url=document.url,
        hint=Remedy(
            "Pass the redirect URI that the server registers, if it is on this machine"
            " ({Options.redirect_uri}), or ask the operator for a client id"
            " ({PreRegistered.client_id})"
        ),
    )


def register(
    server: ServerMetadata, redirect_uri: str, scope: Scopes | None, options: Options
) -> Flow[Client]:
    """RFC 7591 §3; if the server refuses the client's metadata, once more with what its own lists.

    Never with that first: some servers list only secrets, but do accept public clients.
    """
    metadata = client_metadata(server, redirect_uri, scope, options)
    kind = metadata["application_type"]
    rule = f"RFC 7591 §3.1: public {kind} client"
    try:
        return (yield from _registered(server, redirect_uri, scope, options, metadata, rule))
    except RegistrationRefused as error:
        another = about_callback(error) or about_scope(error)  # or one of several that it names
        listed = listed_metadata(metadata, server, defaults=not another)
        if listed == metadata or not about_some_field(error):
            raise
        summary = error.summary
    where = server.registration_endpoint
    yield Event("again", where, detail=summary, rule="register with what the metadata lists, once")
    rule = f"authentication {listed['token_endpoint_auth_method']}, as listed (RFC 8414 §2)"
    return (yield from _registered(server, redirect_uri, scope, options, listed, rule))


def _registered(
    server: ServerMetadata,
    redirect_uri: str,
    scope: Scopes | None,
    options: Options,
    metadata: dict[str, Any],
    rule: str,
) -> Flow[Client]:
    url = server.registration_endpoint
    yield Event("registration-request", url=url, rule=rule)
    response = yield from send(registration_request(server, metadata, options))
    token = options.initial_access_token
    client = read_registration(server, redirect_uri, scope, response, token=token)
    yield Event(
        "registration",
        url,
        response.status,
        f"client {quoted(client.client_id, 60)}, authentication {client.method}",
        "the registered values are used (RFC 7591 §3.2.1)",
        response.seconds,
    )
    return client
