"""The directory beside the secrets: a non-secret index, lock files, and files done right."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..credential import ClientKey, Key, damaged
from ..errors import StorageError, Unavailable

if TYPE_CHECKING:
    from . import Summary

VARIABLE: Final = "MCP_CLIENT_AUTH_HOME"
_POSIX: Final = os.name == "posix"


class Directory:
    """A private directory (0700) whose files (0600) are replaced whole or not at all.

    By default the platform's data directory of the user, or `MCP_CLIENT_AUTH_HOME`.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path) if path is not None else _default()

    def read(self, name: str) -> str | None:
        """A file's text; None when there is none. A symlink or a stranger's file is refused."""
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            self._own(self.path.stat(), "")
            handle = os.open(self.path / name, flags)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._broken("read", name, error) from None
        with os.fdopen(handle, encoding="utf-8") as file:
            self._own(os.fstat(handle), name)
            try:
                return file.read()
            except UnicodeDecodeError:
                raise damaged(str(self.path / name)) from None
            except OSError as error:
                raise self._broken("read", name, error) from None

    def write(self, name: str, text: str) -> None:
        """Replace a file atomically, so that a crash or full disk leaves the old one whole."""
        self._make()
        temporary = self.path / f".{name}.{secrets.token_hex(6)}"
        try:
            try:
                self._write_through(temporary, text)
                os.replace(temporary, self.path / name)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
            self._sync()
        except OSError as error:
            raise self._broken("written", name, error) from None

    def remove(self, name: str) -> None:
        """Remove a file, and what a write of it that was cut short has left."""
        try:
            for path in (self.path / name, *self.path.glob(f".{name}.*")):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise self._broken("removed", name, error) from None

    @contextmanager
    def lock(self, key: Key | ClientKey, purpose: str, timeout: float) -> Iterator[None]:
        """A lock file beside the record; the operating system frees a dead holder's."""
        from filelock import FileLock, Timeout

        self._make()
        path = self.path / f"{key.id}.{purpose}.lock"
        held: AbstractContextManager[Any] = FileLock(path, timeout=timeout, mode=0o600)
        try:
            held.__enter__()
        except Timeout:
            raise Unavailable(
                f"another process has held the {purpose} lock for {timeout:.0f} s",
                code="locked",
                hint=f"Try again; if no such process exists, remove {path}",
            ) from None
        except OSError as error:
            raise self._broken("locked", path.name, error) from None
        try:
            yield
        finally:
            held.__exit__(None, None, None)

    def index(self, summary: Summary) -> None:
        self.write(f"{summary.key.id}.json", json.dumps({"version": 1, **asdict(summary)}))

    def unindex(self, key: Key) -> None:
        self.remove(f"{key.id}.json")

    def summaries(self) -> list[Summary]:
        """All credentials known here, by server and account; an unreadable entry is skipped."""
        try:
            names = [entry.name for entry in os.scandir(self.path) if entry.name.endswith(".json")]
        except OSError:
            return []
        found = [entry for name in names if (entry := self._summary(name))]
        return sorted(found, key=lambda s: (s.key.server, s.key.account, s.key.client))

    def summary(self, key: Key) -> Summary | None:
        return self._summary(f"{key.id}.json")

    def storage_of(self, key: Key) -> str | None:
        """The name of the storage that holds the secret of `key`, if the index knows it."""
        entry = self.summary(key)
        return entry.storage if entry else None

    def _summary(self, name: str) -> Summary | None:
        from . import Summary

        with suppress(ValueError, KeyError, TypeError, AttributeError, StorageError):
            raw = json.loads(self.read(name) or "")
            scope = None if raw["scope"] is None else tuple(raw["scope"])
            return Summary(
                Key(**{name: str(value) for name, value in raw["key"].items()}),
                str(raw["issuer"]),
                scope,
                raw["expires_at"],
                bool(raw["renewable"]),
                str(raw["storage"]),
                str(raw.get("client_id", "")),
            )
        return None

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.path.lstat()
        except OSError as error:
            raise self._broken("made", "", error) from None
        if _POSIX and not stat.S_ISDIR(found.st_mode):
            raise StorageError(
                f"{self.path} is not a directory", hint="Remove it, or set " + VARIABLE
            )
        self._own(found, "")
        if _POSIX and found.st_mode & 0o077:
            with suppress(OSError):
                self.path.chmod(0o700)

    def _own(self, found: os.stat_result, name: str) -> None:
        if _POSIX and found.st_uid not in (os.geteuid(), 0):
            raise StorageError(
                f"{self.path / name} belongs to another user (uid {found.st_uid})",
                code="foreign_owner",
                hint=f"Nothing was read or written; set {VARIABLE} to a directory of your own",
            )

    def _write_through(self, path: Path, text: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            if _POSIX:
                os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def _sync(self) -> None:
        """Make the new name itself durable, where directories can be opened."""
        if not _POSIX:
            return
        handle = os.open(self.path, os.O_RDONLY)
        with suppress(OSError):
            os.fsync(handle)
        os.close(handle)

    def _broken(self, doing: str, name: str, error: Exception) -> StorageError:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        return StorageError(
            f"{self.path / name} cannot be {doing}: {why}",
            hint=f"What was stored is unchanged; mend the directory or set {VARIABLE} to another",
        )


def _default() -> Path:
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("mcp-client-auth", appauthor=False, roaming=False)
