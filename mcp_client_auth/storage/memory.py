"""Credentials for the life of the process: for tests, demos and machines without a keyring."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..credential import ClientKey, Credential, Key
from ..errors import Unavailable
from ..protocol.registration import Client
from . import LOCK_WAIT, Summary


class MemoryStorage:
    """Forgets everything when the process ends. Safe from any thread."""

    name = "memory"
    where = "the memory of this process only"

    def __init__(self) -> None:
        self._credentials: dict[Key, Credential] = {}
        self._clients: dict[ClientKey, Client] = {}
        self._locks: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)

    def check(self) -> None:
        """Memory keeps what it is given."""

    def load(self, key: Key) -> Credential | None:
        return self._credentials.get(key)

    def save(self, credential: Credential) -> None:
        self._credentials[credential.key] = credential

    def delete(self, key: Key) -> None:
        self._credentials.pop(key, None)

    def list(self) -> Sequence[Summary]:
        return [Summary.of(c, self.name) for c in list(self._credentials.values())]

    def load_client(self, key: ClientKey) -> Client | None:
        return self._clients.get(key)

    def save_client(self, key: ClientKey, client: Client) -> None:
        self._clients[key] = client

    def delete_client(self, key: ClientKey) -> None:
        self._clients.pop(key, None)

    @contextmanager
    def lock(
        self, key: Key | ClientKey, purpose: str = "refresh", timeout: float = LOCK_WAIT
    ) -> Iterator[None]:
        lock = self._locks[key.id, purpose]
        if not lock.acquire(timeout=timeout):
            raise Unavailable(
                f"another thread has held the {purpose} lock for {timeout:.0f} s", code="locked"
            )
        try:
            yield
        finally:
            lock.release()
