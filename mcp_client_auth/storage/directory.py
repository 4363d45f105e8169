"""The directory beside the secrets: lock files, and files done right."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from ..credential import ClientKey, Key, damaged
from ..errors import StorageError, Unavailable
from ..home import READ, VARIABLE, home, is_foreign

_POSIX: Final = os.name == "posix"
_OURS: Final = re.compile(r"\.?([0-9a-f]{32}|canary-[0-9a-f]+|settings)\.")
_NO_LOCKS: Final = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
DAMAGED: Final = ".damaged"
NOTE: Final = ".note"
_PAUSES: Final = (0.01, 0.02, 0.05, 0.1, 0.3)
T = TypeVar("T")


class Directory:
    """A private directory (0700) whose files (0600) are replaced whole or not at all.

    By default the platform's data directory of the user, or `MCP_CLIENT_AUTH_HOME`.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(home() if path is None else path)

    def read(self, name: str) -> str | None:
        """A file's text; None when there is none. A symlink or a stranger's file is refused."""
        try:
            self._own(self.path.lstat(), "")
            handle = _settled(lambda: os.open(self.path / name, READ))
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
                _settled(lambda: os.replace(temporary, self.path / name))
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
            self._sync()
        except OSError as error:
            raise self._broken("written", name, error) from None

    def remove(self, name: str) -> None:
        """Remove a file, and what a write of it that was cut short has left."""
        left = () if name.endswith(NOTE) else self.path.glob(f".{name}.*")  # notes have no lock
        try:
            for path in (self.path / name, *left):
                _settled(partial(path.unlink, missing_ok=True))
        except OSError as error:
            raise self._broken("removed", name, error) from None

    def set_aside(self, name: str) -> None:
        """Give a file another name, under which it is not read again: `damaged()` tells it."""
        try:
            _settled(lambda: os.replace(self.path / name, self.path / (name + DAMAGED)))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._broken("set aside", name, error) from None

    def keeps_private(self, name: str) -> bool:
        """Whether a file's mode is what it was given; some file systems keep no modes."""
        return not (_POSIX and (self.path / name).stat().st_mode & 0o077)

    @contextmanager
    def lock(self, key: Key | ClientKey, purpose: str, timeout: float) -> Iterator[None]:
        """A lock file beside the record; the operating system frees a dead holder's."""
        self._make()
        path = self.path / f"{key.id}.{purpose}.lock"
        held = self._locked(path, purpose, timeout)
        try:
            yield
        finally:
            held.__exit__(None, None, None)

    def _locked(self, path: Path, purpose: str, timeout: float) -> AbstractContextManager[object]:
        from filelock import FileLock, SoftFileLock, Timeout

        held: Any = FileLock(path, timeout=timeout, mode=0o600, fallback_to_soft=False)
        try:
            held.__enter__()
        except Timeout:
            raise Unavailable(
                f"another process has held the {purpose} lock for {timeout:.0f} s",
                code="locked",
                hint="Try again; if it hangs, end the process that uses this login",
            ) from None
        except NotImplementedError:
            raise self._no_locks() from None
        except OSError as error:
            raise (
                self._no_locks()
                if error.errno in _NO_LOCKS
                else self._broken("locked", path.name, error)
            ) from None
        if isinstance(held, SoftFileLock):  # an older filelock: no lock once its holder has died
            held.__exit__(None, None, None)
            raise self._no_locks()
        return held  # type: ignore[no-any-return]

    def _no_locks(self) -> StorageError:
        return StorageError(
            f"the file system of {self.path} cannot lock files, so that two processes could"
            " spoil each other's login",
            code="no_locks",
            hint=f"Set {VARIABLE} to a directory on a local disk",
        )

    def _make(self) -> None:
        try:
            for missing in reversed(_missing(self.path)):
                missing.mkdir(mode=0o700, exist_ok=True)
                with suppress(OSError):  # some file systems keep no modes
                    missing.chmod(0o700)  # whatever the umask
            found = self.path.lstat()
        except OSError as error:
            raise self._broken("made", "", error) from None
        self._own(found, "")
        if _POSIX and found.st_mode & 0o077:
            self._close()

    def _close(self) -> None:
        """A directory that was open to others before we came: closed if it is only ours."""
        if any(not _OURS.match(name) for name in os.listdir(self.path)):
            raise StorageError(
                f"{self.path} is open to other users and holds files of others",
                code="open_directory",
                hint=f"Set {VARIABLE} to a directory of its own; it is made when it is missing",
            )
        with suppress(OSError):  # some file systems keep no modes
            self.path.chmod(0o700)

    def _own(self, found: os.stat_result, name: str) -> None:
        """Refuse what a stranger could have put there."""
        if not name and not stat.S_ISDIR(found.st_mode):
            raise StorageError(
                f"{self.path} is not a directory", hint=f"Remove it, or set {VARIABLE} to another"
            )
        if is_foreign(found):
            raise StorageError(
                f"{self.path / name} belongs to another user (uid {found.st_uid})",
                code="foreign_owner",
                hint=f"Nothing was read or written; set {VARIABLE} to a directory of your own",
            )

    def _write_through(self, path: Path, text: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            if _POSIX:
                with suppress(OSError):  # `keeps_private` tells
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


def _settled(action: Callable[[], T]) -> T:
    """On Windows a file that somebody has just open can be neither replaced nor removed."""
    for pause in () if _POSIX else _PAUSES:
        try:
            return action()
        except PermissionError:
            time.sleep(pause)
    return action()


def _missing(path: Path) -> list[Path]:
    """The directories to make, the innermost first."""
    return (
        [path, *(parent for parent in path.parents if not parent.exists())]
        if not (path.is_symlink() or path.exists())
        else []
    )
