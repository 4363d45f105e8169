"""Signs with the key that a credential is bound to, and keeps the nonces of the servers.

A nonce belongs to a server in one role (RFC 9449 §8, §9), so it is kept by origin and role, in
memory. Dictionaries are changed one item at a time, which needs no lock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ..credential import damaged
from ..origin import Origin, origin
from ..protocol.client import Client
from ..protocol.client_auth import UNSIGNED, RequestSigner
from ..protocol.dpop import (
    DpopKey,
    choose_algorithm,
    demanded,
    make_key,
    read_key,
    read_nonce,
    resource_wants_nonce,
    server_wants_nonce,
)
from ..protocol.flow import HttpResponse
from ..protocol.options import Options
from ..protocol.tokens import BOUND_ONLY, TokenSet, require_bound
from ..secret import Secret

if TYPE_CHECKING:
    from ..protocol.discovery import Discovery

logger: Final = logging.getLogger("mcp_client_auth")
Role: TypeAlias = Literal["authorization server", "resource server"]
_MOST_KEYS: Final = 4


class DpopSigner(RequestSigner):
    """Adds the proofs of one key to what another `RequestSigner` does."""

    __slots__ = ("_clock", "_inner", "_key", "_nonces", "_random")

    def __init__(
        self,
        key: DpopKey,
        clock: Callable[[], float],
        random: Callable[[], str],
        inner: RequestSigner = UNSIGNED,
        nonces: dict[tuple[Role, Origin], str] | None = None,
    ) -> None:
        self._key, self._clock, self._random, self._inner = key, clock, random, inner
        self._nonces = {} if nonces is None else nonces

    @property
    def binds(self) -> bool:
        return True

    def for_client(self, inner: RequestSigner) -> DpopSigner:
        """Return a signer with the same key and nonces, for a client that `inner` authenticates."""
        return DpopSigner(self._key, self._clock, self._random, inner, self._nonces)

    def assertion(self, client: Client) -> str:
        return self._inner.assertion(client)

    def proof(self, method: str, url: str) -> str:
        return self._proof("authorization server", method, url)

    def take_nonce(self, response: HttpResponse) -> bool:
        new = self._noted("authorization server", response)
        return self._inner.take_nonce(response) or (new and server_wants_nonce(response))

    def headers(self, token: Secret, method: str, url: str) -> dict[str, str]:
        """Return the headers for one request to the resource, and for no other (§7.1)."""
        proof = self._proof("resource server", method, url, token)
        return {"Authorization": f"DPoP {token.reveal()}", "DPoP": proof}

    def take_resource_nonce(self, response: HttpResponse) -> bool:
        """Keep the nonce of a response; return whether the request has to be sent again (§9)."""
        new = self._noted("resource server", response)
        return new and resource_wants_nonce(response)

    def _proof(self, role: Role, method: str, url: str, token: Secret | None = None) -> str:
        nonce = self._nonces.get((role, origin(url)), "")
        now, jti = self._clock(), self._random()
        return self._key.proof(method, url, now=now, jti=jti, nonce=nonce, token=token)

    def _noted(self, role: Role, response: HttpResponse) -> bool:
        """Return whether the response has a nonce; a success may also bring the next one (§8.2)."""
        nonce = read_nonce(response)
        if nonce:
            self._nonces[role, origin(response.url)] = nonce
        return bool(nonce)


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """Signs requests to a resource with its access token: a Bearer token, or one bound to a
    key, which is sent with a proof for each request (RFC 9449 §7).
    """

    token: Secret
    dpop: DpopSigner | None = None

    def headers(self, method: str, url: str) -> dict[str, str]:
        if self.dpop is None:
            return {"Authorization": f"Bearer {self.token.reveal()}"}
        return self.dpop.headers(self.token, method, url)

    def take_nonce(self, response: HttpResponse) -> bool:
        return self.dpop is not None and self.dpop.take_resource_nonce(response)


def dpop_signer(
    known: dict[Secret, DpopSigner],
    kept: Secret,
    clock: Callable[[], float],
    random: Callable[[], str],
    where: str,
) -> DpopSigner:
    """Return the signer of a key, kept among those of its session: each login has its own key.

    Raises `StorageError` if what was kept in `where` is not a key.
    """
    if found := known.get(kept):
        return found
    try:
        key = read_key(kept)
    except ValueError:
        raise damaged(where) from None
    if len(known) >= _MOST_KEYS:
        known.clear()
    return known.setdefault(kept, DpopSigner(key, clock, random))


@dataclass(frozen=True, slots=True)
class DpopChoice:
    """What a login binds its tokens to: a key, or none. `only`: the resource accepts no others."""

    key: DpopKey | None
    only: bool

    @property
    def kept(self) -> Secret | None:
        return self.key.kept if self.key else None

    @property
    def jkt(self) -> str:
        return self.key.jkt if self.key else ""

    @property
    def options(self) -> dict[str, bool]:
        """What the credential remembers besides the key."""
        return {BOUND_ONLY: True} if self.only else {}

    def checked(self, tokens: TokenSet, url: str, warn: Callable[[str], None]) -> TokenSet:
        """The tokens of a response, if they may be used; `warn` is called for unbound ones."""
        if self.only:
            return require_bound(tokens, url)
        if self.key and (warning := bearer_warning(tokens)):
            warn(warning)
        return tokens


UNBOUND: Final = DpopChoice(None, only=False)


def dpop_choice_for(discovery: Discovery, client: Client, options: Options) -> DpopChoice:
    """Choose a new key if the resource, the client or the caller requires bound tokens.

    Support by the authorization server alone is not a reason. Raises `DpopUnsupported` if no
    algorithm will do.
    """
    only = demanded(discovery)
    required = only or options.dpop or client.dpop
    return DpopChoice(make_key(choose_algorithm(discovery)) if required else None, only)


def bearer_warning(tokens: TokenSet, before: TokenSet | None = None) -> str:
    """Return what is wrong with the response to a proof; empty for a bound token, or if the
    tokens `before` were not bound either."""
    if tokens.bound or (before is not None and not before.bound):
        return ""
    warning = "got a Bearer token although a proof was sent: anyone who has it can use it"
    logger.warning("%s (RFC 9449 §5)", warning)
    return warning
