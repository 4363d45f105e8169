"""The end of a login: here first, then at the server, which cannot stand in its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .clients import client_key, drop_client
from .credential import Credential, Key
from .errors import AuthError, StorageError
from .protocol.management import unregister
from .protocol.registration import Client, Identity
from .protocol.tokens import revoke
from .protocol.urls import shown
from .storage import Storage

if TYPE_CHECKING:
    from .steps import Edges

_UNREADABLE: Final = ("damaged_record", "no_key", "wrong_key")


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """What a logout did; true when there was a login.

    `revoked` and `unregistered` tell what the server has confirmed, and are None where it was
    not asked: RFC 7009 for the tokens, RFC 7592 for a client that nobody else here uses.
    `trouble` says in words what could not be done.
    """

    found: bool
    revoked: bool | None = None
    unregistered: bool | None = None
    trouble: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.found


def forget(storage: Storage, key: Key) -> tuple[bool, Credential | None, tuple[str, ...]]:
    """Delete every trace of a login here; whether there was one, and what it was.

    What cannot be read can still be deleted; then there is nothing to revoke with.
    """
    trouble: tuple[str, ...] = ()
    stored = None
    try:
        stored = storage.load(key)
    except StorageError as error:
        entry = storage.summary(key)
        sealed = error.code == "elsewhere" and entry is not None and entry.storage == "file"
        if error.code not in _UNREADABLE and not sealed:  # a file goes without its key too
            raise
        trouble = (f"{error.summary}, so nothing could be revoked",)
    found = stored is not None or storage.summary(key) is not None or bool(trouble)
    storage.delete(key)
    return found, stored, trouble


def end_at_server(edges: Edges, stored: Credential, identity: Identity) -> LoggedOut:
    """Revoke the tokens, then delete the client of which this was the last login."""
    trouble: list[str] = []
    revoked = sign_out(edges, stored, identity, trouble)
    unregistered = None
    if forget_registration(edges, stored.client) and stored.client.management_uri:
        private = bool(stored.options.get("allow_private_addresses"))
        unregistered = _unregister(edges, stored.client, trouble, private=private)
    return LoggedOut(True, revoked, unregistered, tuple(trouble))


def sign_out(
    edges: Edges, credential: Credential, identity: Identity, trouble: list[str]
) -> bool | None:
    """Whether the server has ended the grant: its refresh token, else its access token."""
    endpoint, tokens = credential.revocation_endpoint, credential.tokens
    if not endpoint:
        trouble.append("the authorization server offers no revocation")
        return None
    pairs = [(tokens.refresh_token, "refresh_token"), (tokens.access_token, "access_token")]
    done = []
    for token, hint in pairs:
        if token is None:
            continue
        try:
            prover = edges.prover(identity, credential.dpop_key)
            done.append(edges.run(revoke(credential, token, hint, prover)))
        except AuthError as error:
            edges.tell("revocation", url=shown(endpoint), detail=f"{hint}: {error.summary}")
            trouble.append(f"{error.summary} ({shown(endpoint)})")
            done.append(False)
    return bool(done) and done[0]


def forget_registration(edges: Edges, client: Client) -> bool:
    """Drop a registration here when its last login is gone; whether it was the last.

    Under the client lock, so that no login that begins meanwhile takes it up.
    """
    if client.kind != "dynamic" or not client.redirect_uris:
        return False
    key = client_key(client.issuer, client.redirect_uris[0])
    storage = edges.storage
    with storage.lock(key, "client"):
        for entry in storage.list():
            if (entry.issuer, entry.client_id) == (client.issuer, client.client_id):
                return False
        drop_client(storage, key, client)
    return True


def _unregister(edges: Edges, client: Client, trouble: list[str], *, private: bool) -> bool:
    try:
        return edges.run(unregister(client, private=private))
    except AuthError as error:
        where = shown(client.management_uri)
        edges.tell("revocation", url=where, detail=f"client: {error.summary}")
        trouble.append(f"{error.summary} ({where})")
        return False
