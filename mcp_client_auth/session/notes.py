"""What a session leaves beside a record for other processes: marks and reasons, no secrets.

A note that cannot be read counts as none, whatever is in it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from .. import errors
from ..credential import (
    Credential,
    Key,
    Note,
    Readers,
    count,
    fields,
    flag,
    moment,
    optional,
    string,
    strings,
)
from ..errors import AuthError, Remedy, StorageError, Unavailable
from ..origin import Shown
from ..protocol.frozen import replace
from ..protocol.json_text import json_value
from ..storage.store import OUTAGE
from .knowledge import Mark, Now, Outage

if TYPE_CHECKING:
    from ..storage import Storage, Summary

MARK: Final = "refused"
_REASON: Final = "ended"
_LONGEST: Final = 2000
_MOST_PARTS: Final = 20
UNREADABLE: Final = (ValueError, LookupError, TypeError, AttributeError)


def read_mark(storage: Storage, key: Key) -> Mark | None:
    """The note about a token that the server refused; see `Mark`."""
    with suppress(*UNREADABLE):
        mark = Mark(**fields(_read(storage, key, MARK), _MARK), noted=True)
        return replace(mark, since=storage.time_here(mark.since))
    return None


def mark_of(entry: Summary, storage: Storage, now: float) -> Mark | None:
    """The mark of a login known only from the index, as long as it keeps the login from use."""
    mark = read_mark(storage, entry.key)
    if mark is None or mark.generation != entry.generation:
        return None
    return mark if mark.cooling(now) or not entry.renewable else None


def write_mark(storage: Storage, key: Key, mark: Mark) -> bool:
    """Write it and return whether that worked: a failed write is not a reason to fail."""
    entry = {
        "token": mark.token,
        "since": storage.time_there(mark.since),
        "generation": mark.generation,
        "reason": error_fields(mark.reason) if mark.reason else None,
        "unproven": mark.unproven,
        "again": mark.again,
    }
    return _write(storage, key, MARK, json.dumps(entry))


def remove_mark(storage: Storage, key: Key) -> None:
    _write(storage, key, MARK, "")


def forget_notes(storage: Storage, key: Key) -> None:
    """Remove what was noted about a login that another one replaces."""
    for name in (MARK, _REASON):
        _write(storage, key, name, "")


def read_refusal(storage: Storage, credential: Credential) -> tuple[AuthError, float] | None:
    """Why the authorization server does not renew this record, and since when (wall)."""
    entry = _read(storage, credential.key, _REASON)
    with suppress(*UNREADABLE):
        if entry["generation"] == credential.generation:
            return read_error(entry["reason"]), storage.time_here(moment(entry["since"]))
    return None


def write_refusal(
    storage: Storage, credential: Credential, reason: AuthError, since: float
) -> None:
    entry = {
        "generation": credential.generation,
        "reason": error_fields(reason),
        "since": storage.time_there(since),
    }
    _write(storage, credential.key, _REASON, json.dumps(entry))


def remove_refusal(storage: Storage, key: Key) -> None:
    _write(storage, key, _REASON, "")


def read_outage(storage: Storage, key: Key, now: float) -> tuple[AuthError, float, float] | None:
    """The fault of the token endpoint that another host noted, its pause, and what is left of it.

    What is left is negative for twice the pause: the next host to try then makes the pause longer.
    """
    entry = _read(storage, key, OUTAGE)
    with suppress(*UNREADABLE):
        since, pause = storage.time_here(moment(entry["since"])), moment(entry["pause"])
        left = moment(entry["wait"]) - max(now - since, 0.0)
        if left > -2 * pause:
            return read_error(entry["error"]), pause, left
    return None


def write_outage(storage: Storage, key: Key, outage: Outage, left: float, now: Now) -> None:
    with suppress(StorageError, Unavailable):
        entry = {
            "error": error_fields(outage.error),
            "pause": outage.pause,
            "wait": left,
            "since": storage.time_there(now.wall),
        }
        storage.save_for(json.dumps(entry), Note(key, OUTAGE), left + 2 * outage.pause)


def error_fields(error: AuthError) -> dict[str, Any]:
    """The fields of an error; `hint` is for versions that do not know remedies."""
    return {"kind": type(error).__name__, "fields": {**error.__dict__, "hint": error.hint}}


def read_error(entry: dict[str, Any]) -> AuthError:
    """The error that `error_fields` was made of; raises what a broken note raises."""
    kind = getattr(errors, str(entry.get("kind")), None)
    if not (isinstance(kind, type) and issubclass(kind, AuthError)):
        kind = AuthError
    known = {name: value for name, value in entry["fields"].items() if name in _ERROR}
    read = {name: _ERROR[name](value) for name, value in known.items()}
    hint = read.pop("remedy", "") or read.pop("hint", "")
    return kind(read.pop("summary"), **{**read, "hint": hint})


def _read(storage: Storage, key: Key, name: str) -> dict[str, Any]:
    with suppress(StorageError, ValueError):
        value = json_value(storage.load(Note(key, name)) or "")
        return value if isinstance(value, dict) else {}
    return {}


def _write(storage: Storage, key: Key, name: str, text: str) -> bool:
    with suppress(StorageError):
        if text:
            storage.save(text, Note(key, name))
        else:
            storage.delete(Note(key, name))
        return True
    return False


def _shown(value: Any) -> str:
    """A text of an error, which was one short line when it was noted."""
    return "".join(c if c.isprintable() else " " for c in string(value)[:_LONGEST])


# the fields that an error may have; anything else in a note is left out
_ERROR: Final[Readers] = {
    **dict.fromkeys(("summary", "code", "hint", "server", "step", "description"), _shown),
    "url": lambda value: Shown(_shown(value)),  # as it was when it was noted
    "remedy": lambda value: Remedy.of(
        _shown(part) if isinstance(part, str) else (_shown(part[0]), optional(_shown)(part[1]))
        for part in value[:_MOST_PARTS]
    ),
    "status": count,
    "retry_after": optional(moment),
    "requested": strings,
    "granted": strings,
}
_MARK: Final[Readers] = {
    "token": string,
    "since": moment,
    "generation": count,
    "reason": optional(read_error),
    "unproven": flag,
    "again": flag,
}
