"""A new login beside one that is in use, which it replaces once the server has accepted it.

Until then both are in the store, so that a crash loses neither. The login lease is held all that
time, so a login that the holder of the lease finds waiting was left by a crash.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..credential import Credential
from ..errors import AuthError, BadResponse, StorageError, Unavailable
from ..grants.probe import answer_to, fresh_token_refused, too_little_scope
from ..protocol.oauth_error import is_passing
from .knowledge import SECOND_CHANCE, ended_on_the_way
from .store_tokens import readable, store_login

if TYPE_CHECKING:
    from ..grants.base import LoginConfig, Ports
    from ..protocol.probe import ServerAnswer

_KEPT: Final = "The login that was there is kept and in use"


def prove(
    config: LoginConfig, ports: Ports, fresh: Credential
) -> tuple[Credential, ServerAnswer | None]:
    """Put the new login in place; return it with the answer that accepted it, if there was one.

    Raises the server's refusal, after which the new login is gone and the old one is as it was.
    The new one is not revoked: some servers then end every login of the client.
    """
    answer = None
    with suppress(Unavailable, BadResponse):
        first = answer_to(config, ports, fresh)
        if first.status == 401:  # a replica may not know the token yet
            ports.sleep(SECOND_CHANCE)
            first = answer_to(config, ports, fresh)
        if first.status != 401 or not (fresh.renews and ended_on_the_way(fresh, ports.clock())):
            answer = first
    if answer is not None and answer.requires_authorization:
        bound = fresh.tokens.bound
        raise _dropped(
            ports,
            fresh,
            fresh_token_refused(config.key.server, bound=bound)
            if answer.status == 401
            else _too_little(config, fresh),
        )
    no_answer = answer is None or is_passing(answer.status)
    return take_place(ports, fresh), None if no_answer else answer


def require_gain(config: LoginConfig, ports: Ports, fresh: Credential) -> None:
    """Raise `InsufficientScope` if a step-up granted nothing more and something less.

    The old login then stays, as if the step-up had been denied: its request would be refused
    again, and others might be too. A step-up that granted something else takes its place, since
    servers name scopes in more than one way and only the request can tell.
    """
    stored = readable(ports.storage, config.key)
    if stored is None:
        return
    before, now = set(stored.tokens.scope or ()), set(fresh.tokens.scope or ())
    less = now < before or (now == before and stored.renewable and not fresh.renewable)
    if less and not now.issuperset(fresh.requested or ()):
        raise _dropped(ports, fresh, _too_little(config, fresh))


def _too_little(config: LoginConfig, fresh: Credential) -> AuthError:
    return too_little_scope(fresh, fresh.requested or ())


def _dropped(ports: Ports, fresh: Credential, error: AuthError) -> AuthError:
    drop(ports, fresh)
    return error.advised(_KEPT, error.remedy)


def waiting(config: LoginConfig, ports: Ports) -> Credential | None:
    """The login that a crash has left waiting; one that cannot be read is dropped."""
    key = config.key.beside
    if not config.interactive or ports.storage.summary(key) is None:
        return None
    left = readable(ports.storage, key)
    if left is None:
        with suppress(StorageError):
            ports.storage.delete(key)
    return left


def take_place(ports: Ports, fresh: Credential) -> Credential:
    """Store the login that waited in its place, and return it."""
    kept = store_login(ports.storage, replace(fresh, key=fresh.key.place))
    drop(ports, fresh)
    return kept


def drop(ports: Ports, fresh: Credential) -> None:
    """Delete a login that waits. A copy left there does no harm: it is tried before a sign-in."""
    with suppress(StorageError):
        ports.storage.delete(fresh.key)
