"""A checked code for tokens, and what its refusal means for the client that presented it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .binding import Bond
from .clients import DEAD_CLIENT, forget_client, remember_proof, wants_proof
from .errors import BadResponse, TokenRefused
from .protocol.authorization import AuthorizationCode
from .protocol.registration import Client, Identity, proving_by_secret
from .protocol.tokens import TokenSet, exchange

if TYPE_CHECKING:
    from .steps import Edges


def redeem(
    edges: Edges, identity: Identity, bond: Bond, code: AuthorizationCode
) -> tuple[TokenSet, Client]:
    """The tokens, and the client as it has proved itself for them."""
    request = code.request
    try:
        return _presented(edges, identity, bond, code)
    except TokenRefused as error:
        if error.code in DEAD_CLIENT:
            forget_client(edges, request.client, request.redirect_uri)
        raise


def _presented(
    edges: Edges, identity: Identity, bond: Bond, code: AuthorizationCode
) -> tuple[TokenSet, Client]:
    """A code is not spent by a client that was not let in, so its secret can still be shown."""
    request, client = code.request, code.request.client
    prover = edges.prover(identity, bond.kept)
    try:
        return edges.run(exchange(code, edges.clock(), prover)), client
    except (TokenRefused, BadResponse) as error:
        proving = proving_by_secret(client, request.server) if wants_proof(error) else None
        if proving is None:
            raise
        rule = "the secret that came with the registration is used, once"
        edges.tell("again", url=error.url, detail=error.summary, rule=rule)
    remember_proof(edges, proving, request.redirect_uri)  # first: the code may be spent after all
    return edges.run(exchange(code.presented_by(proving), edges.clock(), prover)), proving
