"""The directory beside the secrets: lock files, and private files that are replaced whole."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from ..credential import damaged
from ..errors import StorageError, Unavailable
from ..paths import (
    DAMAGED,
    PENDING,
    VARIABLE,
    Foreign,
    Unfit,
    home,
    is_foreign,
    read_private,
    read_small,
)

_POSIX: Final = os.name == "posix"
_OURS: Final = r"\.?([0-9a-f]{32}|canary-[0-9a-f]+|settings)\."
_NO_LOCKS: Final = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
_NOTE: Final = ".note"
_SHORT_LIVED: Final = (".deleted", PENDING)
_LARGEST: Final = 16 << 20  # a server may issue two tokens of 1 MiB, and JSON escapes them
_PAUSES: Final = (0.01, 0.02, 0.05, 0.1, 0.3)
_WRITERS: Final = 4  # of one file at once; more take names of their own
_A_DAY: Final = 86_400.0
# This file exists once no unfinished writes of 0.1 are left, whose names cannot be predicted.
# Among few files they are looked for each time, among many only until this file exists.
_MANY: Final = 200
_SWEPT: Final = "settings.swept.lock"
_UNKNOWN: Final = r"\..*\.[0-9a-f]{12}$"
T = TypeVar("T")


class Directory:
    """A private directory (0700) whose files (0600) are replaced whole or not at all.

    By default the platform's data directory of the user, or `MCP_CLIENT_AUTH_HOME`.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(home() if path is None else path)

    def read(self, name: str) -> str | None:
        """A file's text; None if there is none. A symlink or another user's file is refused."""
        try:
            self._own(self.path.lstat())
            return self._text(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._broken("read", name, error) from None

    def read_all(self, ending: str, ids: Iterable[str] | None = None) -> Iterator[tuple[str, str]]:
        """Yield id and text of each file with this ending, or of those with these `ids`; skip what
        cannot be read. Written out for speed: there may be 100,000."""
        if ids is None:
            ids = [name[: -len(ending)] for name in self.names() if name.endswith(ending)]
        before, place = f"{self.path}{os.sep}", self._opened()
        try:
            for id in ids:  # noqa: A001
                name = id + ending
                try:
                    content = None if place is None else read_small(name, place)
                    if content is None:
                        content = read_private(before + name, _LARGEST)
                    yield id, content.decode()
                except (OSError, UnicodeDecodeError):
                    if not _POSIX:  # another program may have it open
                        with suppress(OSError, StorageError):
                            yield id, self._text(name)
        finally:
            if place is not None:
                os.close(place)

    def _opened(self) -> int | None:
        """Return a handle of the directory; None if the system has none, or if another user may
        have put a file here."""
        if os.open not in os.supports_dir_fd:
            return None
        with suppress(OSError):
            handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            state = os.fstat(handle)
            if not (is_foreign(state) or state.st_mode & 0o022):
                return handle
            os.close(handle)
        return None

    def _text(self, name: str) -> str:
        path = f"{self.path}{os.sep}{name}"
        try:
            return _settled(lambda: read_private(path, _LARGEST)).decode()
        except Foreign:
            raise self._foreign(name) from None
        except (Unfit, UnicodeDecodeError):
            raise damaged(path) from None

    def write(self, name: str, text: str) -> None:
        """Replace a file atomically, so that a crash or full disk leaves the old one whole."""
        self._make()
        try:
            temporary, handle = self._open_temporary(name)
            try:
                with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                    if _POSIX:
                        with suppress(OSError):  # `keeps_private` finds out
                            os.fchmod(handle, 0o600)
                    file.write(text)
                    file.flush()
                    os.fsync(handle)
                try:
                    _settled(lambda: os.replace(temporary, self.path / name))
                except IsADirectoryError:  # not one of ours; the text may be a login just made
                    self.set_aside(name)
                    os.replace(temporary, self.path / name)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
        except OSError as error:
            raise self._broken("written", name, error) from None
        if _POSIX:  # the new name itself is made durable, where directories can be opened
            with suppress(OSError):
                handle = os.open(self.path, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)

    def _open_temporary(self, name: str) -> tuple[Path, int]:
        """A new file; one that an earlier process left behind is replaced after a day."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        for path in self._temporaries(name):
            _remove_old(path)
            with suppress(FileExistsError):
                return path, _settled(partial(os.open, path, flags, 0o600))
        path = self.path / f".{name}.{secrets.token_hex(6)}"
        return path, os.open(path, flags, 0o600)

    def _temporaries(self, name: str) -> list[Path]:
        """The names that a write uses: few and known, so that the directory need not be listed."""
        return [self.path / f".{name}.{number}" for number in range(_WRITERS)]

    def remove(self, name: str) -> None:
        """Remove a file, and what an interrupted write of it has left behind."""

        def unlink(path: Path) -> None:
            _settled(partial(path.unlink, missing_ok=True))

        try:
            unlink(self.path / name)
            if name.endswith(_NOTE):  # notes have no lock: another process may be writing
                return
            left = self._temporaries(name)
            if not os.path.lexists(self.path / _SWEPT):
                left = [self.path / each for each in self._all() if each.startswith(f".{name}.")]
            for path in left:
                unlink(path)
        except OSError as error:
            raise self._broken("removed", name, error) from None

    def names(self) -> list[str]:
        """The names of all files."""
        return [name for name in self._all() if not name.startswith(".")]

    def _all(self) -> list[str]:
        """Return all names, also of files being written; old leftovers are removed on the way."""
        try:
            names = os.listdir(self.path)
            self._own(self.path.lstat())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._broken("listed", "", error) from None
        waste = [n for n in names if n.startswith((".", "canary-")) or n.endswith(_SHORT_LIVED)]
        gone = {name for name in waste if _remove_old(self.path / name)}
        left = any(re.match(_UNKNOWN, name) for name in waste if name not in gone)
        if len(names) > _MANY and not left and _SWEPT not in names:
            with suppress(OSError):
                (self.path / _SWEPT).touch(0o600)
        return [name for name in names if name not in gone]

    def set_aside(self, name: str) -> None:
        """Rename a file so that it is not read again, as the error of `damaged()` announces."""
        try:
            _settled(lambda: os.replace(self.path / name, self.path / (name + DAMAGED)))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._broken("set aside", name, error) from None

    def keeps_private(self, name: str) -> bool:
        """Whether a file's mode is what it was given; some file systems keep no modes."""
        return not (_POSIX and (self.path / name).stat().st_mode & 0o077)

    def has(self, name: str) -> bool:
        """Whether there is such a file, whatever is in it."""
        return os.path.lexists(f"{self.path}{os.sep}{name}")

    @contextmanager
    def lock(self, id: str, purpose: str, timeout: float) -> Iterator[None]:  # noqa: A002
        """Hold a lock file beside the record; the operating system frees that of a dead holder."""
        self._make()
        path = self.path / f"{id}.{purpose}.lock"
        lock = self._locked(path, purpose, timeout)
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    def _locked(self, path: Path, purpose: str, timeout: float) -> AbstractContextManager[object]:
        from filelock import FileLock, SoftFileLock, Timeout

        lock: Any = FileLock(path, timeout=timeout, mode=0o600, fallback_to_soft=False)
        try:
            lock.__enter__()
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
        if isinstance(lock, SoftFileLock):  # an older filelock: no lock once its holder has died
            lock.__exit__(None, None, None)
            raise self._no_locks()
        return lock  # type: ignore[no-any-return]

    def _no_locks(self) -> StorageError:
        return StorageError(
            f"the file system of {self.path} cannot lock files, so that two processes could"
            " spoil each other's login",
            code="no_locks",
            hint=f"Set {VARIABLE} to a directory on a local disk",
        )

    def _make(self) -> None:
        try:
            if not (self.path.is_symlink() or self.path.exists()):
                missing = [self.path, *(p for p in self.path.parents if not p.exists())]
                for path in reversed(missing):
                    path.mkdir(mode=0o700, exist_ok=True)
                    with suppress(OSError):  # some file systems keep no modes
                        path.chmod(0o700)  # whatever the umask
            state = self.path.lstat()
        except OSError as error:
            raise self._broken("made", "", error) from None
        self._own(state)
        if not (_POSIX and state.st_mode & 0o077):
            return
        # it was open to other users before: close it if all files in it are ours
        try:
            names = os.listdir(self.path)
        except OSError as error:
            raise self._broken("listed", "", error) from None
        if any(not re.match(_OURS, name) for name in names):
            raise StorageError(
                f"{self.path} is open to other users and holds files of others",
                code="open_directory",
                hint=f"Set {VARIABLE} to a directory of its own; it is made when it is missing",
            )
        with suppress(OSError):  # some file systems keep no modes
            self.path.chmod(state.st_mode & 0o700)  # one that is read-only stays so

    def _own(self, state: os.stat_result) -> None:
        """Refuse a directory that a stranger could have put there."""
        if stat.S_ISLNK(state.st_mode):
            raise StorageError(
                f"{self.path} is a symbolic link, which is not followed",
                hint=f"Set {VARIABLE} to the directory that it leads to",
            )
        if not stat.S_ISDIR(state.st_mode):
            raise StorageError(
                f"{self.path} is not a directory", hint=f"Remove it, or set {VARIABLE} to another"
            )
        if is_foreign(state):
            raise self._foreign()

    def _foreign(self, name: str = "") -> StorageError:
        path = self.path / name
        return StorageError(
            f"{path} belongs to another user (uid {path.lstat().st_uid})",
            code="foreign_owner",
            hint=f"Nothing was read or written; set {VARIABLE} to a directory of your own",
        )

    def _broken(self, doing: str, name: str, error: Exception) -> StorageError:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        return StorageError(
            f"{self.path / name} cannot be {doing}: {why}",
            hint=f"What was stored is unchanged; fix the directory or set {VARIABLE} to another",
        )


class Listed(Directory):
    """A directory for one reading: its names are listed once, as there may be very many."""

    def names(self) -> list[str]:
        self._names = getattr(self, "_names", None) or super().names()
        return self._names


def _remove_old(path: Path) -> bool:
    """Remove a file that is a day old, which no one is still writing; return whether it was."""
    with suppress(OSError):
        if time.time() - path.lstat().st_mtime > _A_DAY:
            path.unlink()
            return True
    return False


def _settled(action: Callable[[], T]) -> T:
    """Retry on Windows, where a file that is open elsewhere can be neither replaced nor removed."""
    for pause in () if _POSIX else _PAUSES:
        try:
            return action()
        except PermissionError:
            time.sleep(pause)
    return action()
