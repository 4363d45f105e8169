"""Where credentials are kept: what a storage can do, and which one applies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Protocol

from ..credential import PERSONAL, ClientKey, Credential, Key
from ..errors import UsageError, quoted
from ..protocol.registration import Client

LOCK_WAIT: Final = 30.0
CHOICES: Final = ("keyring", "file", "memory")
VARIABLE: Final = "MCP_CLIENT_AUTH_STORAGE"


@dataclass(frozen=True, slots=True)
class Summary:
    """What may be known of a credential without reading it: nothing here is secret.

    `expires_at` is the access token's, seconds since the epoch; `renewable` tells whether
    there is a refresh token, or a grant that asks again; `storage` names the storage that
    holds the secret; `client_id` is the client that the credential was issued to,
    `generation` the credential's own.
    """

    key: Key
    issuer: str
    scope: tuple[str, ...] | None
    expires_at: float | None
    renewable: bool
    storage: str
    client_id: str = ""
    generation: int = 0

    @classmethod
    def of(cls, credential: Credential, storage: str) -> Summary:
        tokens = credential.tokens
        return cls(
            credential.key,
            credential.issuer,
            tokens.scope,
            tokens.expires_at,
            tokens.refresh_token is not None or credential.key.grant != PERSONAL,
            storage,
            credential.client.client_id,
            credential.generation,
        )


class Storage(Protocol):
    """Keeps credentials and client registrations. Every method may raise `StorageError`."""

    @property
    def name(self) -> str:
        """One word for the index and `--store`."""
        ...

    @property
    def where(self) -> str:
        """Where the secrets lie, for a person: "the OS keyring (Secret Service)"."""
        ...

    def check(self) -> None:
        """Prove that it keeps what it is given; called before a browser opens."""
        ...

    def load(self, key: Key) -> Credential | None: ...
    def save(self, credential: Credential) -> None: ...
    def delete(self, key: Key) -> None: ...
    def list(self) -> Sequence[Summary]: ...

    def summary(self, key: Key) -> Summary | None:
        """What is known of one credential without reading its secret."""
        ...

    def load_client(self, key: ClientKey) -> Client | None: ...
    def save_client(self, key: ClientKey, client: Client) -> None: ...
    def delete_client(self, key: ClientKey) -> None: ...

    def note(self, key: Key, name: str) -> str | None:
        """A small text without secrets beside the record of `key`."""
        ...

    def set_note(self, key: Key, name: str, text: str) -> None:
        """Replace a note; an empty text removes it."""
        ...

    def lock(
        self, key: Key | ClientKey, purpose: str = "refresh", timeout: float = LOCK_WAIT
    ) -> AbstractContextManager[object]:
        """Exclude every other holder of this key and purpose; `Unavailable` after `timeout` s."""
        ...


def choose_storage(wanted: Storage | str | None = None, key: Key | None = None) -> Storage:
    """Where to look for `key` and where to keep it; nothing is touched yet, see `Storage.check`.

    A credential is found where the index says that it lies. A new one goes to the storage that
    is `wanted`, else the environment's, else the sealed file when there is a key for it, else
    what a person has chosen before, else the keyring. Raises `UsageError` for an unknown name.
    """
    return _chosen(wanted, key, library=False)


def library_storage(wanted: Storage | str | None = None, key: Key | None = None) -> Storage:
    """The same for a library, which has nobody to ask: without a keyring, memory and a warning."""
    return _chosen(wanted, key, library=True)


def _chosen(wanted: Storage | str | None, key: Key | None, *, library: bool) -> Storage:
    if wanted is not None and not isinstance(wanted, str):
        return wanted
    name = wanted or os.environ.get(VARIABLE) or ""
    if name == "memory":
        return storage_named(name)
    if name and name not in CHOICES:
        raise _unknown(name)
    from .chosen import Chosen

    return Chosen(key, name, library=library)


def storage_named(name: str) -> Storage:
    """One storage by itself, whatever the index says; `UsageError` for an unknown name."""
    if name == "memory":
        from .memory import process_memory

        return process_memory()
    if name not in CHOICES:
        raise _unknown(name)
    from .directory import Directory

    return _records(name, Directory().path)


@cache
def _records(name: str, home: Path) -> Storage:
    """One for all sessions: it remembers which of its records it has found damaged."""
    from .directory import Directory
    from .file import FileStorage
    from .keyring import KeyringStorage

    kind = FileStorage if name == "file" else KeyringStorage
    return kind(Directory(home))


def _unknown(name: str) -> UsageError:
    known = ", ".join(CHOICES)
    return UsageError(f"there is no storage {quoted(name, 40)}", hint=f"Known: {known}")
