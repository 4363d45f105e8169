"""Which client a login uses: the caller's, a registration that is kept, or a new one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..credential import ClientKey, Key, Note
from ..errors import AuthError, BadResponse, Remedy, StorageError, TokenRefused, Untrusted
from ..keys.client_key import prepare, require_certificate
from ..origin import shown, split
from ..protocol.client_choice import may_be_mixed_up
from ..protocol.dynamic_registration import register
from ..protocol.management import is_manageable
from ..protocol.metadata import ServerMetadata
from ..protocol.redirects import Callback, callback_for, with_port_of
from ..protocol.registration import (
    Client,
    ClientMetadataDocument,
    Identity,
    PreRegistered,
)
from ..protocol.scopes import Scopes
from ..protocol.tokens import DEAD_CLIENT
from ..protocol.urls import same_issuer
from ..secret import quoted
from .base import ChosenClient, Login, LoginConfig, Ports

if TYPE_CHECKING:
    from ..protocol.options import Options
    from ..storage import Storage

_CONSENT: Final = "consent"


def choose_client(login: Login, server: ServerMetadata, redirect_uri: str = "") -> ChosenClient:
    """Steps 7 and 8: the caller's client, a registration that is kept, or a new one.

    Raises `UsageError` before a browser opens: no sign-in can fix a bad key.
    """
    config, ports, attempt, reused = login.config, login.ports, login.attempt, False
    identity = config.identity
    if attempt.kind == "dynamic":
        client, reused = registered_client(config, ports, server, redirect_uri, attempt.scope)
    elif identity is None:  # RFC 7523 §3.1: an assertion needs none
        client = Client("", server.issuer, "pre-registered", "none")
    else:
        client = identity.client(server, config.options)
        require_certificate(client, ports.transport)
        client = prepare(client, identity, server)
    return login.choose(client, server, redirect_uri, reused=reused)


def identity_of(client: Client) -> Identity:
    """The client that a person named for a login, so that they need not name it again."""
    more = {"key_file": client.key_file}
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


def callback(login: Login) -> Callback:
    """The address to listen at, on the port of a kept registration if there is one."""
    config, ports, attempt = login.config, login.ports, login.attempt
    issuer, dynamic = attempt.discovery.server.issuer, attempt.kind == "dynamic"
    usual = callback_for(config.identity, dynamic, issuer, config.options, attempt.host)
    return (_kept_callback(config, ports, issuer, usual) if dynamic else None) or usual


def has_client(config: LoginConfig, ports: Ports, issuer: str) -> bool:
    """Whether a registration of an earlier login to this issuer is kept."""
    if config.identity is not None:
        return False
    usual = callback_for(None, True, issuer, config.options)
    with suppress(StorageError):
        return _kept_callback(config, ports, issuer, usual) is not None
    return False


def _kept_callback(
    config: LoginConfig, ports: Ports, issuer: str, usual: Callback
) -> Callback | None:
    """The callback of a kept registration; one that we chose may be at localhost."""
    hosts = (usual.host,) if config.options.redirect_uri else (usual.host, "localhost")
    for place in (replace(usual, host=host) for host in hosts):
        if kept := ports.storage.load(ClientKey(issuer, place.template)):
            return with_port_of(place, kept)
    return None


def registered_client(
    config: LoginConfig,
    ports: Ports,
    server: ServerMetadata,
    redirect_uri: str,
    scope: Scopes | None,
) -> tuple[Client, bool]:
    """A dynamic registration, and whether it was used before."""
    key = client_key(server.issuer, redirect_uri)
    with ports.storage.lock(key, "client"):
        stored = ports.storage.load(key)
        if (
            stored
            and redirect_uri in stored.redirect_uris
            and set(scope or ()) <= set(stored.scope)
            and not stored.expired(ports.clock())
        ):
            ports.tell("registration", url=server.issuer, rule="a kept registration is used")
            return stored, True
        made = ports.run(register(server, redirect_uri, scope, config.options))
        if not is_manageable(made.management_uri, server):
            made = replace(made, management_uri="", management_token=None)
        client = prepare(made, None, server)
        with suppress(AuthError):  # the credential holds its client; the next login can register
            ports.storage.save(client, key)
        return client, False


def require_own_client(
    ports: Ports, server: ServerMetadata, client: Client, options: Options
) -> None:
    """Refuse another issuer's client if this server could take a code from that issuer.

    A metadata document belongs to no issuer, and was checked before (`client_kind`).
    """
    vouched = client.kind == "metadata-document" or same_issuer(options.issuer, server.issuer)
    if vouched or not may_be_mixed_up(server, options):
        return
    for entry in ports.storage.list(client_id=client.client_id):
        if not same_issuer(entry.issuer, server.issuer):
            raise Untrusted(
                f"the client {quoted(client.client_id, 60)} belongs to {shown(entry.issuer)}, and"
                " this authorization server could take a code from there: it has its sign-in page"
                f" on another origin ({server.authorization_endpoint.shown}) and does not promise"
                " “iss” (RFC 9207)",
                url=server.issuer,
                code="mix_up",
                hint=Remedy(
                    "If its operator confirms that the client is theirs too, pass their issuer:"
                    " {Options.issuer}"
                ),
            )


def needs_consent(ports: Ports, key: Key, client: Client) -> bool:
    """Whether this pre-registered client got no refresh token without prompt=consent."""
    known = Note(key, _CONSENT)
    return client.kind == "pre-registered" and ports.storage.load(known) == client.client_id


def remember_consent(ports: Ports, key: Key, client: Client, *, needed: bool) -> None:
    """Keep for the next login whether consent is needed."""
    with suppress(StorageError):
        if client.kind == "pre-registered" and needed != needs_consent(ports, key, client):
            if not needed:
                ports.storage.delete(Note(key, _CONSENT))
            else:
                ports.storage.save(client.client_id, Note(key, _CONSENT))
                again = "the next login asks for consent, which some servers want first"
                ports.tell("notice", url=client.issuer, detail=again, rule="OIDC Core §11")


def wants_proof(error: TokenRefused | BadResponse) -> bool:
    """Whether a token endpoint may have refused because it lacked the client's secret. Some say
    so in JSON of their own (RFC 6749 §5.2 has invalid_client)."""
    named = not isinstance(error, TokenRefused) or error.code in (*DEAD_CLIENT, "invalid_request")
    return error.status in (400, 401) and named


def remember_proof(ports: Ports, client: Client, redirect_uri: str) -> None:
    """Keep, for later logins, how a registered client turned out to authenticate."""
    key = client_key(client.issuer, redirect_uri)
    with suppress(AuthError), ports.storage.lock(key, "client"):
        stored = ports.storage.load(key)
        if stored and stored.client_id == client.client_id:
            ports.storage.save(client, key)


def forget_client(ports: Ports, client: Client, redirect_uri: str) -> None:
    """Drop a registration that the server no longer knows, and no other."""
    if client.kind != "dynamic":
        return
    key = client_key(client.issuer, redirect_uri)
    with ports.storage.lock(key, "client"):
        drop_client(ports.storage, key, client)


def drop_client(storage: Storage, key: ClientKey, client: Client) -> None:
    """Drop a registration unless another has taken its place; call this under the client lock."""
    stored = storage.load(key)
    if stored and stored.client_id == client.client_id:
        storage.delete(key)


def client_key(issuer: str, redirect_uri: str) -> ClientKey:
    parts = split(redirect_uri)
    if parts.scheme == "https":  # a page of the caller's application, whose port is its own
        return ClientKey(issuer, redirect_uri)
    return ClientKey(issuer, Callback(parts.hostname or "", 0, parts.path).template)
