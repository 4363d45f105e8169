"""What may be taken over from mcp-remote: decided from its cache and what the server says now.

A refresh token or client secret goes only to the authorization server that the cache records
for it; where it records none, the access token comes alone, for it goes to its server only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..credential import Credential
from ..errors import AuthError, LoginRequired, UsageError
from ..probing import probe
from ..protocol.discovery import Discovery, discover
from ..protocol.metadata import ServerMetadata
from ..protocol.registration import SUPPORTED_METHODS, Client, usable_method
from ..protocol.urls import canonical, same_issuer, shown
from ..session import Session
from ..steps import require_server
from .mcp_remote import CachedLogin, Launch
from .progress import plain

Opened = Callable[[str], Session]


@dataclass(frozen=True, slots=True)
class Offer:
    """A login that can be imported; `why` tells for what reason its refresh token cannot."""

    server: str
    cached: CachedLogin
    session: Session
    credential: Credential
    why: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """A login that stays where it is; without an `error` because there is one here already."""

    server: str
    cached: CachedLogin
    error: AuthError | None = None
    why: str = ""


def server_name(url: str) -> str:
    """What it is kept under; as it stands where it is no URL."""
    try:
        return canonical(url)
    except UsageError:
        return url


def make_offer(launch: Launch, cached: CachedLogin, opened: Opened, *, force: bool) -> Offer | Left:
    """Asks the server of today where it belongs to; nothing of the cache is sent."""
    server = server_name(launch.url)
    try:
        session = opened(launch.url)
        if not force and session.edges.storage.summary(session.key):
            return Left(server, cached)
        discovery = _discovered(session, cached)
    except AuthError as error:
        return Left(server, cached, error)
    return _weighed(launch, cached, session, discovery)


def _discovered(session: Session, cached: CachedLogin) -> Discovery:
    """Steps 1 to 6; among several authorization servers the one that the cache records."""
    wanted, edges = session.wanted, session.edges
    require_server(wanted.server_url, wanted.options)
    challenge = probe(wanted, edges, None)
    held = (cached.issuer,) if cached.issuer else ()
    return edges.run(discover(wanted.server_url, challenge, wanted.options, held=held))


def _weighed(
    launch: Launch, cached: CachedLogin, session: Session, discovery: Discovery
) -> Offer | Left:
    server, now = discovery.server, session.edges.clock()
    client = _client_there(cached, server, now)
    alone = Credential(
        key=session.key,
        issuer=server.issuer,
        token_endpoint=server.token_endpoint,
        client=_named(cached.client, server),
        tokens=replace(cached.tokens, refresh_token=None),
        resource=_resource(launch, discovery),
        options=session.wanted.options.kept(),
    )
    if isinstance(client, str):
        taken, why = alone, client
    else:
        end = server.revocation_endpoint
        taken = replace(alone, client=client, tokens=cached.tokens, revocation_endpoint=end)
        why = ""
    if not taken.alive(now) and taken.tokens.refresh_token is None:
        return Left(session.key.server, cached, _expired(session.key.server), why)
    return Offer(session.key.server, cached, session, taken, why)


def _client_there(cached: CachedLogin, server: ServerMetadata, now: float) -> Client | str:
    """The client of the cache at this authorization server, or why nothing may go there."""
    client = cached.client
    if not cached.issuer:
        return "the cache does not record which authorization server it is of"
    if not same_issuer(cached.issuer, server.issuer):
        return f"it is of {shown(cached.issuer)}, but the server now names {shown(server.issuer)}"
    if client is None:
        return "the cache does not hold the client that it was issued to"
    if client.issuer and not same_issuer(client.issuer, server.issuer):
        return f"its client is of {shown(client.issuer)}"
    method = client.method or usable_method(client.secret, server)
    if method == "none":
        return replace(client, issuer=server.issuer, method=method, secret=None)
    return _with_secret(replace(client, method=method), server, now)


def _with_secret(client: Client, server: ServerMetadata, now: float) -> Client | str:
    if client.method not in SUPPORTED_METHODS:
        return f"its client proves itself by {plain(client.method, 60)}, which cannot be imported"
    if client.secret is None:
        return "the cache does not hold the client's secret"
    if not client.issuer:
        return "the cache does not record whose the client's secret is"
    if client.expired(now):
        return "the client's secret has expired"
    return replace(client, issuer=server.issuer)


def _named(client: Client | None, server: ServerMetadata) -> Client:
    """A client that proves nothing: its name is for people, and no secret is with it."""
    return Client(client.client_id if client else "", server.issuer, "dynamic", "none")


def _resource(launch: Launch, discovery: Discovery) -> str | None:
    """What mcp-remote sent: its option, else the metadata's, and without metadata none."""
    return launch.resource or (discovery.resource if discovery.metadata else None)


def _expired(server: str) -> LoginRequired:
    return LoginRequired(
        "the access token has expired, and there is no refresh token to take with it",
        server=server,
        hint=f"Run: mcp-login {server}",
    )
