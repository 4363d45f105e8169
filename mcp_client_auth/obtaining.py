"""Tokens without a browser: a grant that asks nobody, first and again; a code for another device.

What a browser is for is told in `steps`; here is what takes its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .assertions import read_assertion
from .binding import bond_for
from .clients import callers_client, speaking_to
from .credential import Credential
from .keeping import keep
from .polling import by_device
from .prompt.device import DevicePrompt, DeviceVisit
from .protocol.challenge import Challenge
from .protocol.discovery import required_metadata
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
from .protocol.metadata import ServerMetadata, caller_server_metadata
from .protocol.options import Endpoints, Options
from .protocol.registration import Client, PreRegistered, pre_registered
from .protocol.scopes import Scopes, suggested
from .protocol.tokens import BOUND_ONLY, TokenSet, require_bound
from .proving import prepared
from .secret import Secret
from .steps import Edges, Wanted, choice, find


def obtain(
    wanted: Wanted,
    edges: Edges,
    grant: Alone,
    challenge: Challenge | None,
    *,
    scope: Scopes | None = None,
) -> Credential:
    """Steps 3 to 13 without a person: find the server, present what the caller supplied.

    One token request; no registration, and no other grant where this one is refused.
    """
    discovery = find(wanted, edges, challenge)
    asked = scope or wanted.scope or suggested(discovery) or None
    client, resource = _client(wanted, edges, discovery.server), discovery.resource
    server = speaking_to(discovery.server, client)
    target = Target(server.issuer, server.token_endpoint, client, resource, asked)
    bond = bond_for(discovery, client, wanted.options)
    tokens = _granted(wanted, edges, grant, target, bond.kept)
    bare = replace(client, secret=None)  # the caller brings it each time
    owner = grant.owner
    return keep(
        wanted, edges, server, bare, tokens, bond, resource=resource, scope=asked, owner=owner
    )


def reissue(wanted: Wanted, edges: Edges, grant: Alone, held: Credential) -> TokenSet:
    """The next token from the endpoint of the last one, for the same: what a refresh is else."""
    target = Target(
        held.issuer,
        held.token_endpoint,
        own_client(wanted, held),
        held.resource,
        held.requested,
        bool(held.options.get("allow_private_addresses")),
    )
    tokens = _granted(wanted, edges, grant, target, held.dpop_key)
    bound_only = held.options.get(BOUND_ONLY)
    return require_bound(tokens, held.token_endpoint) if bound_only else tokens


def own_client(wanted: Wanted, held: Credential) -> Client:
    """The stored client with the caller's secret of today, which is not stored."""
    if not isinstance(wanted.identity, PreRegistered):
        return held.client
    secret = wanted.identity.secret
    return replace(held.client, secret=secret if not isinstance(secret, str) else None)


def _client(wanted: Wanted, edges: Edges, server: ServerMetadata) -> Client:
    if client := callers_client(wanted, edges, server, "pre-registered"):
        return client
    return Client("", server.issuer, "pre-registered", "none")  # RFC 7523 §3.1: none is needed


def _granted(
    wanted: Wanted, edges: Edges, grant: Alone, target: Target, key: Secret | None
) -> TokenSet:
    """What the grant gives, with the caller's assertion as it is now; bound to `key`."""
    prover = edges.prover(wanted.identity, key)
    if isinstance(grant, ClientCredentials):
        return edges.run(client_credentials(target, edges.clock(), prover))
    pinned = bool(wanted.options.issuer)
    if isinstance(grant, EnterpriseManaged):
        provider = _provider(edges, grant, wanted.options)
        subject = read_assertion(grant, provider.client.client_id)
        kind = grant.assertion_type
        now, there = edges.clock(), edges.prover(grant.idp_client)
        both = identity_assertion(
            provider, target, subject, kind, now, prover, idp_prover=there, pinned=pinned
        )
        return edges.run(both)
    assertion = read_assertion(grant, target.issuer)
    return edges.run(jwt_bearer(target, assertion, edges.clock(), prover, pinned=pinned))


def _provider(edges: Edges, grant: EnterpriseManaged, options: Options) -> IdentityProvider:
    """The caller's identity provider; only he can name one."""
    options = replace(options, issuer="", endpoints=None)  # those are the authorization server's
    if grant.idp_token_endpoint:
        issuer = grant.idp_issuer or grant.idp_token_endpoint
        server = caller_server_metadata(issuer, Endpoints(token=grant.idp_token_endpoint))
    else:
        server = edges.run(required_metadata(grant.idp_issuer, options, private=True))
    client = prepared(pre_registered(grant.idp_client, server, options), grant.idp_client, server)
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
) -> Credential:
    """Steps 3 to 13 with a person elsewhere; nothing stored changes before the tokens are there."""
    edges.storage.check()
    discovery = find(wanted, edges, challenge)
    asked = scope if scope is not None else choice(wanted, edges, discovery)
    return by_device(wanted, edges, prompt, discovery, asked, on_visit)
