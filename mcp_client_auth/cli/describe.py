"""A stored login as people read it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Final

from ..credential import PERSONAL, PROVIDER, Credential, Key
from ..errors import AuthError
from ..paths import ENTRY, REFUSED, home
from ..prompt.screen import hanging, screen
from ..secret import clean
from ..storage import Summary, storage_named

if TYPE_CHECKING:
    from ..session.knowledge import Mark
    from ..storage.directory import Directory


# a unit is used from its third number on: less than two hours are shown in minutes
_UNITS: Final = (("d", 86_400, 172_800), ("h", 3600, 7200), ("min", 60, 60), ("s", 1, 0))
_PLAIN: Final = 300
_ID: Final = 32
_UNNAMED: Final = "default"  # the account if the user names none
_KINDS: Final = {PERSONAL: "", PROVIDER: "identity provider"}


def plain(text: str, limit: int = _PLAIN) -> str:
    """A server's words as they may stand in a terminal: printable, short, on one line."""
    return clean(text, limit)


def all_plain(texts: Sequence[str]) -> Sequence[str]:
    """Return `plain` of each text; even among very many, usually none has to be changed."""
    whole = "".join(texts)
    if " " not in whole and max(map(len, texts)) <= _PLAIN and clean(whole, len(whole)) == whole:
        return texts
    return [plain(text) for text in texts]


def report(credential: Credential, where: str, *, heading: str) -> None:
    """Show where and as whom the user is logged in, with what, until when, and where it is kept."""
    screen.remark(f"{heading} {credential.key.server}")
    entry = Summary.of(credential, "")
    rows = {**account_of(entry), **details(entry, where)}
    if credential.tokens.bound:
        rows["bound"] = "to a key (DPoP)"
    for name, value in rows.items():
        screen.remark(hanging(f"  {name:<8} ", value))


def account_of(entry: Summary) -> dict[str, str]:
    """The account with its label, if it tells a person anything."""
    from ..storage import local_index

    beside = [entry]
    with suppress(AuthError):
        beside = local_index().all(server=entry.key.server) or beside
    return {"account": label(entry.key)} if accounts_tell(beside) else {}


def accounts_tell(entries: Sequence[Summary]) -> bool:
    """Whether the accounts of these logins tell a person anything: one has a name, belongs to a
    program, or is one of several at its server."""
    keys = [entry.key for entry in entries]
    return useful([key.server for key in keys], map(label, keys))


def useful(servers: Sequence[str], labels: Iterable[str]) -> bool:
    """Return the same as `accounts_tell`, from the servers and the labels of their accounts."""
    return len(set(servers)) < len(servers) or not {_UNNAMED}.issuperset(labels)


def details(entry: Summary, where: str) -> dict[str, str]:
    """What a person wants to know of a login beside its account, each with its label."""
    scopes = "the server's default" if entry.scope is None else plain(" ".join(entry.scope))
    by_hand = {"token": "issued by hand"}  # which no authorization server knows
    issuer = {"issuer": plain(entry.issuer), "client": plain(entry.client_id)}
    return {
        **(by_hand if entry.by_hand else issuer),
        "scopes": scopes or "none",
        "expires": expiry(entry.expires_at, renewable=entry.renewable),
        "kept in": where,
    }


def expiry(expires_at: float | None, *, renewable: bool, now: float | None = None) -> str:
    """When a token expires, in words and local time, and what happens then."""
    if expires_at is None:
        return "the server does not say"
    left = expires_at - (time.time() if now is None else now)
    minute = expires_at // 60
    if left <= 0:
        return f"{_minute(minute)} (expired)" + (
            ", renews at the next use" if renewable else ", log in again"
        )
    for unit, size, least in _UNITS:
        if left >= least:
            ahead = round(left / size), unit
            break
    return _ahead(minute, *ahead, renewable)


@cache  # a list has very many moments, in few minutes
def _ahead(minute: float, count: int, unit: str, renewable: bool) -> str:
    return f"{_minute(minute)} (in {count} {unit})" + (
        ", renews automatically" if renewable else ""
    )


@cache
def _minute(minute: float) -> str:
    """A minute since the epoch in local time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(minute * 60))


def table(columns: Sequence[Sequence[str]]) -> str:
    """Columns side by side, two spaces between them."""
    line = "  ".join(f"%-{max(map(len, column))}s" for column in columns)
    return "\n".join([(line % row).rstrip() for row in zip(*columns, strict=True)])


def marked(directory: Directory) -> set[str]:
    """The ids of all logins of which `refused` may know something."""
    return {n.removesuffix(REFUSED) for n in directory.names() if n.endswith(REFUSED)}


def tell_of_unreadable() -> None:
    """Name each entry that stands for a login but cannot be read, so that no list shows it."""
    from ..storage import local_index
    from ..storage.directory import Listed

    directory = Listed()
    ids = (name.removesuffix(ENTRY) for name in directory.names() if name.endswith(ENTRY))
    entries = [id for id in ids if len(id) == _ID]  # noqa: A001
    for id in sorted(local_index(directory).unreadable(entries)):  # noqa: A001
        path = os.path.join(directory.path, id)
        if os.path.lexists(path + ENTRY):  # no other program has just deleted it
            screen.remark(
                f"{path}{ENTRY} cannot be read: the login that it stands for is not listed. Log in"
                f" to that server again, or delete {path}.*",
                "warning",
            )


def refused(entry: Summary) -> Mark | None:
    """What was noted of a login whose token the server has refused; no keyring is read."""
    if not os.path.lexists(os.path.join(home(), entry.key.id + REFUSED)):
        return None
    from ..session.notes import mark_of

    with suppress(AuthError):
        return mark_of(entry, storage_named(entry.storage), time.time())
    return None


def label(key: Key) -> str:
    """Return the account, then what marks another program's login or one without a person."""
    return _label(key.account, key.grant, key.client)


@cache
def _label(account: str, grant: str, client: str) -> str:
    own = " ".join(word for word in (_KINDS.get(grant, grant), client) if word)
    return plain(account + (f" ({own})" if own else ""))
