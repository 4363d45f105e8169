"""Where logins are kept: what a person sees and answers about it."""

from __future__ import annotations

import sys
from typing import Final

import click

from ..credential import Key
from ..environment import is_terminal
from ..errors import AuthError, LoginRequired, StorageError
from ..events import Listener
from ..prompt.screen import screen
from ..storage import Storage, name_of

NOWHERE: Final = "nowhere (the storage is memory)"
_ENDS: Final = (
    "The storage is memory (--store, MCP_CLIENT_AUTH_STORAGE): this login ends with this command."
    " To stay logged in, use keyring or file."
)
_FORGOTTEN: Final = (
    "The storage is memory (--store, MCP_CLIENT_AUTH_STORAGE), which keeps no login from one"
    " command to the next: use keyring or file, and log in once"
)


def is_interactive() -> bool:
    """Whether a person is here to answer a question."""
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


def kept_in(storage: Storage) -> str:
    """Where a login is kept, for a person who runs one command after another."""
    if name_of(storage) == "memory":
        return NOWHERE
    error = unreadable("keyring") if name_of(storage) == "keyring" else None
    return f"{storage.where}, which does not work: {error.summary}" if error else storage.where


def shared_storage(store: str | None = None) -> Storage | None:
    """Return the named storage if many hosts share it: its logins are in no index here."""
    import os

    from ..storage import shared_at
    from ..storage.placement import VARIABLE

    named = store or os.environ.get(VARIABLE) or ""
    return shared_at(named) if "://" in named else None


def unreadable(storage: str, key: Key | None = None) -> AuthError | None:
    """Return why the storage, or the login of `key`, cannot be read; no keyring is opened."""
    from ..storage import CHOICES, storage_named
    from ..storage.backend import Item

    if storage not in CHOICES:  # one of many hosts, from which it was just read
        return None
    try:
        storage_named(storage).vault.look(Item.of(key) if key else None)
    except AuthError as error:
        return error
    return None


def explained(error: LoginRequired, storage: Storage) -> LoginRequired:
    """The same error, with another hint where a login would not help the next command."""
    if name_of(storage) == "memory":
        error.advised(_FORGOTTEN)
    return error


def require_storage(storage: Storage, *, named: bool) -> None:
    """Prove that the storage keeps what it is given, before a browser opens.

    Without a keyring, a user who has not `named` a storage is asked once, and the answer is
    remembered; otherwise the `StorageError` is raised.
    """
    from ..storage import storage_named
    from ..storage.settings import Settings

    if name_of(storage) == "memory":
        screen.remark(_ENDS)
    try:
        storage.check()
    except StorageError as error:
        if named or error.code not in ("no_keyring", "keyring") or not is_interactive():
            raise
        settings = Settings()
        screen.tell(f"{error.summary[0].upper()}{error.summary[1:]}.")
        screen.tell(f"Logins can be kept in files instead, in {settings.directory.path}:")
        screen.tell("only you can read them, but they are not encrypted.")
        if not click.confirm("Keep logins there from now on?", default=False, err=True):
            raise
        storage_named("file").check()
        settings.choose("file")
        storage.check()


def tell_of_keyring(listener: Listener | None) -> None:
    """Say when we wait for a locked keyring, whose question may be in a window that no one looks
    at; and tell the listener what plug-ins of other packages have to say."""
    from ..storage.keyring_thread import SHARED

    def waiting() -> None:
        screen.remark("Waiting for the OS keyring: it may be asking for its password in a window …")

    SHARED.waiting, SHARED.listener = waiting, listener
