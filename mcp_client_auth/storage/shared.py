"""`Shared`: logins that many hosts share, written once for every engine that can keep them.

Four rules keep a login alive. No refresh token is sent without the lease, which lives as long as
its holder. Versions are the engine's and never go back. Times are those of its clock. After a
broken connection no one takes a lease that another held, until whoever holds an answer had the
time to write it.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from itertools import islice
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from ..credential import (
    ClientKey,
    Credential,
    Key,
    Note,
    damaged,
    dumps,
    dumps_client,
    loads,
    loads_client,
)
from ..errors import AuthError, StorageError, Unavailable, UsageError
from ..origin import is_loopback_host
from ..paths import record_id
from ..protocol.registration import Client
from ..secret import Secret, masked, quoted
from ..threads import fresh_in_children
from .backend import LOCK_WAIT
from .index import DAMAGES, Summary, in_order
from .keys import Keys
from .store import NOTES, OUTAGE, STORE_DOWN, SUPERSEDED, Storage

LEASE: Final = 20.0
GRAVE: Final = 7 * 86_400.0  # how long the version of a deleted record is known
_REMEMBERED: Final = 6 * 86_400.0  # shorter: what was deleted meanwhile is not put back
_MOST: Final = 4096
_BATCH: Final = 200
_SKEW: Final = 1.0  # a difference of the clocks that the way of an answer does not explain
_WRONG: Final = 5.0  # that an operator should know of
_TRIES: Final = 5
_AGAIN: Final = 0.5
_NEVER: Final = float("inf")
_REFRESH: Final = "refresh"


class Row(NamedTuple):
    """`version` 0: there is nothing; an empty `text`: it was deleted. `now`: the engine's clock."""

    version: int
    text: str
    now: float


class Written(NamedTuple):
    """`done`: otherwise the engine has `version`, or the lease has another holder."""

    done: bool
    version: int
    now: float


class Taken(NamedTuple):
    """`version` is that of the record under the lease's id."""

    ours: bool
    version: int


class Address:
    """The URL of an engine, whose password nothing shows; behind a function, so that neither
    `vars` nor a debugger lists it."""

    def __init__(self, url: str) -> None:
        try:
            password = unquote(urlsplit(url).password or "")
        except ValueError:  # no URL at all
            password = ""
        self.whole: Callable[[], str] = lambda: url
        self._password = Secret(password)

    @property
    def near(self) -> bool:
        """Whether it is on this machine."""
        host = urlsplit(self.whole()).hostname or ""
        return not host or is_loopback_host(host)

    def words(self, error: Exception) -> str:
        """What an engine's library says."""
        return quoted(masked(f"{type(error).__name__}: {error}", [self._password]), 200)


class Engine(ABC):
    """What an engine must do; each member is one atomic step, and safe from any thread.

    A new version is `version + 1`, but at least the engine's time in microseconds, so that
    versions grow on over a loss of data.
    """

    name: str
    where: str
    private = True  # whether no one beyond this machine reads what goes to and from it

    @abstractmethod
    def get(self, id: str) -> Row: ...  # noqa: A002

    @abstractmethod
    def get_many(self, ids: Sequence[str]) -> Sequence[Row]: ...

    @abstractmethod
    def put(
        self,
        id: str,  # noqa: A002
        text: str,
        expect: int,
        *,
        same: bool = False,
        owner: str = "",
        tags: Sequence[str] | None = None,
    ) -> Written:
        """Write, unless there is a higher version than `expect`.

        `same`: under that version. `owner`: only while the "refresh" lease has this holder.
        `tags`: what `ids` finds it by; None where they have not changed.
        """

    @abstractmethod
    def drop(self, id: str, notes: Sequence[str], seconds: float) -> None:  # noqa: A002
        """Delete a record and its notes; a higher version stays known for so long."""

    @abstractmethod
    def take(
        self,
        id: str,  # noqa: A002
        purpose: str,
        owner: str,
        seconds: float,
        least: float,
    ) -> Taken:
        """Take a lease that no one has, if the engine has run for `least` seconds."""

    @abstractmethod
    def extend(self, id: str, purpose: str, owner: str, seconds: float) -> bool:  # noqa: A002
        """Whether it is still ours, or is again."""

    @abstractmethod
    def release(self, id: str, purpose: str, owner: str) -> None: ...  # noqa: A002

    @abstractmethod
    def ids(self, tag: str) -> Iterable[str]:
        """The ids with a tag, also of what was deleted; all that there are for an empty one."""

    @abstractmethod
    def tagged(self, tags: Sequence[str], most: int) -> Sequence[tuple[str, Row]] | None:
        """Each id with one of these tags, and what is there; None for more than `most`."""

    @abstractmethod
    def note(self, id: str, name: str) -> str | None: ...  # noqa: A002

    @abstractmethod
    def set_note(self, id: str, name: str, text: str, seconds: float | None) -> None:  # noqa: A002
        """An empty text deletes it."""

    @abstractmethod
    def hold(self, name: str, text: str, seconds: float) -> None: ...

    @abstractmethod
    def pop(self, name: str) -> str | None: ...

    @abstractmethod
    def fault(self, error: Exception) -> tuple[bool, str] | None:
        """Whether it passes, and what it is in words; None for what the engine did not raise."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all connections: they are those of the process that this one was forked from."""

    @abstractmethod
    def close(self) -> None:
        """Give up the connections; they are made again when they are needed."""

    @abstractmethod
    def warnings(self) -> Iterable[str]:
        """What an operator should know of how the engine is set up."""


class _Seen(NamedTuple):
    """One reading of a record."""

    version: int
    text: str = ""
    value: Credential | Client | None = None
    broken: StorageError | None = None


class _Lease:
    """`seen`: what was read under it."""

    __slots__ = ("id", "owner", "purpose", "seen")

    def __init__(self, id: str, purpose: str) -> None:  # noqa: A002
        self.id, self.purpose, self.owner = id, purpose, secrets.token_hex(8)
        self.seen: _Seen | None = None


class _Mine(threading.local):
    """The leases of this thread by id, and the version of the record that it read last."""

    def __init__(self) -> None:
        self.leases: dict[str, _Lease] = {}
        self.last: tuple[str, int] = ("", 0)


class _Remembered(NamedTuple):
    version: int
    text: str
    tags: Sequence[str]
    since: float


class Shared(Storage):
    """One engine. Everything in it is sealed; the names of accounts are an HMAC.

    `clock` is this host's, in seconds since the epoch.
    """

    shared = True

    def __init__(
        self, engine: Engine, keys: Keys, lease: float, *, clock: Callable[[], float] = time.time
    ) -> None:
        if isinstance(lease, bool) or not isinstance(lease, int | float) or not 1 <= lease <= 300:
            raise UsageError(f"lease is a number of seconds, 1 to 300, not {lease!r}")
        self.name, self.engine, self.keys = engine.name, engine, keys
        self._seconds, self._clock, self._ahead = float(lease), clock, 0.0
        self._known: OrderedDict[str, _Remembered] = OrderedDict()
        self._take_new_locks()
        fresh_in_children(self)

    def reset(self) -> None:
        self.engine.reset()
        self._take_new_locks()

    def _take_new_locks(self) -> None:
        self._mutex, self._mine = threading.Lock(), _Mine()
        self._leases: dict[str, _Lease] = {}  # by owner
        self._keeper: threading.Thread | None = None
        self._broken, self._calm_until = False, 0.0
        self._left: dict[tuple[str, str], str] = {}  # owners of leases that were not released
        self._own: set[str] = set()  # leases that we held when the connection broke

    @property
    def where(self) -> str:
        return f"{self.engine.where}, sealed"

    def check(self) -> None:
        """Write, read, lease and delete a canary."""
        id, canary = f"canary-{secrets.token_hex(8)}", secrets.token_hex(8)  # noqa: A001
        with self._engine() as engine:
            try:
                engine.put(id, canary, 0)
                leased = engine.take(id, "check", canary, self._seconds, 0.0).ours
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
                entry = self._listed(id, row)
                if entry and all(
                    getattr(entry.key if name in ("server", "account") else entry, name) == value
                    for name, value in fields.items()
                ):
                    found.append(entry)
            if most and len(found) >= most:
                break
        return in_order(found)[:most]

    def summary(self, key: Key) -> Summary | None:
        credential = self._load(key)
        return Summary.of(credential, self.name) if credential else None

    def lock(
        self, key: Key | ClientKey, purpose: str = _REFRESH, timeout: float = LOCK_WAIT
    ) -> AbstractContextManager[object]:
        return self._leased(key.id, purpose, timeout)

    @contextmanager
    def turn(self, key: Key) -> Iterator[bool]:
        id, version = self._mine.last  # noqa: A001
        seen = version if id == key.id else _NEVER
        lease = self._awaited(key.id, _REFRESH, LOCK_WAIT, seen, calm=True)
        if lease is None:
            yield False
            return
        with self._until_released(lease):
            yield True

    def hold(self, name: str, text: str, seconds: float) -> None:
        sealed = self.keys.seal(text, ("pending", name))
        with self._engine() as engine:
            engine.hold(record_id("pending", name), sealed, max(seconds, 0.001))

    def pop(self, name: str) -> str | None:
        with self._engine() as engine:
            text = engine.pop(record_id("pending", name))
        return text and self.keys.unseal(text, ("pending", name), self.where)

    def save_for(self, text: str, note: Note, seconds: float) -> None:
        self._write_note(note, text, seconds)

    def warnings(self) -> Iterator[str]:
        """What may lose logins, or show them: for an operator."""
        with self._engine() as engine:
            now, found = engine.get("").now, list(engine.warnings())
        yield from found
        if not self.engine.private:
            yield "the connection leaves this machine and is not encrypted: use TLS"
        ahead = now - self._clock()
        if abs(ahead) > _WRONG:
            yield f"its clock and the one of this machine differ by {abs(ahead):.0f} s"
        for batch in islice(self._batches([""]), 1):
            with self._engine() as engine:
                rows = engine.get_many(batch)
            texts = [row.text for row in rows if row.text]
            closed = sum(not self.keys.has_sealed(text) for text in texts)
            if closed:
                yield f"{closed} of {len(texts)} records were sealed with a key that is not here"

    def reseal(self) -> Iterator[bool]:
        """Seal each record again with the newest key; whether that was needed, one by one.

        A record that is in use waits for its lease. Notes and what is held end by themselves.
        """
        for batch in self._batches([""]):
            with self._engine() as engine:
                rows = engine.get_many(batch)
            for id, row in zip(batch, rows, strict=True):  # noqa: A001
                if row.text:  # otherwise it was deleted
                    yield not self.keys.is_newest(row.text) and self._resealed(id)

    def _rows(self, tags: Sequence[str]) -> Iterator[Iterable[tuple[str, Row]]]:
        """What has one of these tags, or all; at once where it is little."""
        if tags:
            with self._engine() as engine:
                few = engine.tagged(tags, _BATCH)
            if few is not None:
                yield few
                return
        for batch in self._batches(tags or [""]):
            with self._engine() as engine:
                rows = engine.get_many(batch)
            yield zip(batch, rows, strict=True)

    def _batches(self, tags: Sequence[str]) -> Iterator[Sequence[str]]:
        """The ids with one of these tags, each once, some at a time."""
        known: set[str] = set()
        for tag in tags:
            ids = iter(self.engine.ids(tag))
            while True:
                with self._engine():
                    some = list(islice(ids, _BATCH))
                if not some:
                    break
                if batch := [id for id in dict.fromkeys(some) if id not in known]:  # noqa: A001
                    known.update(batch)
                    yield batch

    def _resealed(self, id: str) -> bool:  # noqa: A002
        with self._leased(id, _REFRESH, LOCK_WAIT):
            with self._engine() as engine:
                row = engine.get(id)
            if not row.text:
                return False
            plain = self._opened(id, row.text)
            tags: Sequence[str] | None = None
            with suppress(StorageError):  # a registration has none
                tags = self._tags_of(loads(plain, ""))
            with self._engine() as engine:
                return engine.put(id, self._sealed(id, plain), row.version, tags=tags).done

    # What is kept

    def _load(self, key: Any) -> Any:
        if isinstance(key, Note):
            with self._engine() as engine:
                text = engine.note(key.key.id, key.name)
            return text and self.keys.unseal(text, _of_note(key), self._place(key.key.id))
        seen = self._read(key)
        if seen.broken and isinstance(key, Key):
            raise seen.broken
        return seen.value

    def _save(self, value: Any, key: Any) -> None:
        if isinstance(key, Note):
            self._write_note(key, value, None)
            return
        lease = self._mine.leases.get(key.id)
        under_lease = lease is not None and lease.seen is not None
        seen = lease.seen if lease and lease.seen else self._read(key)
        proof = under_lease and isinstance(value, Credential) and seen.value == value
        tags: Sequence[str] = () if isinstance(value, Client) else self._tags_of(value)
        for _ in range(_TRIES):
            if seen.broken and isinstance(key, Key):
                self._set_aside(key, seen.text)
            known = self._tags_of(seen.value) if isinstance(seen.value, Credential) else None
            text = self._sealed(key.id, self._written(value))
            with self._engine() as engine:
                done = engine.put(
                    key.id,
                    text,
                    seen.version,
                    same=proof,
                    owner=lease.owner if lease and proof else "",
                    tags=None if tags == known else tags,
                )
            if done.done:
                self._saw(key, _Seen(done.version, text, value), tags)
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
        with self._engine() as engine:
            engine.drop(key.id, (*NOTES, OUTAGE), GRAVE)
        if lease := self._mine.leases.get(key.id):
            lease.seen = None

    def _write_note(self, note: Note, text: str, seconds: float | None) -> None:
        sealed = text and self.keys.seal(text, _of_note(note))
        with self._engine() as engine:
            engine.set_note(note.key.id, note.name, sealed, seconds)

    def _set_aside(self, key: Key, text: str) -> None:
        with self._engine() as engine:
            engine.set_note(key.id, "damaged", text, GRAVE)

    def _read(self, key: Key | ClientKey) -> _Seen:
        """What is there; raises for what is not ours to read, and keeps that it is damaged."""
        row = self._current(key.id)
        seen = _Seen(row.version, row.text)
        if row.text:
            try:
                plain = self._opened(key.id, row.text)
                if isinstance(key, ClientKey):
                    value: Credential | Client = loads_client(plain, self._place(key.id))
                else:
                    value = replace(self._loaded(key.id, plain), key=key)
                seen = seen._replace(value=value)
            except StorageError as error:
                if error.code != "damaged_record":
                    raise
                seen = seen._replace(broken=error)
        kept = seen.value
        self._saw(key, seen, self._tags_of(kept) if isinstance(kept, Credential) else ())
        return seen

    def _saw(self, key: Key | ClientKey, seen: _Seen, tags: Sequence[str]) -> None:
        """Remember what is there: for the lease, for who waits, and for an engine that forgets."""
        self._mine.last = key.id, seen.version
        if lease := self._mine.leases.get(key.id):
            lease.seen = seen
        if isinstance(seen.value, Credential):
            remembered = _Remembered(seen.version, seen.text, tags, time.monotonic())
            with self._mutex:
                self._known[key.id] = remembered
                self._known.move_to_end(key.id)
                if len(self._known) > _MOST:
                    self._known.popitem(last=False)

    def _current(self, id: str) -> Row:  # noqa: A002
        """What the engine has, or what it had: one that is behind has lost data."""
        with self._engine() as engine:
            row = engine.get(id)
        self._heard(row.now)
        known = self._known.get(id)
        if known is None or known.version <= row.version:
            return row
        if time.monotonic() - known.since > _REMEMBERED:
            return row
        with suppress(AuthError):  # whoever has the lease puts it back, or another reader
            if id in self._mine.leases:
                self._put_back(id, known)
            else:
                with self._leased(id, _REFRESH, 0.0):
                    self._put_back(id, known)
        return Row(known.version, known.text, row.now)

    def _put_back(self, id: str, known: _Remembered) -> None:  # noqa: A002
        with self._engine() as engine:
            engine.put(id, known.text, known.version, same=True, tags=known.tags)

    def _listed(self, id: str, row: Row) -> Summary | None:  # noqa: A002
        """What a row tells; nothing, if it is no login that can be read."""
        if not row.text:
            return None
        self._heard(row.now)
        with suppress(StorageError, *DAMAGES):
            entry = Summary.read(self._opened(id, row.text), self.name)
            end = entry.expires_at
            if entry.key.waits or entry.key.id != id:
                return None
            return entry if end is None else replace(entry, expires_at=_moved(end, -self._ahead))
        return None

    def _loaded(self, id: str, plain: str) -> Credential:  # noqa: A002
        kept = loads(plain, self._place(id))
        if kept.key.id != id:
            raise damaged(self._place(id))
        return _shifted(kept, -self._ahead)

    def _written(self, value: Credential | Client) -> str:
        if isinstance(value, Client):
            return dumps_client(value)
        return dumps(_shifted(value, self._ahead))

    def _sealed(self, id: str, plain: str) -> str:  # noqa: A002
        return self.keys.seal(plain, ("record", id))

    def _opened(self, id: str, text: str) -> str:  # noqa: A002
        return self.keys.unseal(text, ("record", id), self._place(id))

    def _place(self, id: str) -> str:  # noqa: A002
        return f"{self.engine.where}, {id[:8]}…"

    def _tags_of(self, value: Credential) -> Sequence[str]:
        keys = self.keys
        account = keys.names("account", value.key.account)[0]
        return account, keys.names("client", value.client.client_id)[0]

    def _heard(self, now: float) -> None:
        """How far the engine's clock is ahead of ours; 0 for what the way here may explain."""
        ahead = now - self._clock()
        if abs(ahead - self._ahead) > _SKEW:
            self._ahead = round(ahead, 1) if abs(ahead) > _SKEW else 0.0

    # Leases

    @contextmanager
    def _leased(self, id: str, purpose: str, timeout: float) -> Iterator[_Lease]:  # noqa: A002
        with self._until_released(self._take(id, purpose, timeout)) as lease:
            yield lease

    @contextmanager
    def _until_released(self, lease: _Lease) -> Iterator[_Lease]:
        """Others see the lease until then, also where what was done under it has failed."""
        mine = self._mine.leases if lease.purpose == _REFRESH else {}
        mine[lease.id] = lease
        try:
            yield lease
        finally:
            mine.pop(lease.id, None)
            with self._mutex:
                self._leases.pop(lease.owner, None)
                broken = self._broken  # then no one waits for this as well
            try:
                if not broken:
                    with self._engine() as engine:
                        engine.release(lease.id, lease.purpose, lease.owner)
            except AuthError:
                broken = True
            if broken:  # it ends by itself, but we may be back sooner
                self._leave(lease)
                with self._mutex:
                    self._own.add(lease.id)

    def _take(self, id: str, purpose: str, timeout: float) -> _Lease:  # noqa: A002
        lease = self._awaited(id, purpose, timeout, _NEVER, calm=False)
        if lease is None:
            raise TypeError("no news were waited for")
        return lease

    def _awaited(
        self,
        id: str,  # noqa: A002
        purpose: str,
        timeout: float,
        seen: float,
        *,
        calm: bool,
    ) -> _Lease | None:
        """A lease; None as soon as there is a higher version than what was `seen`.

        `calm`: whoever held it when the connection broke, or the engine started, comes first.
        """
        end, pause = time.monotonic() + timeout, 0.02
        lease = _Lease(id, purpose)
        lease.owner = self._left.pop((id, purpose), lease.owner)
        while True:
            try:
                with self._engine() as engine:
                    least = self._least(id) if calm else 0.0
                    taken = engine.take(id, purpose, lease.owner, self._seconds, least)
            except AuthError:  # it may be ours all the same
                self._leave(lease)
                raise
            if taken.ours:
                self._keep_up(lease)
                return lease
            if taken.version > seen:
                return None
            left = end - time.monotonic()
            if left <= 0:
                raise Unavailable(
                    f"another process has held the {purpose} lease for {timeout:.0f} s",
                    code="locked",
                    hint="Try again",
                )
            time.sleep(min(pause * (0.5 + random.random()), left))  # noqa: S311 - no secret
            pause = min(pause * 1.5, 0.25)

    def _leave(self, lease: _Lease) -> None:
        """Remember a lease that the engine may still have for us."""
        with self._mutex:
            if len(self._left) > _MOST:
                self._left.clear()
            self._left[lease.id, lease.purpose] = lease.owner

    def _least(self, id: str) -> float:  # noqa: A002
        """How long the engine must have run, as far as we know, before we may take this lease."""
        with self._mutex:
            if self._broken or time.monotonic() < self._calm_until:
                return 0.0 if id in self._own else _NEVER
            self._own.clear()
        return self._seconds

    def _keep_up(self, lease: _Lease) -> None:
        with self._mutex:
            self._leases[lease.owner] = lease
            if self._keeper is None:
                self._keeper = threading.Thread(
                    target=self._extend_all, name="mcp leases", daemon=True
                )
                try:
                    self._keeper.start()
                except RuntimeError:  # too late for a thread, or too many: it lasts as it is
                    self._keeper = None

    def _extend_all(self) -> None:
        """One thread for all leases, as long as there are any."""
        pause, mine = self._seconds / 3, threading.current_thread()
        while True:
            time.sleep(pause)
            with self._mutex:
                leases = list(self._leases.values())
                if not leases:
                    self._keeper = None
                if self._keeper is not mine:
                    return
            pause = self._seconds / 3
            try:
                for lease in leases:
                    with self._engine() as engine:
                        engine.extend(lease.id, lease.purpose, lease.owner, self._seconds)
                        if lease.owner not in self._leases:  # released meanwhile
                            engine.release(lease.id, lease.purpose, lease.owner)
            except AuthError:
                pause = min(pause, _AGAIN)

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        try:
            yield self.engine
        except Exception as error:
            fault = None if isinstance(error, AuthError) else self.engine.fault(error)
            if fault is None:
                raise
            passing, words = fault
            if passing:
                self._broke()
                raise Unavailable(
                    f"{self.engine.where} cannot be reached: {words}",
                    code=STORE_DOWN,
                    hint="What is stored was kept; try again",
                ) from None
            raise StorageError(f"{self.engine.where} refuses: {words}", code="refused") from None
        if self._broken:
            with self._mutex:
                self._broken, self._calm_until = False, time.monotonic() + self._seconds

    def _broke(self) -> None:
        with self._mutex:
            self._broken = True
            self._own |= {lease.id for lease in self._leases.values()}


def same_tokens(one: Any, other: Any) -> bool:
    """Whether both are logins, with the same access token."""
    both = isinstance(one, Credential) and isinstance(other, Credential)
    return both and one.tokens.access_token == other.tokens.access_token


def _shifted(credential: Credential, seconds: float) -> Credential:
    """The same by another clock."""
    if not seconds:
        return credential
    tokens = credential.tokens
    end = tokens.expires_at
    return replace(
        credential,
        tokens=replace(
            tokens,
            issued_at=_moved(tokens.issued_at, seconds),
            expires_at=None if end is None else _moved(end, seconds),
        ),
    )


def _moved(moment: float, seconds: float) -> float:
    return max(moment + seconds, 0.0)


def _of_note(note: Note) -> tuple[str, ...]:
    return "note", note.key.id, note.name


def _superseded() -> StorageError:
    return StorageError(
        "another process has stored a newer login meanwhile",
        code=SUPERSEDED,
        hint="That one is used from now on; try again",
    )
