"""Logins in files that only their owner can read: in clear text, or sealed if there is a key."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

from ..errors import StorageError
from ..paths import VARIABLE
from .backend import Backend, Item
from .directory import Directory
from .groups import Groups
from .sealed import Sealed, given_keys
from .store import Store


class FileBackend(Backend):
    """One 0600 file for each text in a 0700 directory."""

    def __init__(self, directory: Directory | str | os.PathLike[str] | None = None) -> None:
        self.directory = directory if isinstance(directory, Directory) else Directory(directory)
        self.groups = Groups(self.directory)

    def where(self, item: Item | None = None) -> str:
        if item:
            return str(self.directory.path / item.name)
        return f"a file that only you can read, in {self.directory.path}"

    def read(self, item: Item) -> str | None:
        return self.directory.read(item.name)

    def write(self, item: Item, text: str) -> None:
        self.directory.write(item.name, text)

    def delete(self, item: Item) -> None:
        self.directory.remove(item.name)

    def set_aside(self, item: Item) -> None:
        self.directory.set_aside(item.name)

    def names(self) -> Iterable[str]:
        return self.directory.names()

    def texts(self, kind: str, ids: Iterable[str] | None = None) -> Iterator[tuple[str, str]]:
        return self.directory.read_all(kind, ids)

    def lock(self, id: str, purpose: str, timeout: float) -> AbstractContextManager[object]:  # noqa: A002
        return self.directory.lock(id, purpose, timeout)

    def inspect(self, canary: Item) -> None:
        if not self.directory.keeps_private(canary.name):
            raise StorageError(
                f"the file system of {self.directory.path} cannot keep a file from other users",
                code="not_private",
                hint=f"Set {VARIABLE} to a directory on another, or MCP_CLIENT_AUTH_KEY to a key"
                " that seals the files (openssl rand -base64 32)",
            )


class FileStorage(Store):
    """Logins in files, sealed with the key in `MCP_CLIENT_AUTH_KEY`, or in the file that
    `MCP_CLIENT_AUTH_KEY_FILE` names (32 bytes in base64); in clear text without one.

    Of several keys, one per line, the first one seals and all of them open. They are read at each
    use, so a new one needs no restart. A clear text stays readable once there is a key, and is
    sealed by the next write.

    Example:
        ```python
        from mcp_client_auth import FileStorage, login

        me = login("https://mcp.example.com/mcp", storage=FileStorage("logins"))
        ```
    """

    def __init__(self, directory: Directory | str | os.PathLike[str] | None = None) -> None:
        files = FileBackend(directory)
        self.directory = files.directory
        super().__init__("file", files, Sealed(files, given_keys))
