"""Credentials in files that only their owner can read: honest about being in clear text."""

from __future__ import annotations

import os
import secrets

from ..errors import StorageError
from ..home import RECORD, VARIABLE
from ..secret import Secret
from .directory import DAMAGED, Directory
from .records import Item, Records
from .sealing import given_key, is_sealed, seal, unseal


class FileStorage(Records):
    """One 0600 file for each record in a 0700 directory.

    Sealed with the key in `MCP_CLIENT_AUTH_KEY`, or in the file that `MCP_CLIENT_AUTH_KEY_FILE`
    names (32 bytes in base64); in clear text without one. What is in clear text stays readable
    when there is a key, and is sealed with the next write.
    """

    name = "file"

    def __init__(self, directory: Directory | str | os.PathLike[str] | None = None) -> None:
        super().__init__(directory if isinstance(directory, Directory) else Directory(directory))

    @property
    def where(self) -> str:
        kind = "a sealed file" if self._key else "a file that only you can read"
        return f"{kind}, in {self.directory.path}"

    def check(self) -> None:
        canary = secrets.token_hex(8)
        item = Item(f"canary-{canary}", ("canary",))  # of its own: others may be checking too
        self.write(item, canary)
        try:
            kept = self.read(item) == canary
            private = self._key or self.directory.keeps_private(item.id + RECORD)
        except FileNotFoundError:
            kept = private = False
        self.remove(item)
        if not kept:
            raise StorageError(f"{self.directory.path} does not keep what is written")
        if not private:
            raise StorageError(
                f"the file system of {self.directory.path} cannot keep a file from other users",
                code="not_private",
                hint=f"Set {VARIABLE} to a directory on another, or MCP_CLIENT_AUTH_KEY to a key"
                " that seals the files (openssl rand -base64 32)",
            )

    def read(self, item: Item) -> str | None:
        text = self.directory.read(item.id + RECORD)
        if text is None or not is_sealed(text):
            return text
        return unseal(text, self._key, item.about, self.place(item))

    def write(self, item: Item, text: str) -> None:
        kept = seal(text, self._key, item.about) if self._key else text
        self.directory.write(item.id + RECORD, kept)

    def remove(self, item: Item) -> None:
        self.directory.remove(item.id + RECORD)
        self.directory.remove(item.id + RECORD + DAMAGED)

    def set_aside(self, item: Item) -> None:
        self.directory.set_aside(item.id + RECORD)

    def place(self, item: Item) -> str:
        return str(self.directory.path / (item.id + RECORD))

    @property
    def _key(self) -> Secret | None:
        return given_key()
