"""What may be imported from mcp-remote: decided from its cache and what the server says now.

A login is imported whole, and only if the server still names the authorization server that the
cache records for its tokens and for its client: nothing of it is sent to another one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar

from ..credential import Credential
from ..errors import AuthError, LoginRequired, TokenRefused, Unavailable, UsageError
from ..grants.probe import probe
from ..origin import shown
from ..protocol.discovery import Discovery, discover
from ..protocol.metadata import ServerMetadata
from ..protocol.registration import SUPPORTED_METHODS, Client, usable_method
from ..protocol.urls import canonical, same_issuer
from ..session.notes import forget_notes, mark_of, read_mark
from ..session.session import Session
from ..session.store_tokens import readable
from .describe import plain
from .flags import hint_of
from .mcp_remote import CachedLogin, Launch

Opened = Callable[[str], Session]


@dataclass(frozen=True, slots=True)
class Offer:
    """A login that can be imported."""

    server: str
    cached: CachedLogin
    session: Session
    credential: Credential

    @property
    def takes(self) -> str:
        tokens, secret = self.credential.tokens, self.credential.client.secret
        parts = {"refresh token": tokens.refresh_token, "client secret": secret}
        return ", ".join(["access token", *(name for name, value in parts.items() if value)])

    @property
    def remark(self) -> str:
        rotates = "if refresh tokens rotate, mcp-remote will have to log in again"
        return rotates if self.credential.tokens.refresh_token else ""


@dataclass(frozen=True, slots=True)
class Left:
    """A login that is not imported; without an `error`, because there is one here already."""

    server: str
    cached: CachedLogin
    error: AuthError | None = None
    takes: ClassVar = "nothing"

    @property
    def remark(self) -> str:
        kept = "you are already logged in, and that login is kept (--force replaces it)"
        return explained(self.error) if self.error else kept


def explained(error: AuthError) -> str:
    """What happened, and on a line of its own what to do."""
    hint = hint_of(error)
    return f"{error.summary}\n    {hint}" if hint else error.summary


def server_name(url: str) -> str:
    """Return the URL that a login is kept under, or the text itself if it is not a URL."""
    try:
        return canonical(url)
    except UsageError:
        return url


def make_offer(launch: Launch, cached: CachedLogin, opened: Opened, *, force: bool) -> Offer | Left:
    """Ask the server which authorization server it names now; nothing cached is sent."""
    server = server_name(launch.url)

    def rank(issuer: str) -> int:  # among several, the one that the cache records
        return 0 if cached.issuer and same_issuer(cached.issuer, issuer) else 1

    try:
        session = opened(launch.url)
        storage = session.ports.storage
        entry = storage.summary(session.key)
        if not force and entry and not mark_of(entry, storage, session.ports.clock()):
            return Left(server, cached)
        config, ports = session.config, session.ports
        answer = probe(config, ports, None)
        discovery = ports.run(discover(config.server_url, answer, config.options, rank=rank))
    except AuthError as error:
        return Left(server, cached, error)
    return _weighed(launch, cached, session, discovery)


def _weighed(
    launch: Launch, cached: CachedLogin, session: Session, discovery: Discovery
) -> Offer | Left:
    server, now = discovery.server, session.ports.clock()
    client = _client_there(cached, server, now)
    if isinstance(client, str):
        return Left(session.key.server, cached, _left(session, client))
    credential = Credential(
        key=session.key,
        issuer=server.issuer,
        token_endpoint=server.token_endpoint,
        client=client,
        tokens=cached.tokens,
        # what mcp-remote sent: its option, otherwise the metadata's, and without metadata none
        resource=launch.resource or (discovery.resource if discovery.metadata else None),
        options=session.config.options.kept(),
        final_url=discovery.final_url,
        revocation_endpoint=server.revocation_endpoint,
    )
    if not credential.alive(now) and credential.tokens.refresh_token is None:
        return Left(session.key.server, cached, _left(session, "its access token has expired"))
    return Offer(session.key.server, cached, session, credential)


def _left(session: Session, why: str) -> LoginRequired:
    key = session.key
    hint = f"Run: {key.login_command()}"
    return LoginRequired(f"the login cannot be imported: {why}", server=key.server, hint=hint)


def _client_there(cached: CachedLogin, server: ServerMetadata, now: float) -> Client | str:
    """The client of the cache at this authorization server, or why nothing may go there."""
    client = cached.client
    if not cached.issuer:
        return "the cache does not record which authorization server issued it"
    if not same_issuer(cached.issuer, server.issuer):
        now_at = server.issuer.shown
        return f"{shown(cached.issuer)} issued it, but the server now names {now_at}"
    if client is None:
        return "the cache does not hold its client"
    if client.issuer and not same_issuer(client.issuer, server.issuer):
        return f"its client is registered at {shown(client.issuer)}"
    method = client.method or usable_method(client.secret, server)
    client = replace(client, method=method, secret=None if method == "none" else client.secret)
    if method not in SUPPORTED_METHODS:
        return f"its client authenticates by {plain(method, 60)}, which is not supported"
    if method != "none" and client.secret is None:
        return "the cache does not hold its client's secret"
    if method != "none" and not client.issuer:
        return "the cache does not record where its client's secret belongs"
    if method != "none" and client.expired(now):
        return "its client's secret has expired"
    return replace(client, issuer=server.issuer)


def take(offer: Offer, *, force: bool, check: bool) -> Credential:
    """Store it, but a token that cannot be renewed only after the server has accepted it."""
    session, fresh, good = offer.session, offer.credential, not check
    if check and fresh.alive(session.ports.clock()):
        with suppress(TokenRefused):
            probe(session.config, session.ports, fresh)
            good = True
    if not good and fresh.tokens.refresh_token is None:
        raise _not_kept(session, "the server refuses the access token")
    storage = session.ports.storage
    with storage.lock(session.key):
        before = readable(storage, session.key)
        mark = read_mark(storage, session.key)
        refused = mark is not None and mark.names(before)
        if before and not (force or refused):  # made while the person was thinking
            raise UsageError("you have logged in meanwhile, and that login is kept")
        kept = replace(fresh, generation=before.generation + 1 if before else 0)
        storage.save(kept)
        forget_notes(storage, session.key)
    return kept if good else _renewed(session, kept, before)


def _renewed(session: Session, kept: Credential, before: Credential | None) -> Credential:
    """Refresh and check the new token; a refresh token that is refused is not kept."""
    try:
        start = kept if kept.alive(session.ports.clock()) else session.usable()
        if start and (better := session.answer(start)[1]):
            return better
    except LoginRequired:
        pass
    except Unavailable as error:
        error.advised("The login was imported, but is not checked")
        raise
    storage = session.ports.storage
    with storage.lock(session.key):
        forget_notes(storage, session.key)
        current = readable(storage, session.key)
        if before is None:
            storage.delete(session.key)
        else:
            storage.save(replace(before, generation=(current or before).generation + 1))
    raise _not_kept(session, "the authorization server refuses the refresh token")


def _not_kept(session: Session, why: str) -> TokenRefused:
    key = session.key
    hint = f"It was not imported. Run: {key.login_command()}"
    return TokenRefused(f"{why} of the cache", server=key.server, hint=hint)
