"""What is said where a person must log in and cannot be asked: the error, and what to run."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from .credential import Key
from .errors import LoginRequired
from .protocol.grants import DeviceCode
from .protocol.scopes import Scopes

if TYPE_CHECKING:
    from .steps import Wanted

_LONGEST_SCOPE: Final = 500
_OWN_CLIENT: Final = (
    "The login belongs to this program's own client: call login() with the same client once,"
    " where a person can answer"
)


def command_for(key: Key, *more: str) -> str:
    """The command that logs in there as that account."""
    account = () if key.account == "default" else ("--account", key.account)
    return shlex.join(["mcp-login", key.server, *account, *more])


def login_required(wanted: Wanted, why: str, scope: Scopes | None = None) -> LoginRequired:
    """`why` ends before the server's name; `scope` is what must be asked for."""
    key, said = wanted.key, _sayable(scope or wanted.scope or ())
    asked = ["--scope", said] if said else []
    asked += ["--device"] if isinstance(wanted.grant, DeviceCode) else []
    hint = _OWN_CLIENT if key.client else f"Run: {command_for(key, *asked)}"
    return LoginRequired(f"{why} {key.server}", server=key.server, hint=hint)


def _sayable(scope: Scopes) -> str:
    """The scopes as they may stand in a command; some of them are a server's own words."""
    said = " ".join(filter(str.isprintable, scope))
    return said if len(said) <= _LONGEST_SCOPE else ""
