"""The one question about where logins are kept, and the word about a keyring that is slow."""

from __future__ import annotations

import click

from ..errors import StorageError
from ..storage import Storage
from .asking import somebody
from .screen import screen


def settle(storage: Storage, *, asked: bool) -> None:
    """Prove that the storage keeps what it is given, before a browser opens.

    Where there is no keyring and somebody to ask (who has not named a storage), one question,
    whose answer is remembered; else the `StorageError`.
    """
    try:
        storage.check()
    except StorageError as error:
        if asked or error.code not in ("no_keyring", "keyring") or not somebody():
            raise
        if not _agreed(error):
            raise
        storage.check()


def tell_of_waiting() -> None:
    """A locked keyring may show its question in a window that nobody looks at."""
    from ..storage.keyring_thread import SHARED

    SHARED.waiting = _waiting


def _waiting() -> None:
    screen.remark("Waiting for the OS keyring: it may be asking for its password in a window …")


def _agreed(error: StorageError) -> bool:
    from ..storage import storage_named
    from ..storage.index import Index

    index = Index()
    screen.tell(f"{error.summary[0].upper()}{error.summary[1:]}.")
    screen.tell(f"Logins can be kept in files instead, in {index.directory.path}:")
    screen.tell("only you can read them, but they are not encrypted.")
    if not click.confirm("Keep logins there from now on?", default=False, err=True):
        return False
    storage_named("file").check()
    index.choose("file")
    return True
