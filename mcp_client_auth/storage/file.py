"""Credentials in files that only their owner can read: honest about being in clear text."""

from __future__ import annotations

import os
import secrets
from typing import Final

from ..errors import StorageError
from .directory import Directory
from .records import Records

_SUFFIX: Final = ".secret"


class FileStorage(Records):
    """One 0600 file for each record in a 0700 directory. Not encrypted."""

    name = "file"

    def __init__(self, directory: Directory | str | os.PathLike[str] | None = None) -> None:
        super().__init__(directory if isinstance(directory, Directory) else Directory(directory))

    @property
    def where(self) -> str:
        return f"a file that only you can read, in {self.directory.path}"

    def check(self) -> None:
        canary = secrets.token_hex(8)
        item = f"canary-{canary}"  # of its own: another process may be checking too
        self.write(item, canary)
        kept = self.read(item)
        self.remove(item)
        if kept != canary:
            raise StorageError(f"{self.directory.path} does not keep what is written")

    def read(self, item: str) -> str | None:
        return self.directory.read(item + _SUFFIX)

    def write(self, item: str, text: str) -> None:
        self.directory.write(item + _SUFFIX, text)

    def remove(self, item: str) -> None:
        self.directory.remove(item + _SUFFIX)
