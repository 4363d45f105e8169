"""After a failed login, no browser opens for a while, in any process.

The failure is a note beside the record, so that twenty programs that start together open
one browser and not twenty. An explicit login clears it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ..credential import Note, moment
from ..errors import AuthError, LoginRequired, StorageError, Unavailable, UsageError
from ..protocol.json_text import json_value
from .notes import UNREADABLE, error_fields, read_error

if TYPE_CHECKING:
    from ..credential import Key
    from ..storage import Storage

SECONDS: Final = 60.0
_SKEW: Final = 2.0  # seconds between the clocks of two hosts
_NOTE: Final = "cooling"
_NO_ONE_WAS_ASKED: Final = ("aborted", "login_not_required")
LOGIN: Final = "login"
STEP_UP: Final = "step-up"  # whatever its scopes: one cooldown for a resource
_WHATEVER_SCOPE: Final = (
    f"For {SECONDS:.0f} s after that no more scope is requested, whichever it is; an explicit login"
    " asks at once"
)


class Cooling:
    """What failed lately for one key, by purpose: a login, or a step-up."""

    __slots__ = ("_clock", "_note", "_storage")

    def __init__(self, storage: Storage, key: Key, clock: Callable[[], float]) -> None:
        self._storage, self._note, self._clock = storage, Note(key, _NOTE), clock

    def check(self, purpose: str) -> None:
        """Raise the remembered error while it is fresh."""
        error = None
        with suppress(*UNREADABLE):  # not a note of ours
            entry = self._read()[purpose]
            # a clock that was set back must not make the time longer
            left = self._storage.time_here(moment(entry["until"])) - self._clock()
            if 0 <= left <= SECONDS + _SKEW:
                error = read_error(entry)
        if error is None:
            return
        if purpose == STEP_UP:  # the request that gets the error may need another scope
            error.advised(error.remedy, _WHATEVER_SCOPE)
        raise error

    def remember(self, purpose: str, error: AuthError) -> None:
        passing = isinstance(error, Unavailable | UsageError | LoginRequired)
        if passing or error.code in _NO_ONE_WAS_ASKED:
            return
        # a storage that is full or out of reach must not hide why the login failed
        with suppress(StorageError, Unavailable):
            until = self._storage.time_there(self._clock() + SECONDS)
            kept = {**self._read(), purpose: {**error_fields(error), "until": until}}
            self._storage.save_for(json.dumps(kept), self._note, SECONDS)

    def clear(self) -> None:
        self._storage.delete(self._note)

    def _read(self) -> dict[str, Any]:
        try:
            value = json_value(self._storage.load(self._note) or "{}")
        except (ValueError, StorageError):
            return {}
        return value if isinstance(value, dict) else {}
