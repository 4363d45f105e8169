"""`Records`: the texts in an engine, sealed and in its time, and what they mean here.

A text can be opened only in its own place. Times are written by the engine's clock and read by
ours, so that hosts whose clocks differ agree when a token ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

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
from ..errors import StorageError
from ..protocol.registration import Client
from .engine import Seen
from .index import DAMAGES, Summary

if TYPE_CHECKING:
    from .engine import Engine, Row
    from .keys import Keys

_SKEW: Final = 1.0  # s; a larger difference of the clocks is not just the delay of an answer


class Records:
    """`clock` is this host's, in seconds since the epoch; `ahead`: how far the engine's is ahead
    of it, None until that is known."""

    def __init__(self, engine: Engine, keys: Keys, clock: Callable[[], float]) -> None:
        self._engine, self.keys, self.clock = engine, keys, clock
        self.ahead: float | None = None

    def heard(self, now: float) -> float:
        """Set `ahead` by the engine's clock, 0 for a mere delay; return the whole difference."""
        ahead = now - self.clock()
        if self.ahead is None or abs(ahead - self.ahead) > _SKEW:
            self.ahead = round(ahead, 1) if abs(ahead) > _SKEW else 0.0
        return ahead

    def clamped(self, moment: float) -> float:
        """A moment that another host has just noted is in our past, whatever the clocks say."""
        now = self.clock()
        return now if now < moment <= now + 2 * _SKEW else moment

    def place(self, id: str) -> str:  # noqa: A002
        return f"{self._engine.where}, {id[:8]}…"

    def tags(self, value: Credential | Client) -> Sequence[str]:
        """What a login is found by: its account and its client. A registration is not listed."""
        if isinstance(value, Client):
            return ()
        of, client = self.keys.names, value.client.client_id
        return of("account", value.key.account)[0], of("client", client)[0]

    def seal(self, id: str, value: Credential | Client) -> str:  # noqa: A002
        if isinstance(value, Client):
            return self.seal_plain(id, dumps_client(value))
        return self.seal_plain(id, dumps(_shifted(value, self.ahead or 0.0)))

    def seal_plain(self, id: str, plain: str) -> str:  # noqa: A002
        return self.keys.seal(plain, ("record", id))

    def plain(self, id: str, text: str) -> str:  # noqa: A002
        """Raises `StorageError`: `wrong_key`, or a damaged record."""
        return self.keys.unseal(text, ("record", id), self.place(id))

    def credential(self, id: str, plain: str) -> Credential:  # noqa: A002
        kept = loads(plain, self.place(id))
        if kept.key.id != id:
            raise damaged(self.place(id))
        return _shifted(kept, -(self.ahead or 0.0))

    def seen(self, key: Key | ClientKey, row: Row) -> Seen:
        """What is there, with `broken` if it is damaged; raises for what is not ours to read."""
        seen = Seen(row.version, row.text)
        if not row.text:
            return seen
        try:
            plain = self.plain(key.id, row.text)
            if isinstance(key, ClientKey):
                return seen._replace(value=loads_client(plain, self.place(key.id)))
            # one Key shared by all holders, not one each
            return seen._replace(value=replace(self.credential(key.id, plain), key=key))
        except StorageError as error:
            if error.code != "damaged_record":
                raise
            return seen._replace(broken=error)

    def summary(self, id: str, row: Row) -> Summary | None:  # noqa: A002
        """The summary of a row; None if it is not a login that can be read."""
        if not row.text:
            return None
        self.heard(row.now)
        with suppress(StorageError, *DAMAGES):
            entry = Summary.read(self.plain(id, row.text), self._engine.name)
            if entry.key.waits or entry.key.id != id:
                return None
            end = entry.expires_at
            if end is None or not self.ahead:
                return entry
            return replace(entry, expires_at=_moved(end, -self.ahead))
        return None

    def seal_note(self, note: Note, text: str) -> str:
        return self.keys.seal(text, _of_note(note))

    def note(self, note: Note, text: str) -> str:
        return self.keys.unseal(text, _of_note(note), self.place(note.key.id))

    def seal_held(self, name: str, text: str) -> str:
        return self.keys.seal(text, ("pending", name))

    def held(self, name: str, text: str) -> str:
        return self.keys.unseal(text, ("pending", name), self._engine.where)


def same_tokens(one: Any, other: Any) -> bool:
    """Whether both are logins, with the same access token."""
    both = isinstance(one, Credential) and isinstance(other, Credential)
    return both and one.tokens.access_token == other.tokens.access_token


def _shifted(credential: Credential, seconds: float) -> Credential:
    """The same credential by another clock."""
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
