"""What each verb prints with `--json`: its keys and the types of their values, in one table.

A type, a list of one, an object, or `Maybe` (null too). The page of the commands is generated
from it, and `test_json` checks the command against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Maybe:
    """A value of this shape, or null."""

    shape: Any


NUMBER = (int, float)
ERROR = {
    "type": str,
    "code": str,
    "message": str,
    "url": str,
    "hint": str,
    "server": str,
    "step": str,
    "retry_after": Maybe(NUMBER),
    "exit_code": int,
}
EXPIRY = {"expires_at": Maybe(str), "expires_in": Maybe(int)}
REFUSED = {"since": str, "reason": str}
LOGIN = {
    "server": str,
    "account": str,
    "names": [str],
    "grant": str,
    "client_id": str,
    "issuer": str,
    "issued_by_hand": bool,
    "scopes": Maybe([str]),
    "renewable": bool,
    "storage": str,
    **EXPIRY,
    "refused": Maybe(REFUSED),
}
CHECK = {"accepted": bool, "error": Maybe(ERROR)}
SHAPES: dict[str, dict[str, Any]] = {
    "login": {"login": LOGIN, "already": bool},
    "logout": {
        "logged_out": [
            {
                "server": str,
                "account": str,
                "found": bool,
                "revoked": Maybe(bool),
                "unregistered": Maybe(bool),
                "trouble": [str],
            }
        ]
    },
    "list": {"logins": [LOGIN]},
    "status": {"logins": [{**LOGIN, "kept_in": str}], "storage": str, "exit_code": int},
    "status --check": {
        "logins": [{**LOGIN, "kept_in": str, "check": CHECK}],
        "storage": str,
        "exit_code": int,
    },
    "token": {
        "token": {
            "access_token": str,
            "token_type": str,
            "scopes": Maybe([str]),
            **EXPIRY,
        }
    },
    "refresh": {"login": LOGIN},
    "tools": {"tools": [dict]},  # this and the next as the server sends them
    "call": {"result": dict},
    "store check": {"storage": str, "milliseconds": NUMBER, "warnings": [str]},
    "store reseal": {"storage": str, "records": int, "resealed": int},
    "an error": {"error": ERROR},
}


def misfit(value: Any, shape: Any, where: str = "") -> str:
    """Where a value does not fit its shape; empty if it fits."""
    if isinstance(shape, Maybe):
        return "" if value is None else misfit(value, shape.shape, where)
    if isinstance(shape, dict):
        if not isinstance(value, dict) or value.keys() != shape.keys():
            return f"{where}: {sorted(value) if isinstance(value, dict) else value!r}"
        found = (misfit(value[name], shape[name], f"{where}.{name}") for name in shape)
        return next(filter(None, found), "")
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where}: {value!r}"
        return next(filter(None, (misfit(each, shape[0], f"{where}[]") for each in value)), "")
    right = type(value) in (shape if isinstance(shape, tuple) else (shape,))
    return "" if right else f"{where}: {value!r}"
