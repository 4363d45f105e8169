"""What an MCP host gets instead of a 401 or 403: a JSON-RPC error for the request that it sent.

Hosts hide an HTTP error, or end the connection. They do show the error of a call, also to a model.
The model takes `message` for our words, so no text of a server is part of it.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import (
    AuthError,
    AuthorizationDenied,
    BadResponse,
    InsufficientScope,
    LoginFailed,
    LoginRequired,
    Refused,
    StorageError,
    Unavailable,
    Untrusted,
    shell_command,
)
from ..events import logger
from ..secret import quoted
from ..session.login_required import login_required

if TYPE_CHECKING:
    from ..grants.base import LoginConfig

# The first class that fits: the code, what happened (before the server's URL), and the hint.
_WORDS: Final[dict[type[AuthError], tuple[int, str, str]]] = {
    LoginRequired: (401, "this call needs more scopes than the login has at", "scopes"),
    LoginFailed: (401, "the login timed out or was aborted at", "login"),
    StorageError: (401, "this machine cannot read or keep the login to", "doctor"),
    Unavailable: (503, "right now no access token can be had for", "later"),
    AuthorizationDenied: (403, "the sign-in was refused at", "login"),
    InsufficientScope: (403, "more scopes were requested without success at", "permission"),
    Refused: (403, "the login was refused by", "doctor"),
    Untrusted: (403, "a check failed, so nothing was sent, at", "doctor"),
    BadResponse: (403, "an answer breaks the OAuth standards at", "doctor"),
    AuthError: (401, "this program cannot log in to", "doctor"),
}
# The same for a failure of the message itself, which no login can fix.
_ON_THE_WAY: Final[dict[type[AuthError], tuple[int, str, str]]] = {
    Unavailable: (503, "no answer could be had from", "own"),
    BadResponse: (502, "what came is not an MCP answer, from", "doctor"),
    Refused: (403, "the request was refused by", "doctor"),
    AuthError: (500, "the request could not be sent to", "doctor"),
}
_CODE: Final = re.compile(r"[a-z_]{1,32}")
_DETAILS: Final = 500


class Reply(NamedTuple):
    """What the host gets in place of a response."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


def reply(failure: AuthError, config: LoginConfig, method: str, body: bytes) -> Reply | None:
    """The reply to a JSON-RPC message or to a GET; None for any other request, such as a batch."""
    message = _message(body) if method == "POST" else None
    if message is None and method != "GET":
        return None
    logger.info("a JSON-RPC error is handed back: %s", failure)
    if message and not ("id" in message and "method" in message):
        return Reply(202, {"Content-Length": "0"})
    number = message["id"] if message else None
    error = {"jsonrpc": "2.0", "id": number, "error": _error(failure, config)}
    text = json.dumps(error).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(text))}
    if message:
        return Reply(200, headers, text)
    return Reply(405, {"Allow": "POST", **headers}, text)  # it offers no stream of messages


def _message(body: bytes) -> dict[str, Any] | None:
    """The body's single JSON-RPC message; None for other bodies and ids that cannot be repeated."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return None
    if "id" in message and not _is_id(message["id"]):
        return None
    known = isinstance(message.get("method"), str) or "result" in message or "error" in message
    return message if known else None


def _is_id(value: object) -> bool:
    """Whether it is an id: a text or a number (JSON-RPC 2.0 §4), but not null (MCP "Requests")."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | int) and not isinstance(value, bool)


def _error(failure: AuthError, config: LoginConfig) -> dict[str, Any]:
    """The error object; its code is an HTTP status, outside the range JSON-RPC reserves (§5.1)."""
    server = config.key.server
    code, what, cure = next(_WORDS[kind] for kind in _WORDS if isinstance(failure, kind))
    what, login = f"{what} {server}", login_required(config, "").hint
    if isinstance(failure, LoginRequired) and not failure.scope:
        what, cure = failure.summary, "login"
        login = f"Run: {failure.command}" if failure.command else login
    wait = getattr(failure, "retry_after", None)
    hint = {
        "login": login,
        "scopes": f"{login_required(config, '', ('SCOPES',)).hint}."
        " The log of this program names the scopes",
        "permission": "The account may lack the permission",
        "doctor": f"Run: {shell_command('doctor', server)}",
        "later": "Try again " + ("later" if wait is None else f"in {math.ceil(wait)} s"),
    }[cure]
    return _told(failure, code, f"{what}. {hint}", hint, server)


def undelivered(failure: AuthError, server: str) -> dict[str, Any]:
    """The error for a request that got no answer for a reason other than the login."""
    code, what, cure = next(_ON_THE_WAY[kind] for kind in _ON_THE_WAY if isinstance(failure, kind))
    if failure.code == "too_large":  # its summary is our own text
        what, cure = f"{failure.summary}, from", "less"
    hint = {
        "less": "Request less at once",
        "own": failure.hint or "Try again later",  # says if it may have been done
        "doctor": f"Run: {shell_command('doctor', server)}",
    }[cure]
    return _told(failure, code, f"{what} {server}. {hint}", hint, server)


def _told(failure: AuthError, code: int, message: str, hint: str, server: str) -> dict[str, Any]:
    own = failure.code if _CODE.fullmatch(failure.code) else failure.default_code
    data = {"source": "mcp-client-auth", "code": own, "server": server, "hint": hint}
    if str(failure) != message:
        data["may_quote_the_server"] = quoted(str(failure), _DETAILS)[1:-1]
    return {"code": code, "message": message, "data": data}
