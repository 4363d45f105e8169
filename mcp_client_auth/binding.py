"""Signs with the key that a credential is bound to, and remembers what the servers want in it.

A nonce belongs to a server in one role (RFC 9449 §8, §9), so it is kept by origin and role, in
memory. Dictionaries are changed one item at a time, which needs no lock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .credential import damaged
from .protocol.client_auth import PLAIN, Prover
from .protocol.discovery import Discovery
from .protocol.dpop import (
    ProofKey,
    choose_algorithm,
    demanded,
    make_key,
    read_key,
    read_nonce,
    resource_wants_nonce,
    server_wants_nonce,
)
from .protocol.flow import HttpResponse
from .protocol.options import Options
from .protocol.registration import Client
from .protocol.tokens import BOUND_ONLY, DPOP, TokenSet, require_bound
from .protocol.urls import Origin, origin
from .secret import Secret

logger: Final = logging.getLogger("mcp_client_auth")
Role: TypeAlias = Literal["authorization server", "resource server"]
_MOST_KEYS: Final = 4


class Binding:
    """A `Prover` that adds the proofs of one key to what another one does."""

    __slots__ = ("_clock", "_inner", "_key", "_nonces", "_random")

    def __init__(
        self,
        key: ProofKey,
        clock: Callable[[], float],
        random: Callable[[], str],
        inner: Prover = PLAIN,
        nonces: dict[tuple[Role, Origin], str] | None = None,
    ) -> None:
        self._key, self._clock, self._random, self._inner = key, clock, random, inner
        self._nonces = {} if nonces is None else nonces

    @property
    def binds(self) -> bool:
        return True

    def beside(self, inner: Prover) -> Binding:
        """The same key and nonces, for a client that proves itself by `inner`."""
        return Binding(self._key, self._clock, self._random, inner, self._nonces)

    def assertion(self, client: Client) -> str:
        return self._inner.assertion(client)

    def proof(self, method: str, url: str) -> str:
        return self._proof("authorization server", method, url)

    def heard(self, response: HttpResponse) -> bool:
        new = self._noted("authorization server", response)
        return self._inner.heard(response) or (new and server_wants_nonce(response))

    def headers(self, token: Secret, method: str, url: str) -> dict[str, str]:
        """What goes with one request to the resource (§7.1), and with no other."""
        proof = self._proof("resource server", method, url, token)
        return {"Authorization": f"{DPOP} {token.reveal()}", "DPoP": proof}

    def heard_from_resource(self, response: HttpResponse) -> bool:
        """Keep the nonce of an answer; whether it asks for the request once more (§9)."""
        new = self._noted("resource server", response)
        return new and resource_wants_nonce(response)

    def _proof(self, role: Role, method: str, url: str, token: Secret | None = None) -> str:
        nonce = self._nonces.get((role, origin(url)), "")
        now, jti = self._clock(), self._random()
        return self._key.proof(method, url, now=now, jti=jti, nonce=nonce, token=token)

    def _noted(self, role: Role, response: HttpResponse) -> bool:
        """Whether the answer gives a nonce; also one that was good may give the next (§8.2)."""
        nonce = read_nonce(response)
        if nonce:
            self._nonces[role, origin(response.url)] = nonce
        return bool(nonce)


class Bindings:
    """The keys of one session: a login has one, and the next login another."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Secret, Binding] = {}

    def of(
        self, kept: Secret, clock: Callable[[], float], random: Callable[[], str], where: str
    ) -> Binding:
        """Raises `StorageError` where what was kept in `where` is no key."""
        known = self._known.get(kept)
        if known is not None:
            return known
        try:
            key = read_key(kept)
        except ValueError:
            raise damaged(where) from None
        if len(self._known) >= _MOST_KEYS:
            self._known = {}
        return self._known.setdefault(kept, Binding(key, clock, random))


@dataclass(frozen=True, slots=True)
class Bond:
    """What a login binds its tokens to: a key, or none. `only`: the resource takes no others."""

    key: ProofKey | None = None
    only: bool = False

    @property
    def kept(self) -> Secret | None:
        return self.key.kept if self.key else None

    @property
    def jkt(self) -> str:
        return self.key.jkt if self.key else ""

    @property
    def options(self) -> dict[str, bool]:
        """What the credential remembers beside the key."""
        return {BOUND_ONLY: True} if self.only else {}

    def checked(self, tokens: TokenSet, url: str, tell: Callable[[str], None]) -> TokenSet:
        """The tokens of an answer, if they may be used; `tell` is told of a lesser kind."""
        if self.only:
            return require_bound(tokens, url)
        if self.key and (said := unbound(tokens)):
            tell(said)
        return tokens


UNBOUND: Final = Bond()


def bond_for(discovery: Discovery, client: Client, options: Options) -> Bond:
    """A new key where the resource, the client or the caller wants bound tokens.

    Not where the authorization server merely knows how. Raises `DpopUnsupported` where no
    algorithm will do.
    """
    only = demanded(discovery)
    wanted = only or options.dpop or client.dpop
    return Bond(make_key(choose_algorithm(discovery)) if wanted else None, only)


def unbound(tokens: TokenSet, before: TokenSet | None = None) -> str:
    """What to tell of an answer to a proof that is no bound token; empty for nothing to tell."""
    if tokens.bound or (before is not None and not before.bound):
        return ""
    said = "a Bearer token came, although a proof was sent: whoever has it can use it"
    logger.warning("%s (RFC 9449 §5)", said)
    return said
