"""Ends a login: here first, then at the server, which cannot prevent it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ..credential import Credential, Key
from ..errors import AuthError, StorageError
from ..grants.clients import client_key, drop_client
from ..grants.revocation import sign_out
from ..origin import shown
from ..protocol.management import unregister
from ..protocol.registration import Client, Identity
from ..storage import Storage
from .acceptance import drop, waiting
from .audit import audit

if TYPE_CHECKING:
    from ..grants.base import Ports
    from .cooldown import Cooling
    from .renewal import Renewal

LEFT_VALID: Final = "the token was issued by hand: only its issuer can revoke it"
_UNREADABLE: Final = ("damaged_record", "no_key", "wrong_key")


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """What a logout did; true when there was a login.

    `revoked` and `unregistered` tell what the server has confirmed, and are None if it was
    not called: RFC 7009 for the tokens, RFC 7592 for a client that no one else here uses.
    `trouble` says in words what could not be done.

    Example:
        ```python
        from mcp_client_auth import login

        with login("https://mcp.example.com/mcp") as me:
            done = me.logout()
        print(done.revoked, done.unregistered, done.trouble)
        ```
    """

    found: bool
    revoked: bool | None = None
    unregistered: bool | None = None
    trouble: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.found


def log_out(renewal: Renewal, cooling: Cooling, *, local: bool) -> LoggedOut:
    """Delete the login here, then end it at the server, unless `local` (RFC 7009, 7592)."""
    config, ports = renewal.config, renewal.ports
    with ports.storage.lock(config.key):
        left = waiting(config, ports)
        existed, stored, trouble = forget(ports.storage, config.key)
        if left:
            drop(ports, left)
        cooling.clear()
        renewal.forget()
    if existed:
        audit(config, ports, "forget", generation=stored.generation if stored else 0)
    if stored is None:
        return LoggedOut(existed, trouble=trouble)
    if config.identity:
        stored = replace(stored, client=config.identity.completed(stored.client))
    if stored.static:
        return LoggedOut(existed, trouble=(LEFT_VALID,))
    keeps_client = config.by_application  # another user of the application may need it
    if local:
        if not keeps_client:
            forget_registration(ports, stored.client)
        return LoggedOut(existed)
    with ports.carrying(stored.headers).flow() as connected:
        if left:
            sign_out(connected, left, config.identity, [])
        return end_at_server(connected, stored, config.identity, keeps_client=keeps_client)


def forget(storage: Storage, key: Key) -> tuple[bool, Credential | None, tuple[str, ...]]:
    """Delete every trace of a login here. Return whether there was one, what it was, and trouble.

    What cannot be read can still be deleted; then there is nothing to revoke with.
    """
    trouble: tuple[str, ...] = ()
    stored = None
    try:
        stored = storage.load(key)
    except StorageError as error:
        entry = storage.summary(key)
        sealed = error.code == "elsewhere" and entry is not None and entry.storage == "file"
        if error.code not in _UNREADABLE and not sealed:  # a file can be deleted without its key
            raise
        trouble = (f"{error.summary}, so nothing could be revoked",)
    existed = stored is not None or storage.summary(key) is not None or bool(trouble)
    storage.delete(key)
    return existed, stored, trouble


def end_at_server(
    ports: Ports, stored: Credential, identity: Identity, *, keeps_client: bool = False
) -> LoggedOut:
    """Revoke the tokens, then delete the client if this was its last login."""
    trouble: list[str] = []
    revoked = sign_out(ports, stored, identity, trouble)
    unregistered, where = None, stored.client.management_uri
    if not keeps_client and forget_registration(ports, stored.client) and where:
        private = bool(stored.options.get("allow_private_addresses"))
        try:
            unregistered = ports.run(unregister(stored.client, private=private))
        except AuthError as error:
            unregistered = False
            ports.tell("revocation", url=where, detail=f"client: {error.summary}")
            trouble.append(f"{error.summary} ({shown(where)})")
    return LoggedOut(True, revoked, unregistered, tuple(trouble))


def forget_registration(ports: Ports, client: Client) -> bool:
    """Drop a registration here if its last login is gone, and return whether that is so.

    This holds the client lock, so that no login that begins meanwhile uses the registration.
    """
    if client.kind != "dynamic" or not client.redirect_uris:
        return False
    key = client_key(client.issuer, client.redirect_uris[0])
    storage = ports.storage
    with storage.lock(key, "client"):
        if storage.list(1, issuer=client.issuer, client_id=client.client_id):
            return False
        drop_client(storage, key, client)
    return True
