"""Stores the tokens of a login, and reads what is stored already."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..credential import Credential, Key
from ..errors import StorageError
from ..origin import split
from ..protocol.tokens import NOT_RENEWABLE
from ..storage import Storage
from ..storage.store import save_firmly
from ..threads import NEVER
from .notes import forget_notes

if TYPE_CHECKING:
    from ..grants.base import Exchange, Grant, LoginConfig, Ports


def store_tokens(config: LoginConfig, ports: Ports, grant: Grant, exchange: Exchange) -> Credential:
    """Store the tokens of a login, with all that is needed to use them, over what was there.

    Not cancelled: the code is used up, and the server counts the login as made.
    """
    ports = replace(ports, cancel=NEVER)
    granted = exchange(ports)
    server, dpop_choice = granted.server, granted.dpop_choice

    def notice(detail: str) -> None:
        ports.tell("notice", url=server.token_endpoint, detail=detail)

    path = split(config.server_url).path
    slash = path.endswith("/") and path != "/"  # the key leaves it out, the server may need it
    fresh = Credential(
        key=config.key.beside if config.beside else config.key,
        issuer=server.issuer,
        token_endpoint=server.token_endpoint,
        client=granted.client,
        tokens=dpop_choice.checked(granted.tokens, server.token_endpoint, notice),
        resource=granted.resource,
        revocation_endpoint=server.revocation_endpoint,
        requested=granted.scope,
        options=config.options.kept() | dpop_choice.options | dict(grant.kept),
        dpop_key=dpop_choice.kept,
        final_url=granted.final_url or (config.server_url if slash else ""),
        headers=ports.headers,
    )
    kept = store_login(ports.storage, fresh)
    ports.tell("storage", detail=f"kept in {ports.storage.where}")
    if not grant.can_renew(kept) and kept.tokens.expires_at is not None:
        notice(NOT_RENEWABLE)
    return kept


def store_login(storage: Storage, fresh: Credential) -> Credential:
    """Store a new login in place of the one under its key, of which only the generation goes on."""
    with storage.lock(fresh.key):
        stored = readable(storage, fresh.key)
        kept = replace(fresh, generation=stored.generation + 1 if stored else 0)
        save_firmly(storage, kept)
        if not fresh.key.waits:
            forget_notes(storage, fresh.key)
    return kept


def readable(storage: Storage, key: Key) -> Credential | None:
    """What is stored; what cannot be read counts as none, since a login is about to replace it."""
    try:
        return storage.load(key)
    except StorageError as error:
        if error.code not in ("damaged_record", "elsewhere"):
            raise
        return None
