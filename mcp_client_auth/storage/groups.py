"""Which logins belong together, so that a few of very many are found without reading all.

A member is only a hint: its entry is read and checked each time, so one too many does no harm.
One may be missing, such as a login that an older program has made: all entries are read and
sorted again, once a day at least. Lines are only ever appended, so no one waits for a lock.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final

from ..errors import StorageError
from ..paths import record_id
from .directory import Directory

MANY: Final = 200  # fewer are read faster than looked up
_SORTED: Final = "sorted"  # a file that names the sorting to read
# A person is an account with a name of its own, across all servers. Sortings of older programs
# lack these groups; the names of those that have them begin with `_PEOPLE`.
PERSON: Final = "person"
_PEOPLE: Final = "p"
_AN_HOUR: Final = 3600.0
_A_DAY: Final = 86_400.0
_DIGITS: Final = 2  # of a group's id; they name the file that it shares with others
_APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND
_MEMBER: Final = re.compile(r" ([0-9a-f]{32})$", re.MULTILINE)
Group = tuple[str, ...]


class Groups:
    """Sortings of the logins of `directory`, once there are many: 256 files each, with a line
    "group member" for each. A login joins all sortings, also one that is still being made."""

    def __init__(self, directory: Directory) -> None:
        # older programs know what begins with "settings." as ours
        self._files = Directory(directory.path / "settings.groups")
        self._place = str(self._files.path)

    @property
    def due(self) -> bool:
        """Whether all entries have to be read, because members may be missing."""
        with suppress(OSError):
            age = time.time() - os.stat(os.path.join(self._place, _SORTED)).st_mtime
            return not 0 <= age < _A_DAY
        return True

    def members(self, group: Group) -> Iterable[str] | None:
        """The ids of its logins, and perhaps of others; None if all entries have to be read."""
        if self.due:
            return None
        id = record_id(*group)  # noqa: A001
        with suppress(StorageError):
            sorting = self._files.read(_SORTED) or ""
            if group[0] == PERSON and not sorting.startswith(_PEOPLE):
                return None
            files = Directory(self._files.path / sorting)
            text = files.read(id[:_DIGITS]) if sorting.isalnum() else None
            if text is not None or (sorting.isalnum() and files.path.is_dir()):
                return dict.fromkeys(_members_of(id, text or ""))
        return None

    def join(self, member: str, groups: Iterable[Group]) -> None:
        """Add a login before its entry is written: a crash then leaves one member too many."""
        if not os.path.isdir(self._place):
            return
        lines = [(each, f"{each} {member}\n") for each in (record_id(*g) for g in groups)]
        try:
            for sorting in os.listdir(self._place):
                if sorting != _SORTED:
                    for id, line in lines:  # noqa: A001
                        with suppress(FileNotFoundError):  # an old sorting is just being removed
                            self._append(sorting, id[:_DIGITS], line)
        except OSError:  # a full disk
            with suppress(OSError):
                os.unlink(os.path.join(self._place, _SORTED))

    def begin(self) -> str:
        """Make a new sorting, before all entries are read; an empty name while there are few."""
        sorting = _PEOPLE + secrets.token_hex(8)
        with suppress(OSError):
            os.mkdir(os.path.join(self._place, sorting), 0o700)
            return sorting
        return ""

    def end(self, sorting: str, members: Mapping[str, Iterable[Group]]) -> None:
        """Write down the groups of all logins, which were read since `begin`."""
        if len(members) < MANY // 2:
            shutil.rmtree(self._place, ignore_errors=True)
        elif not sorting:
            if len(members) > MANY:  # from now on each new login joins
                os.mkdir(self._place, 0o700)
        else:
            files = defaultdict(list)
            for member, groups in members.items():
                for id in [record_id(*group) for group in groups]:  # noqa: A001
                    files[id[:_DIGITS]].append(f"{id} {member}\n")
            for name, lines in files.items():
                self._append(sorting, name, "".join(lines))
            before = self._files.read(_SORTED)
            self._files.write(_SORTED, sorting)
            for other in set(self._files.names()) - {_SORTED, sorting}:
                path = self._files.path / other
                if other == before or time.time() - path.stat().st_mtime > _AN_HOUR:
                    shutil.rmtree(path, ignore_errors=True)

    def _append(self, sorting: str, name: str, text: str) -> None:
        handle = os.open(os.path.join(self._place, sorting, name), _APPEND, 0o600)
        try:
            if os.write(handle, text.encode()) < len(text):  # nearly full; all of it is ASCII
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)


def _members_of(id: str, text: str) -> Iterator[str]:  # noqa: A002
    """The members of one group; the lines of many groups are searched, not read one by one."""
    at = text.find(id)
    while at >= 0:
        behind = at + len(id)
        member = _MEMBER.match(text, behind) if text[at - 1 : at] in ("", "\n") else None
        if member:
            yield member[1]
        at = text.find(id, behind)
