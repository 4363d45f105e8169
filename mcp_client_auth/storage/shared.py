"""`Shared`: logins that many hosts share, written once for every engine that can keep them.

Three rules keep a login alive. No refresh token is sent without the lease (`leases`). Versions are
the engine's and never go back: if it has lost data, a process that remembers more puts it back.
Times are those of its clock (`records`).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import islice
from typing import Any, Final, NamedTuple

from ..credential import ClientKey, Credential, Key, Note
from ..errors import AuthError, StorageError, Unavailable, UsageError
from ..paths import record_id
from ..threads import fresh_in_children
from .backend import LOCK_WAIT
from .engine import Engine, Row, Seen
from .index import Summary, in_order
from .keys import Keys
from .leases import MOST, NEVER, REFRESH, Leases
from .records import Records, same_tokens
from .store import NOTES, OUTAGE, SUPERSEDED, Storage

LEASE: Final = 20.0
GRAVE: Final = 7 * 86_400.0  # how long the version of a deleted record is known
_REMEMBERED: Final = 6 * 86_400.0  # shorter: what was deleted meanwhile is not put back
_BATCH: Final = 200
_WRONG: Final = 5.0  # s between the clocks, which an operator should know of
_TRIES: Final = 5
_UNREADABLE: Final = ("wrong_key", "damaged_record")


class _Remembered(NamedTuple):
    version: int
    text: str
    tags: Sequence[str]
    since: float


class Shared(Storage):
    """Logins in one engine. Everything in it is sealed; the names of accounts are an HMAC.

    `clock` is this host's, in seconds since the epoch.
    """

    shared = True

    def __init__(
        self, engine: Engine, keys: Keys, lease: float, *, clock: Callable[[], float] = time.time
    ) -> None:
        if isinstance(lease, bool) or not isinstance(lease, int | float) or not 1 <= lease <= 300:
            raise UsageError(f"lease is a number of seconds, 1 to 300, not {lease!r}")
        self.name, self.engine, self.keys = engine.name, engine, keys
        self.leases, self.records = Leases(engine, float(lease)), Records(engine, keys, clock)
        self._known: OrderedDict[str, _Remembered] = OrderedDict()
        self.reset()
        fresh_in_children(self)

    def reset(self) -> None:
        self._mutex = threading.Lock()

    @property
    def where(self) -> str:
        return f"{self.engine.where}, sealed"

    def check(self) -> None:
        """Write, read, lease and delete a canary."""
        id, canary = f"canary-{secrets.token_hex(8)}", secrets.token_hex(8)  # noqa: A001
        with self.leases.engine() as engine:
            try:
                engine.put(id, canary, 0)
                leased = engine.take(id, "check", canary, self.leases.seconds, 0.0).ours
                kept = engine.get(id).text
                engine.release(id, "check", canary)
            finally:
                engine.drop(id, (), 1.0)
        if kept != canary or not leased:
            raise StorageError(f"{self.engine.where} does not keep what is written to it")

    def list(self, most: int | None = None, /, **fields: str) -> Sequence[Summary]:
        tags: Sequence[str] = ()
        if "account" in fields:
            tags = self.keys.names("account", fields["account"])
        elif "client_id" in fields:
            tags = self.keys.names("client", fields["client_id"])
        found: list[Summary] = []
        for batch in self._rows(tags):
            for id, row in batch:  # noqa: A001
                entry = self.records.summary(id, row)
                if entry and all(
                    getattr(entry.key if name in ("server", "account") else entry, name) == value
                    for name, value in fields.items()
                ):
                    found.append(entry)
            if most and len(found) >= most:
                break
        return in_order(found)[:most]

    def summary(self, key: Key) -> Summary | None:
        try:
            credential = self._load(key)
        except StorageError as error:
            if error.code not in _UNREADABLE:
                raise
            return Summary(key, "", None, None, False, self.name)  # it is there, and can be deleted
        return Summary.of(credential, self.name) if credential else None

    def lock(
        self, key: Key | ClientKey, purpose: str = REFRESH, timeout: float = LOCK_WAIT
    ) -> AbstractContextManager[object]:
        return self.leases.held(key.id, purpose, timeout)

    @contextmanager
    def turn(self, key: Key) -> Iterator[bool]:
        id, version = self.leases.mine.last  # noqa: A001
        seen = version if id == key.id else NEVER
        lease = self.leases.awaited(key.id, REFRESH, LOCK_WAIT, seen, calm=True)
        if lease is None:
            yield False
            return
        with self.leases.until_released(lease):
            yield True

    def hold(self, name: str, text: str, seconds: float) -> None:
        sealed = self.records.seal_held(name, text)
        with self.leases.engine() as engine:
            engine.hold(record_id("pending", name), sealed, max(seconds, 0.001))

    def pop(self, name: str) -> str | None:
        with self.leases.engine() as engine:
            text = engine.pop(record_id("pending", name))
        return text and self.records.held(name, text)

    def save_for(self, text: str, note: Note, seconds: float) -> None:
        self._write_note(note, text, seconds)

    def alias(self, account: str) -> str:
        return self.keys.names("account", account)[0]

    def time_there(self, moment: float) -> float:
        return moment + self._ahead

    def time_here(self, moment: float) -> float:
        return self.records.clamped(moment - self._ahead)

    @property
    def _ahead(self) -> float:
        if self.records.ahead is None:
            with self.leases.engine() as engine:
                self.records.heard(engine.get("").now)
        return self.records.ahead or 0.0

    def warnings(self) -> Iterator[str]:
        """What may lose logins, or expose them, in words for an operator."""
        with self.leases.engine() as engine:
            now, found = engine.get("").now, list(engine.warnings())
        yield from found
        if not self.engine.private:
            yield "the connection leaves this machine and is not encrypted: use TLS"
        ahead = self.records.heard(now)
        if abs(ahead) > _WRONG:
            yield f"its clock and the one of this machine differ by {abs(ahead):.0f} s"
        for batch in islice(self._batches([""]), 1):
            with self.leases.engine() as engine:
                rows = engine.get_many(batch)
            texts = [row.text for row in rows if row.text]
            closed = 0
            for text in texts:
                with suppress(StorageError):  # damaged or newer, which its reader is told
                    closed += not self.keys.has_sealed(text)
            if closed:
                yield f"{closed} of {len(texts)} records were sealed with a key that is not here"

    def reseal(self) -> Iterator[bool | None]:
        """Seal each record again with the newest key. Yield for each whether that was needed, or
        None if no key opens it or it was in use all the time.

        Everything else goes on meanwhile, and another run continues one that was interrupted.
        Notes and what is held expire by themselves.
        """
        for batch in self._batches([""]):
            with self.leases.engine() as engine:
                rows = engine.get_many(batch)
            for id, row in zip(batch, rows, strict=True):  # noqa: A001
                if row.text:  # otherwise it was deleted
                    yield self._resealed(id, row.text)

    def _rows(self, tags: Sequence[str]) -> Iterator[Iterable[tuple[str, Row]]]:
        """Yield batches of rows with one of these tags, or of all rows; few come in one batch."""
        if tags:
            with self.leases.engine() as engine:
                few = engine.tagged(tags, _BATCH)
            if few is not None:
                yield few
                return
        for batch in self._batches(tags or [""]):
            with self.leases.engine() as engine:
                rows = engine.get_many(batch)
            yield zip(batch, rows, strict=True)

    def _batches(self, tags: Sequence[str]) -> Iterator[Sequence[str]]:
        """The ids with one of these tags, each once, in batches."""
        known: set[str] = set()
        for tag in tags:
            ids = iter(self.engine.ids(tag))
            while True:
                with self.leases.engine():
                    some = list(islice(ids, _BATCH))
                if not some:
                    break
                if batch := [id for id in dict.fromkeys(some) if id not in known]:  # noqa: A001
                    known.update(batch)
                    yield batch

    def _resealed(self, id: str, text: str) -> bool | None:  # noqa: A002
        try:
            return not self.keys.is_newest(text) and self._sealed_again(id)
        except (StorageError, Unavailable) as error:
            if error.code not in (*_UNREADABLE, "locked"):
                raise
            return None

    def _sealed_again(self, id: str) -> bool:  # noqa: A002
        with self.leases.held(id, REFRESH, LOCK_WAIT):
            with self.leases.engine() as engine:
                row = engine.get(id)
            if not row.text:
                return False
            plain = self.records.plain(id, row.text)
            tags: Sequence[str] | None = None
            with suppress(StorageError):  # a registration has none
                tags = self.records.tags(self.records.credential(id, plain))
            text = self.records.seal_plain(id, plain)
            with self.leases.engine() as engine:
                return engine.put(id, text, row.version, tags=tags).done

    # What is kept

    def _load(self, key: Any) -> Any:
        if isinstance(key, Note):
            with self.leases.engine() as engine:
                text = engine.note(key.key.id, key.name)
            try:
                return text and self.records.note(key, text)
            except StorageError as error:
                if error.code not in _UNREADABLE:
                    raise
                return None  # the next one takes its place
        seen = self._read(key)
        if seen.broken and isinstance(key, Key):
            raise seen.broken
        return seen.value

    def _save(self, value: Any, key: Any) -> None:
        if isinstance(key, Note):
            self._write_note(key, value, None)
            return
        lease = self.leases.mine.leases.get(key.id)
        under_lease = lease is not None and lease.seen is not None
        seen = lease.seen if lease and lease.seen else self._read(key)
        proof = under_lease and isinstance(value, Credential) and seen.value == value
        tags = self.records.tags(value)
        for _ in range(_TRIES):
            if seen.broken and isinstance(key, Key):
                self._set_aside(key, seen.text)
            known = self.records.tags(seen.value) if seen.value else None
            text = self.records.seal(key.id, value)
            with self.leases.engine() as engine:
                done = engine.put(
                    key.id,
                    text,
                    seen.version,
                    same=proof,
                    owner=lease.owner if lease and proof else "",
                    tags=None if tags == known else tags,
                )
            if done.done:
                self._saw(key, Seen(done.version, text, value))
                return
            if proof:
                raise _superseded()
            seen = self._read(key)
            if under_lease:
                if same_tokens(seen.value, value):
                    return  # it was written, and only the answer to that got lost
                raise _superseded()
        raise _superseded()

    def _delete(self, key: Any) -> None:
        if isinstance(key, Note):
            self._write_note(key, "", None)
            return
        with self._mutex:
            self._known.pop(key.id, None)
        with self.leases.engine() as engine:
            engine.drop(key.id, (*NOTES, OUTAGE), GRAVE)
        if lease := self.leases.mine.leases.get(key.id):
            lease.seen = None

    def _write_note(self, note: Note, text: str, seconds: float | None) -> None:
        sealed = text and self.records.seal_note(note, text)
        with self.leases.engine() as engine:
            engine.set_note(note.key.id, note.name, sealed, seconds)

    def _set_aside(self, key: Key, text: str) -> None:
        with self.leases.engine() as engine:
            engine.set_note(key.id, "damaged", text, GRAVE)

    def _read(self, key: Key | ClientKey) -> Seen:
        seen = self.records.seen(key, self._current(key.id))
        self._saw(key, seen)
        return seen

    def _saw(self, key: Key | ClientKey, seen: Seen) -> None:
        """Remember what is there: for the lease, for a waiter, and in case the engine forgets."""
        self.leases.mine.last = key.id, seen.version
        if lease := self.leases.mine.leases.get(key.id):
            lease.seen = seen
        if isinstance(seen.value, Credential):
            tags = self.records.tags(seen.value)
            remembered = _Remembered(seen.version, seen.text, tags, time.monotonic())
            with self._mutex:
                self._known[key.id] = remembered
                self._known.move_to_end(key.id)
                if len(self._known) > MOST:
                    self._known.popitem(last=False)

    def _current(self, id: str) -> Row:  # noqa: A002
        """What the engine has, or what it had: an engine that is behind has lost data."""
        with self.leases.engine() as engine:
            row = engine.get(id)
        self.records.heard(row.now)
        known = self._known.get(id)
        if known is None or known.version <= row.version:
            return row
        if time.monotonic() - known.since > _REMEMBERED:
            return row
        with suppress(AuthError):  # or the lease's holder puts it back, or a later reader
            if id in self.leases.mine.leases:
                self._put_back(id, known)
            else:
                with self.leases.held(id, REFRESH, 0.0):
                    self._put_back(id, known)
        return Row(known.version, known.text, row.now)

    def _put_back(self, id: str, known: _Remembered) -> None:  # noqa: A002
        with self.leases.engine() as engine:
            engine.put(id, known.text, known.version, same=True, tags=known.tags)


def _superseded() -> StorageError:
    return StorageError(
        "another process has stored a newer login meanwhile",
        code=SUPERSEDED,
        hint="That one is used from now on; try again",
    )
