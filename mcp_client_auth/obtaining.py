"""Tokens without a browser: a grant that asks nobody, first and again; a code for another device.

What a browser is for is told in `steps`; here is what takes its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .assertions import read_assertion
from .credential import Credential
from .errors import AuthError, TokenRefused
from .prompt.device import DevicePrompt, DeviceVisit
from .protocol.challenge import Challenge
from .protocol.client_auth import PLAIN, Prover
from .protocol.device import DeviceAuthorization, authorize_device, poll, too_late, wait_after
from .protocol.discovery import Discovery, required_metadata
from .protocol.grants import (
    Alone,
    ClientCredentials,
    EnterpriseManaged,
    IdentityProvider,
    Target,
    client_credentials,
    identity_assertion,
    jwt_bearer,
)
from .protocol.metadata import ServerMetadata, named_server_metadata
from .protocol.options import Options
from .protocol.registration import Client, PreRegistered, pre_registered, way_to_client
from .protocol.scopes import Scopes, suggested
from .protocol.tokens import TokenSet
from .protocol.urls import shown
from .steps import DEAD_CLIENT, Edges, Wanted, choice, client_for, find, forget_client, keep
from .steps import callback as callback_of


def obtain(
    wanted: Wanted,
    edges: Edges,
    grant: Alone,
    challenge: Challenge | None,
    *,
    scope: Scopes | None = None,
    prover: Prover = PLAIN,
) -> Credential:
    """Steps 3 to 13 without a person: find the server, present what the caller supplied.

    One token request; no registration, and no other grant where this one is refused.
    """
    discovery = find(wanted, edges, challenge)
    asked = scope or wanted.scope or suggested(discovery) or None
    server, resource = discovery.server, discovery.resource
    client = _client(wanted, server)
    target = Target(server.issuer, server.token_endpoint, client, resource, asked)
    return keep(
        edges,
        Credential(
            key=wanted.key,
            issuer=server.issuer,
            token_endpoint=server.token_endpoint,
            client=replace(client, secret=None),  # the caller brings it each time
            tokens=_granted(wanted, edges, grant, target, prover),
            resource=resource,
            revocation_endpoint=server.revocation_endpoint,
            requested=asked,
            options={**wanted.options.kept(), "owner": grant.owner},
        ),
    )


def reissue(
    wanted: Wanted, edges: Edges, grant: Alone, held: Credential, prover: Prover = PLAIN
) -> TokenSet:
    """The next token from the endpoint of the last one, for the same: what a refresh is else."""
    return _granted(
        wanted,
        edges,
        grant,
        Target(
            held.issuer,
            held.token_endpoint,
            own_client(wanted, held),
            held.resource,
            held.requested,
            bool(held.options.get("allow_private_addresses")),
        ),
        prover,
    )


def own_client(wanted: Wanted, held: Credential) -> Client:
    """The stored client with the caller's secret of today, which is not stored."""
    if not isinstance(wanted.identity, PreRegistered):
        return held.client
    secret = wanted.identity.secret
    return replace(held.client, secret=secret if not isinstance(secret, str) else None)


def _client(wanted: Wanted, server: ServerMetadata) -> Client:
    if isinstance(wanted.identity, PreRegistered):
        return pre_registered(wanted.identity, server, wanted.options)
    return Client("", server.issuer, "pre-registered", "none")  # RFC 7523 §3.1: none is needed


def _granted(
    wanted: Wanted, edges: Edges, grant: Alone, target: Target, prover: Prover
) -> TokenSet:
    """What the grant gives, with the caller's assertion as it is now."""
    if isinstance(grant, ClientCredentials):
        return edges.run(client_credentials(target, edges.clock(), prover))
    pinned = bool(wanted.options.issuer)
    if isinstance(grant, EnterpriseManaged):
        provider = _provider(edges, grant, wanted.options)
        subject = read_assertion(grant, provider.client.client_id)
        kind = grant.assertion_type
        now = edges.clock()
        return edges.run(
            identity_assertion(provider, target, subject, kind, now, prover, pinned=pinned)
        )
    assertion = read_assertion(grant, target.issuer)
    return edges.run(jwt_bearer(target, assertion, edges.clock(), prover, pinned=pinned))


def _provider(edges: Edges, grant: EnterpriseManaged, options: Options) -> IdentityProvider:
    """The caller's identity provider; only he can name one."""
    if grant.idp_token_endpoint:
        server = named_server_metadata(grant.idp_issuer, grant.idp_token_endpoint)
    else:
        server = edges.run(required_metadata(grant.idp_issuer, options, private=True))
    client = pre_registered(grant.idp_client, server, replace(options, issuer=""))
    return IdentityProvider(server.token_endpoint, client)


# A device that has no browser


def log_in_by_device(
    wanted: Wanted,
    edges: Edges,
    prompt: DevicePrompt,
    challenge: Challenge | None,
    *,
    scope: Scopes | None = None,
    on_visit: Callable[[DeviceVisit], None] = lambda visit: None,
    prover: Prover = PLAIN,
) -> Credential:
    """Steps 3 to 13 with a person elsewhere; nothing stored changes before the tokens are there."""
    edges.storage.check()
    discovery = find(wanted, edges, challenge)
    visit = prompt.visit(wanted.key.server, wanted.key.account)
    on_visit(visit)
    asked = scope if scope is not None else choice(wanted, edges, discovery)
    redirect_uri = _redirect_uri(wanted, edges, discovery)
    client, _ = client_for(wanted, edges, discovery, redirect_uri, asked)
    try:
        invitation = edges.run(authorize_device(discovery, client, asked, prover))
        tokens = _awaited(wanted, edges, visit, invitation, prover)
    except TokenRefused as error:
        if error.code in DEAD_CLIENT:
            forget_client(edges, client, redirect_uri)
        raise
    return keep(
        edges,
        Credential(
            key=wanted.key,
            issuer=discovery.server.issuer,
            token_endpoint=discovery.server.token_endpoint,
            client=client,
            tokens=tokens,
            resource=discovery.resource,
            revocation_endpoint=discovery.server.revocation_endpoint,
            requested=asked,
            options=wanted.options.kept(),
        ),
    )


def _redirect_uri(wanted: Wanted, edges: Edges, discovery: Discovery) -> str:
    """What a registration names although nothing will arrive there: a browser may use it next."""
    if way_to_client(wanted.identity, discovery.server) != "dynamic":
        return ""
    return callback_of(wanted, edges, discovery).uri


def _awaited(
    wanted: Wanted,
    edges: Edges,
    visit: DeviceVisit,
    asked: DeviceAuthorization,
    prover: Prover,
) -> TokenSet:
    """Ask until the person has decided, within the code's life and his time (RFC 8628 §3.3)."""
    began, interval = edges.monotonic(), asked.interval
    patience = min(asked.expires_in, wanted.options.login_timeout)
    where = shown(asked.server.token_endpoint)
    visit.show(asked)
    edges.tell("sign-in", detail="waiting for the person on another device")
    edges.tell("token-request", url=where, rule="asked until the person has decided (RFC 8628)")
    while edges.monotonic() + interval < began + patience:
        visit.pause(interval, edges.sleep)
        try:
            return edges.run(poll(asked, edges.clock(), prover))
        except AuthError as error:
            interval = wait_after(error, interval)
    raise too_late(where)
