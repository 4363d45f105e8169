"""After a login that failed nobody is asked again for a while, in no process at all.

The failure is a note beside the record, so that twenty programs that start together open
one browser and not twenty. An explicit login clears it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from . import errors
from .errors import AuthError, Unavailable, UsageError

if TYPE_CHECKING:
    from .credential import Key
    from .storage import Storage

SECONDS: Final = 60.0
_NOTE: Final = "cooling"


class Cooling:
    """What failed lately for one key, by purpose: a login, or a step-up to certain scopes."""

    def __init__(self, storage: Storage, key: Key, clock: Callable[[], float]) -> None:
        self._storage, self._key, self._clock = storage, key, clock

    def check(self, purpose: str) -> None:
        """Raise the remembered error while it is fresh."""
        error = None
        with suppress(KeyError, TypeError, AttributeError, ValueError):  # not a note of ours
            entry = self._read()[purpose]
            # a clock that was set back must not make the time longer
            if 0 <= entry["until"] - self._clock() <= SECONDS:
                error = _error(entry)
        if error:
            raise error

    def remember(self, purpose: str, error: AuthError) -> None:
        if isinstance(error, Unavailable | UsageError) or error.code == "aborted":
            return  # nobody was asked in vain
        entry = {
            "kind": type(error).__name__,
            "fields": dict(error.__dict__),
            "until": self._clock() + SECONDS,
        }
        kept = {**self._read(), purpose: entry}
        self._storage.set_note(self._key, _NOTE, json.dumps(kept))

    def clear(self) -> None:
        self._storage.set_note(self._key, _NOTE, "")

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._storage.note(self._key, _NOTE) or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def _error(entry: dict[str, Any]) -> AuthError:
    kind: Any = getattr(errors, str(entry.get("kind")), AuthError)
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in entry["fields"].items()
    }
    made: AuthError = kind(fields.pop("summary"), **fields)
    return made
