"""`mcp-login token URL` past everything else, when a fresh token lies in a file of ours.

Two small files are read and nothing heavy is imported. Whatever is not plain (another option,
a keyring, a sealed, bound, expired or damaged record) is left to the verb itself: None.
"""

import os

TYPE_CHECKING = False  # typing costs more than all that is done here
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

_LARGEST: "Final" = 1 << 20
_MARGIN: "Final" = 60.0  # at most what a session keeps from the end before it renews a token
_A_DAY: "Final" = 86_400.0
_ACCOUNT: "Final" = "MCP_CLIENT_AUTH_ACCOUNT"
_STORAGE: "Final" = "MCP_CLIENT_AUTH_STORAGE"
_GRANT: "Final" = "MCP_CLIENT_AUTH_GRANT"  # a program's, which is another login


def quick_token(words: "list[str]") -> "str | None":
    """What `token` with these words prints, where one look tells."""
    asked = _understood(words)
    if asked is None or os.environ.get(_GRANT):
        return None
    if os.environ.get(_STORAGE, "") not in ("", "file", "keyring"):
        return None
    try:
        seconds = float(asked["min_valid"])
        token = _fresh(asked["url"], asked["account"], seconds) if 0 <= seconds <= _A_DAY else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if token is None:
        return None
    return f"Authorization: Bearer {token}" if asked["header"] else token


def _understood(words: "list[str]") -> "dict[str, str] | None":
    """The URL, and the few options that are known here; None for any other word."""
    asked = {"account": os.environ.get(_ACCOUNT) or "default", "min_valid": "0", "header": ""}
    names = {"--account": "account", "--min-valid": "min_valid"}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--header":
            asked["header"] = word
        elif name in names:
            if not equals and (value := next(rest, "")) == "":
                return None
            asked[names[name]] = value
        elif "://" in word and not word.startswith("-") and "url" not in asked:
            asked["url"] = word
        else:
            return None
    return asked if "url" in asked else None


def _fresh(url: str, account: str, min_valid: float) -> "str | None":
    """The access token in the file storage, if it may be sent as it is for so many seconds."""
    import json
    import time

    from ..errors import UsageError
    from ..home import ENTRY, RECORD, home, record_id
    from ..protocol.urls import canonical

    try:
        key = {"server": canonical(url), "account": account, "grant": "authorization_code"}
    except UsageError:
        return None
    directory, name = home(), record_id(*key.values(), "")
    entry = json.loads(_read(directory, name + ENTRY))
    if entry["storage"] != "file":
        return None
    record = json.loads(_read(directory, name + RECORD))
    tokens, ours = record["tokens"], {**key, "client": ""}
    if record["version"] != 1 or record["key"] != ours or record.get("dpop_key"):
        return None
    if record["generation"] != entry["generation"] or tokens.get("bound"):
        return None
    token: str = tokens["access_token"]
    fit = token.isascii() and token.isprintable()
    return token if fit and _lives(tokens, time.time(), min_valid) else None


def _lives(tokens: "dict[str, Any]", now: float, min_valid: float) -> bool:
    end, began = tokens["expires_at"], tokens["issued_at"]
    if end is None:
        return True
    # in this way no end that is not a number is taken for a late one
    return bool(now + max(min(_MARGIN, 0.1 * (end - began)), min_valid) < end)


def _read(directory: str, name: str) -> str:
    """A file of ours, as the file storage reads it: nobody else may have put it there."""
    from ..home import READ, is_foreign

    if is_foreign(os.lstat(directory)):
        raise PermissionError
    handle = os.open(os.path.join(directory, name), READ)
    try:
        if is_foreign(os.fstat(handle)):
            raise PermissionError
        return b"".join(_pieces(handle)).decode()
    finally:
        os.close(handle)


def _pieces(handle: int) -> "Iterator[bytes]":
    left = _LARGEST
    while left > 0 and (piece := os.read(handle, left)):
        left -= len(piece)
        yield piece
