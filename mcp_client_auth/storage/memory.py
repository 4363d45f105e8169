"""Logins for the life of the process: for tests, demos and machines without a keyring."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache

from ..errors import Unavailable
from ..threads import fresh_in_children
from .backend import Backend, Item
from .store import Store


class MemoryBackend(Backend):
    """Forgets everything when the process ends. Safe from any thread."""

    def __init__(self) -> None:
        # behind functions, which neither `vars` nor pickle nor a debugger's listing shows
        self._texts: dict[str, Callable[[], str]] = {}
        self.reset()
        fresh_in_children(self)

    def reset(self) -> None:
        self._locks: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)

    def where(self, item: Item | None = None) -> str:
        return "the memory of this process only"

    def read(self, item: Item) -> str | None:
        text = self._texts.get(item.name)
        return None if text is None else text()

    def write(self, item: Item, text: str) -> None:
        self._texts[item.name] = lambda: text

    def delete(self, item: Item) -> None:
        self._texts.pop(item.name, None)

    def names(self) -> Iterable[str]:
        return list(self._texts)

    @contextmanager
    def lock(self, id: str, purpose: str, timeout: float) -> Iterator[None]:  # noqa: A002
        lock = self._locks[id, purpose]
        if not lock.acquire(timeout=timeout):
            raise Unavailable(
                f"another thread has held the {purpose} lock for {timeout:.0f} s", code="locked"
            )
        try:
            yield
        finally:
            lock.release()


class MemoryStorage(Store):
    """Logins that end with the process.

    Example:
        ```python
        from mcp_client_auth import MemoryStorage, login

        storage = MemoryStorage()  # its logins are seen by who has this object
        me = login("https://mcp.example.com/mcp", storage=storage)
        ```
    """

    def __init__(self) -> None:
        super().__init__("memory", MemoryBackend())


@cache
def process_memory() -> MemoryStorage:
    """The storage that everything in this process shares when it asks for "memory"."""
    return MemoryStorage()
