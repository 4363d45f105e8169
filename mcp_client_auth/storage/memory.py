"""Credentials for the life of the process: for tests, demos and machines without a keyring."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from ..credential import ClientKey, Credential, Key
from ..errors import Unavailable
from ..forking import fresh_in_children
from ..protocol.registration import Client
from . import LOCK_WAIT, Summary


class MemoryStorage:
    """Forgets everything when the process ends. Safe from any thread."""

    name = "memory"
    where = "the memory of this process only"

    def __init__(self) -> None:
        self._credentials: dict[Key, Credential] = {}
        self._clients: dict[ClientKey, Client] = {}
        self._notes: dict[tuple[Key, str], str] = {}
        self.reset()
        fresh_in_children(self)

    def reset(self) -> None:
        self._locks: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)

    def check(self) -> None:
        """Memory keeps what it is given."""

    def load(self, key: Key) -> Credential | None:
        return self._credentials.get(key)

    def save(self, credential: Credential) -> None:
        self._credentials[credential.key] = credential

    def delete(self, key: Key) -> None:
        self._credentials.pop(key, None)
        for note in [note for note in self._notes if note[0] == key]:
            del self._notes[note]

    def list(self) -> Sequence[Summary]:
        return [Summary.of(c, self.name) for c in list(self._credentials.values())]

    def summary(self, key: Key) -> Summary | None:
        held = self._credentials.get(key)
        return Summary.of(held, self.name) if held else None

    def load_client(self, key: ClientKey) -> Client | None:
        return self._clients.get(key)

    def save_client(self, key: ClientKey, client: Client) -> None:
        self._clients[key] = client

    def delete_client(self, key: ClientKey) -> None:
        self._clients.pop(key, None)

    def note(self, key: Key, name: str) -> str | None:
        return self._notes.get((key, name))

    def set_note(self, key: Key, name: str, text: str) -> None:
        if text:
            self._notes[key, name] = text
        else:
            self._notes.pop((key, name), None)

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


@cache
def process_memory() -> MemoryStorage:
    """The one that everything in this process shares which asks for "memory"."""
    return MemoryStorage()
