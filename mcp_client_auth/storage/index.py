"""The index: one small text for each login, with nothing secret in it.

It tells which storage holds the secret, so that a list needs no keyring and a login is found
again where it was made.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, field
from itertools import islice
from operator import attrgetter, itemgetter
from sys import intern
from typing import Any, Final

from ..credential import (
    HIGHEST,
    LAST_MOMENT,
    MANAGED,
    PERSONAL,
    PROVIDER,
    VERSION,
    Credential,
    Key,
    count,
    moment,
    strings,
)
from ..errors import StorageError
from ..paths import ENTRY, record_ids
from ..protocol.frozen import dataclass, many
from .backend import Backend, Item
from .groups import PERSON, Group

LASTING: Final = ("keyring", "file")
TOMBSTONE: Final = ".deleted"
_BATCH: Final = 50  # texts, which are parsed faster together
# the last two: for a number too large, or nesting too deep
DAMAGES: Final = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
_OF_KEY: Final = itemgetter("server", "account", "grant", "client")
_OF_ENTRY: Final = itemgetter("issuer", "storage", "scope", "expires_at", "renewable")
_UNNAMED: Final = "default"
_NO_ONE: Final = (PERSON, _UNNAMED)
_ORDER: Final = ("key.server", "key.account", "key.client")


@dataclass(frozen=True, slots=True)
class Summary:
    """What can be known about a credential without reading it: nothing here is secret.

    `expires_at` is the access token's, seconds since the epoch; `renewable` tells whether
    there is a refresh token, or a grant that needs no person; `storage` names the storage that
    holds the secret; `client_id` is the client that the credential was issued to,
    `generation` the credential's own. `backend` is where the storage keeps it, for a reader
    that skips the storage's own search, and may be out of date.

    Example:
        ```python
        from mcp_client_auth import FileStorage, Key, login

        storage = FileStorage("logins")
        me = login("https://mcp.example.com/mcp", storage=storage)
        summary = storage.summary(me.credential.key)
        print(summary.issuer, summary.expires_at, summary.renewable)  # and no secret
        ```
    """

    key: Key
    issuer: str
    scope: tuple[str, ...] | None
    expires_at: float | None
    renewable: bool
    storage: str
    client_id: str = ""
    generation: int = 0
    backend: str = field(default="", compare=False)

    @property
    def by_hand(self) -> bool:
        """Whether the token was issued by hand, so that no authorization server knows of it."""
        return not self.client_id

    @classmethod
    def of(cls, credential: Credential, storage: str, backend: str = "") -> Summary:
        tokens, grant = credential.tokens, credential.key.grant
        return cls(
            credential.key,
            credential.issuer,
            tokens.scope,
            tokens.expires_at,
            credential.renews or grant not in (PERSONAL, PROVIDER),
            storage,
            credential.client.client_id,
            credential.generation,
            backend,
        )

    @classmethod
    def read(cls, text: str, storage: str) -> Summary:
        """Return the same from a stored credential, without looking at its secrets.

        Raises one of `DAMAGES`: it is meant for texts that no one else can have written.
        """
        raw = json.loads(text)
        tokens, grant = raw["tokens"], raw["key"]["grant"]
        scope, end = tokens["scope"], tokens["expires_at"]
        renews = tokens["refresh_token"] is not None or bool(raw["options"].get(MANAGED))
        if raw["version"] != VERSION:
            raise ValueError
        return cls(
            Key(**raw["key"]),
            raw["issuer"],
            None if scope is None else strings(scope),
            None if end is None else moment(end),
            renews or grant not in (PERSONAL, PROVIDER),
            storage,
            raw["client"]["client_id"],
            count(raw["generation"]),
        )


class Index:
    """What is known of the logins in one place; `storages` are those that share it."""

    def __init__(self, backend: Backend, *storages: str) -> None:
        self._backend, self._groups = backend, backend.groups
        self._storages = storages or LASTING

    def put(self, summary: Summary, old: Summary | None = None) -> None:
        """Enter a login, in the place of `old`; the tombstone of an earlier one is removed."""
        groups = _groups_of(summary)
        if self._groups and (old is None or groups != _groups_of(old)):
            self._groups.join(summary.key.id, groups)
        entry = {"version": 1, **asdict(summary)}
        if not summary.backend:
            del entry["backend"]
        text = json.dumps(entry)
        self._backend.write(Item(summary.key.id, ENTRY), text)
        self._backend.delete(Item(summary.key.id, TOMBSTONE))

    def get(self, key: Key) -> Summary | None:
        """Return what is known of a login; None if there is no entry, or it cannot be read."""
        with suppress(StorageError):
            text = self._backend.read(Item(key.id, ENTRY))
            for _, entry in self._read([(key.id, text)] if text else (), 1):
                return entry
        return None

    def drop(self, key: Key) -> None:
        self._backend.delete(Item(key.id, ENTRY))

    def all(self, most: int | None = None, /, **fields: str) -> list[Summary]:
        """All logins, or `most`, by server and account, except those that wait beside another.

        `fields` are values of the key or of the summary that an entry must have. An unreadable
        entry is skipped.
        """
        groups, group = self._groups, _group_with(fields)
        ids = groups.members(group) if groups and group else None
        members: dict[str, Iterable[Group]] | None = None
        if groups and ids is None and groups.due:
            members, sorting = {}, groups.begin()
        # most of the time goes into parsing
        signs = [json.dumps(value) for value in fields.values()] if members is None else []
        entries: list[Summary] = []
        with _no_collector():
            texts = self._backend.texts(ENTRY, ids)
            if signs:
                texts = (each for each in texts if all(sign in each[1] for sign in signs))
            for id, entry in self._read(texts, 1 if most else _BATCH):  # noqa: A001
                if entry.key.waits:
                    continue
                if members is not None:
                    members[id] = _groups_of(entry)
                if not fields or all(
                    getattr(entry.key if name in ("server", "account") else entry, name) == value
                    for name, value in fields.items()
                ):
                    entries.append(entry)
                    if len(entries) == most and members is None:
                        break
            if groups and members is not None:
                with suppress(OSError, StorageError):
                    groups.end(sorting, members)
        return in_order(entries)[:most]

    def unreadable(self, ids: Iterable[str]) -> set[str]:
        """Those of these entries that `all` skips because they cannot be read."""
        ids = set(ids)
        return ids - {id for id, _ in self._read(self._backend.texts(ENTRY, ids), _BATCH)}  # noqa: A001

    def _read(self, texts: Iterable[tuple[str, str]], size: int) -> Iterator[tuple[str, Summary]]:
        """The id and the summary of each text; `size` of them are parsed and checked at once."""
        texts = iter(texts)
        while batch := list(islice(texts, size)):
            try:
                yield from self._checked(batch)
            except DAMAGES:
                for each in batch if len(batch) > 1 else ():
                    yield from self._read([each], 1)

    def _checked(self, texts: Sequence[tuple[str, str]]) -> Sequence[tuple[str, Summary]]:
        """Raises one of `DAMAGES` if one of them is damaged. They are checked column by column, as
        there may be 100,000. One copied from another id, or whose key is damaged, is left out."""
        rows = json.loads(f"[{','.join([text for _, text in texts])}]")
        if len(rows) != len(texts):
            raise ValueError
        named = [_OF_KEY(row["key"]) for row in rows]
        issuers, storages, scopes, ends, renewable = zip(*map(_OF_ENTRY, rows), strict=True)
        clients = [row.get("client_id", "") for row in rows]
        backends = [row.get("backend", "") for row in rows]
        generations = [row.get("generation", 0) for row in rows]
        of_keys = list(zip(*named, strict=True))
        for column in (*of_keys, issuers, clients, backends):
            "".join(column)  # raises unless all of them are texts
        _require([end for end in ends if end is not None], {int, float}, LAST_MOMENT)
        _require(renewable, {bool}, True)
        _require(generations, {int}, HIGHEST)
        if not set(storages) <= set(self._storages):
            raise ValueError
        entries = many(
            Summary,
            many(Key, *of_keys),
            list(map(intern, issuers)),  # many logins share one text
            [None if words is None else strings(words) for words in scopes],
            ends,
            renewable,
            list(map(intern, storages)),
            clients,
            generations,
            backends,
        )
        ids = record_ids(named)
        found = zip(texts, ids, entries, strict=True)
        return [(id, entry) for (id, _), own, entry in found if id == own]  # noqa: A001

    def bury(self, entry: Summary) -> None:
        """Note that everything up to the present generation of a login is deleted for good.

        A write that was given up may land after the deletion; `buried` recognizes it. The text is a
        bare number, which older programs can read. On a full disk it takes the place of the entry.
        """
        tombstone = Item(entry.key.id, TOMBSTONE), str(entry.generation)
        try:
            self._backend.write(*tombstone)
        except StorageError:
            self.drop(entry.key)  # fails on a read-only disk, and then nothing has changed
            with suppress(StorageError):
                self._backend.write(*tombstone)

    def unbury(self, entry: Summary) -> None:
        """Enter a login again that was not deleted after all; the tombstone makes room for it."""
        self._backend.delete(Item(entry.key.id, TOMBSTONE))
        self.put(entry)

    def buried(self, key: Key, generation: int) -> bool:
        """Whether a record that has turned up is one that was deleted."""
        with suppress(ValueError, StorageError):
            return generation <= int(self._backend.read(Item(key.id, TOMBSTONE)) or "")
        return False


def in_order(entries: Iterable[Summary]) -> list[Summary]:
    """Sort by server, account and client: each sort keeps equal entries in their last order."""
    ordered = list(entries)
    for name in reversed(_ORDER):  # texts are compared in half the time of tuples
        ordered.sort(key=attrgetter(name))
    return ordered


def _require(values: Sequence[Any], kinds: set[type], most: float) -> None:
    """`ValueError` unless all are of these types, and from 0 to `most`; nan is in no range."""
    if not kinds.issuperset(map(type, values)) or False in [0 <= v <= most for v in values]:
        raise ValueError


@contextmanager
def _no_collector() -> Iterator[None]:
    """Pause garbage collection among very many objects, none of which is garbage."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _groups_of(entry: Summary) -> Sequence[Group]:
    key = entry.key
    account, client = (key.server, key.account), (entry.issuer, entry.client_id)
    of_server = ("server", key.server), ("account", *account), ("client", *client)
    # an account without a name is not a person: their group would be as large as the whole
    return of_server if key.account == _UNNAMED else (*of_server, (PERSON, key.account))


def _group_with(fields: dict[str, str]) -> Group | None:
    """The smallest group that has all logins with these fields."""
    for kind, *names in (
        ("account", "server", "account"),
        ("server", "server"),
        ("client", "issuer", "client_id"),
        (PERSON, "account"),
    ):
        if all(name in fields for name in names) and (kind, fields.get("account")) != _NO_ONE:
            return kind, *(fields[name] for name in names)
    return None
