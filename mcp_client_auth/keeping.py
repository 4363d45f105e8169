"""The tokens of a login into the storage, and what is there already."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .binding import Bond
from .credential import Credential, Key
from .errors import StorageError
from .protocol.metadata import ServerMetadata
from .protocol.registration import Client
from .protocol.scopes import Scopes
from .protocol.tokens import NOT_RENEWABLE, TokenSet
from .protocol.urls import shown
from .storage import Storage

if TYPE_CHECKING:
    from .steps import Edges, Wanted


def keep(
    wanted: Wanted,
    edges: Edges,
    server: ServerMetadata,
    client: Client,
    tokens: TokenSet,
    bond: Bond,
    *,
    resource: str | None,
    scope: Scopes | None,
    owner: str = "",
) -> Credential:
    """The tokens of a login, with all that is needed to use them, in the place of what was there.

    `owner`: whose assertion it was, for a grant that asks nobody.
    """
    fresh = Credential(
        key=wanted.key,
        issuer=server.issuer,
        token_endpoint=server.token_endpoint,
        client=client,
        tokens=edges.checked(tokens, bond, server.token_endpoint),
        resource=resource,
        revocation_endpoint=server.revocation_endpoint,
        requested=scope,
        options=wanted.options.kept() | bond.options | ({"owner": owner} if owner else {}),
        dpop_key=bond.kept,
    )
    with edges.storage.lock(fresh.key):
        stored = readable(edges.storage, fresh.key)
        kept = replace(fresh, generation=stored.generation + 1 if stored else 0)
        edges.storage.save(kept)
    edges.tell("storage", detail=f"kept in {edges.storage.where}")
    if not (wanted.alone or kept.renewable) and kept.tokens.expires_at is not None:
        edges.tell("notice", url=shown(server.token_endpoint), detail=NOT_RENEWABLE)
    return kept


def readable(storage: Storage, key: Key) -> Credential | None:
    """What is stored; what cannot be read counts as none where a login is about to replace it."""
    try:
        return storage.load(key)
    except StorageError as error:
        if error.code not in ("damaged_record", "elsewhere"):
            raise
        return None
