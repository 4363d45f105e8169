"""Which client a login uses: the caller's, a registration that is kept, or a new one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from .credential import ClientKey, Credential
from .errors import AuthError, BadResponse, TokenRefused
from .protocol.management import is_manageable
from .protocol.metadata import ServerMetadata
from .protocol.redirects import Callback, callback_for, with_port_of
from .protocol.registration import (
    CERTIFIED,
    Client,
    ClientMetadataDocument,
    Identity,
    Kind,
    PreRegistered,
    metadata_document_client,
    pre_registered,
    register,
)
from .protocol.scopes import Scopes
from .protocol.urls import shown, split
from .proving import prepared, require_certificate

if TYPE_CHECKING:
    from .attempts import Attempt
    from .steps import Edges, Wanted
    from .storage import Storage

DEAD_CLIENT: Final = ("invalid_client", "unauthorized_client")


def callers_client(
    wanted: Wanted, edges: Edges, server: ServerMetadata, way: Kind
) -> Client | None:
    """The client that the caller supplied, with all its means tried; None where it is not used.

    Raises `UsageError` before anybody is asked: a bad key is not a matter for a browser.
    """
    identity = wanted.identity
    if way == "pre-registered" and isinstance(identity, PreRegistered):
        client = pre_registered(identity, server, wanted.options)
    elif way == "metadata-document" and isinstance(identity, ClientMetadataDocument):
        client = metadata_document_client(identity, server)
    else:
        return None
    require_certificate(client, edges.transport)
    return prepared(client, identity, server)


def named_before(held: Credential) -> Identity:
    """The client of a login, where a person has named it, so that nobody has to name it again."""
    client, more = held.client, {"key_file": held.client.key_file}
    if client.method == "private_key_jwt" and not client.key_file:
        return None  # a program's own key, which is not kept
    if client.kind == "metadata-document":
        return ClientMetadataDocument(client.client_id, client.redirect_uris, **more)
    if client.kind != "pre-registered":
        return None
    return PreRegistered(
        client.client_id,
        client.secret,
        client.method,
        client.redirect_uris,
        algorithm=client.algorithm,
        **more,
    )


def callback(wanted: Wanted, edges: Edges, attempt: Attempt) -> Callback:
    """Where the listener shall stand: on the port of a kept registration where there is one."""
    issuer, dynamic = attempt.discovery.server.issuer, attempt.way == "dynamic"
    wished = callback_for(wanted.identity, dynamic, issuer, wanted.options)
    if not dynamic:
        return wished
    return with_port_of(wished, edges.storage.load_client(ClientKey(issuer, wished.template)))


def registered_client(
    wanted: Wanted,
    edges: Edges,
    server: ServerMetadata,
    redirect_uri: str,
    scope: Scopes | None,
) -> tuple[Client, bool]:
    """A dynamic registration, and whether it was used before."""
    key = client_key(server.issuer, redirect_uri)
    with edges.storage.lock(key, "client"):
        stored = edges.storage.load_client(key)
        kept = not wanted.options.new_client
        if kept and stored and _serves(stored, redirect_uri, scope, edges.clock()):
            edges.tell("registration", url=shown(server.issuer), rule="a kept registration is used")
            return stored, True
        made = edges.run(register(server, redirect_uri, scope, wanted.options))
        if not is_manageable(made.management_uri, server):
            made = replace(made, management_uri="", management_token=None)
        client = prepared(made, None, server)
        with suppress(AuthError):  # the credential holds its client; the next login can register
            edges.storage.save_client(key, client)
        return client, False


def wants_proof(error: TokenRefused | BadResponse) -> bool:
    """Whether a token endpoint may have missed the client's secret; some say it in JSON of
    their own (RFC 6749 §5.2 has invalid_client)."""
    named = not isinstance(error, TokenRefused) or error.code in (*DEAD_CLIENT, "invalid_request")
    return error.status in (400, 401) and named


def remember_proof(edges: Edges, client: Client, redirect_uri: str) -> None:
    """Keep how a registration has turned out to prove itself, for the logins to come."""
    key = client_key(client.issuer, redirect_uri)
    with suppress(AuthError), edges.storage.lock(key, "client"):
        stored = edges.storage.load_client(key)
        if stored and stored.client_id == client.client_id:
            edges.storage.save_client(key, client)


def forget_client(edges: Edges, client: Client, redirect_uri: str) -> None:
    """Drop a registration that the server no longer knows; only that one."""
    if client.kind != "dynamic":
        return
    key = client_key(client.issuer, redirect_uri)
    with edges.storage.lock(key, "client"):
        drop_client(edges.storage, key, client)


def drop_client(storage: Storage, key: ClientKey, client: Client) -> None:
    """Under the client lock: another registration that has taken its place is left."""
    stored = storage.load_client(key)
    if stored and stored.client_id == client.client_id:
        storage.delete_client(key)


def speaking_to(server: ServerMetadata, client: Client) -> ServerMetadata:
    """The endpoints that this client uses (RFC 8705 §5)."""
    return server.for_certificates() if client.method in CERTIFIED else server


def _serves(client: Client, redirect_uri: str, scope: Scopes | None, now: float) -> bool:
    within = set(scope or ()) <= set(client.scope)
    return redirect_uri in client.redirect_uris and within and not client.expired(now)


def client_key(issuer: str, redirect_uri: str) -> ClientKey:
    parts = split(redirect_uri)
    return ClientKey(issuer, Callback(parts.hostname or "", 0, parts.path).template)
