"""Keep logins in a place of your own, here SQLite: python own_backend.py URL DATABASE.

A `Backend` is six methods. `Store` builds everything else on them, once for all backends. With
`SealedBackend` (in `mcp_client_auth.extending`) around it, what is stored is encrypted.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from mcp_client_auth import Backend, Item, StorageError, Store, Unavailable, login


class SqliteBackend(Backend):
    """One row for each text; a lock is a database of its own, unlocked when its holder ends."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._do("CREATE TABLE IF NOT EXISTS texts (name TEXT PRIMARY KEY, text TEXT)")

    def where(self, item: Item | None = None) -> str:
        return f"the database {self.path}" + (f", {item.name}" if item else "")

    def read(self, item: Item) -> str | None:
        rows = self._do("SELECT text FROM texts WHERE name = ?", item.name)
        return rows[0][0] if rows else None

    def write(self, item: Item, text: str) -> None:
        self._do("INSERT OR REPLACE INTO texts VALUES (?, ?)", item.name, text)

    def delete(self, item: Item) -> None:
        self._do("DELETE FROM texts WHERE name = ?", item.name)

    def names(self) -> list[str]:
        return [name for (name,) in self._do("SELECT name FROM texts")]

    @contextmanager
    def lock(self, id: str, purpose: str, timeout: float) -> Iterator[None]:  # noqa: A002
        with closing(sqlite3.connect(f"{self.path}.{id}.{purpose}", timeout=timeout)) as database:
            try:
                database.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                raise Unavailable("another process holds the lock", code="locked") from None
            yield

    def _do(self, statement: str, *values: str) -> list[Any]:
        try:
            with closing(sqlite3.connect(self.path, timeout=10)) as database, database:
                return database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StorageError(f"{self.where()}: {error}") from None


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    url, path = sys.argv[1:]
    with login(url, storage=Store("sqlite", SqliteBackend(path))) as me:
        print(me.call("whoami").text)
