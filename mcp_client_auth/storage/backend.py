"""What a place must offer to keep logins: texts under names and, beside the secrets, locks."""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Final, NamedTuple

from ..credential import ClientKey, Key, Note
from ..errors import StorageError
from ..paths import DAMAGED, RECORD
from .groups import Groups

LOCK_WAIT: Final = 30.0
# The length that every vault has to accept: Windows accepts 2,560 bytes of UTF-16, less in
# practice, and a bridge to it accepts no more.
WHOLE: Final = 1000


class Item(NamedTuple):
    """One text to keep.

    `id` is that of its key, 32 hex digits, and `kind` the ending of its name. `about` is what a
    secret is bound to when it is sealed, so that it cannot pass for another.

    Example:
        ```python
        from mcp_client_auth import Item, Key

        item = Item.of(Key("https://mcp.example.com/mcp"))
        print(item.name)  # what a backend keeps the text under
        ```
    """

    id: str
    kind: str = RECORD
    about: tuple[str, ...] = ()

    @classmethod
    def of(cls, key: Key | ClientKey | Note) -> Item:
        if isinstance(key, Note):
            return cls(key.key.id, f".{key.name}.note")
        if isinstance(key, Key):
            about: tuple[str, ...] = ("credential", key.server, key.account, key.grant, key.client)
        else:
            about = ("client", key.issuer, key.redirect_uri)
        return cls(key.id, RECORD, about)

    @property
    def name(self) -> str:
        return self.id + self.kind

    @property
    def aside(self) -> Item:
        """The item under which a damaged text is kept: it is not read again."""
        return self._replace(kind=self.kind + DAMAGED)


class Vault(ABC):
    """Keeps secret texts. Each method may raise `StorageError`.

    A keyring is no more than this: it can neither list nor lock.

    Example:
        ```python
        from mcp_client_auth import Item, Vault


        class Shelf(Vault):
            def __init__(self):
                self.texts = {}

            def where(self, item=None):
                return "a shelf"

            def read(self, item):
                return self.texts.get(item.name)

            def write(self, item, text):
                self.texts[item.name] = text

            def delete(self, item):
                self.texts.pop(item.name, None)


        Shelf().check()
        ```
    """

    @abstractmethod
    def where(self, item: Item | None = None) -> str:
        """Return the place in words for people, or that of one item for an error about it."""

    def place_of(self, item: Item) -> str:
        """Return the place of one item for people, who may want to know how it is kept there."""
        return self.where()

    def look(self, item: Item | None = None) -> None:  # noqa: B027
        """Raise if nothing, or this item, can be read here; nothing is opened or decrypted."""

    @property
    def backend(self) -> str:
        """The module of what keeps the texts behind this; empty if it cannot be read directly."""
        return ""

    @abstractmethod
    def read(self, item: Item) -> str | None:
        """A text as it was written; None if there is none."""

    @abstractmethod
    def write(self, item: Item, text: str) -> None:
        """Keep a text instead of what was there, whole or not at all."""

    @abstractmethod
    def delete(self, item: Item) -> None:
        """Remove a text; not an error if there is none."""

    def set_aside(self, item: Item) -> None:
        """Keep a damaged text as `item.aside`, before another one takes its place."""
        text = self.read(item)
        if text is not None:
            self.write(item.aside, text)

    def check(self) -> None:
        """Write, read back and delete a canary with the length and the characters of a record;
        `StorageError` if that fails."""
        name = f"canary-{secrets.token_hex(8)}"  # its own: others may be checking
        item, canary = Item(name, RECORD, ("canary",)), json.dumps({name: "é"}).ljust(WHOLE, "-")
        self.write(item, canary)
        try:
            kept = self.read(item)
            if kept == canary:
                self.inspect(item)
        except BaseException:
            with suppress(StorageError):
                self.delete(item)
            raise
        self.delete(item)
        if kept != canary:
            raise self.unkept()

    def unkept(self) -> StorageError:
        """The error for a text that could not be read back."""
        return StorageError(f"{self.where()} does not keep what is written to it")

    def inspect(self, canary: Item) -> None:  # noqa: B027
        """Raise for a place that keeps the canary, but not in private."""


class Backend(Vault):
    """A vault that can also list its names and lock: all that a store needs.

    `groups` are for a backend that finds a few of very many items faster with them.

    Example:
        ```python
        from mcp_client_auth import Item, StorageError
        from own_backend import SqliteBackend  # examples/own_backend.py: six methods

        backend = SqliteBackend("logins.db")
        backend.write(Item("0" * 32), "a text")
        assert backend.read(Item("0" * 32)) == "a text"
        backend.check()  # what a login does before it opens a browser
        ```
    """

    groups: Groups | None = None

    @abstractmethod
    def names(self) -> Iterable[str]:
        """The names of all items."""

    @abstractmethod
    def lock(self, id: str, purpose: str, timeout: float) -> AbstractContextManager[object]:  # noqa: A002
        """Exclude every other holder; `Unavailable` (code "locked") after `timeout` seconds."""

    def texts(self, kind: str, ids: Iterable[str] | None = None) -> Iterator[tuple[str, str]]:
        """Yield the id and the text of each item of a kind, or of those with these ids; skip what
        cannot be read.

        A backend may override this if it needs less than one read for each item.
        """
        for name in self.names() if ids is None else (each + kind for each in ids):
            if name.endswith(kind):
                item = Item(name.removesuffix(kind), kind)
                with suppress(StorageError):
                    text = self.read(item)
                    if text is not None:
                        yield item.id, text
