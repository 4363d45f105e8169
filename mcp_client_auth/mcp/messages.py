"""JSON-RPC 2.0 messages as MCP uses them: what is sent, and what may come."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, Final, TypeAlias

from ..errors import BadResponse, Refused, UsageError
from ..protocol.document import json_value

Message: TypeAlias = dict[str, Any]

METHOD_NOT_FOUND: Final = -32601
HEADER_MISMATCH: Final = -32020  # this and the next two: 2026-07-28, basic, “Error Codes”
LACKS_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022
# Each escape of a JSON text; `half` is one of a surrogate pair that lacks the other.
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
# What Python writes for a number such as 1e999, and no one else can read; strings are skipped.
_NOT_FINITE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')
_NUMBERS: Final = {"Infinity": "1e999", "-Infinity": "-1e999", "NaN": "null"}


class ServerError(Refused):
    """The MCP server answered with a JSON-RPC error: its `rpc_code`, `description` and `data`."""

    default_code = "rpc"
    rpc_code: int = 0
    data: Any = None


def request(number: int, method: str, params: Message) -> Message:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def notification(method: str) -> Message:
    return {"jsonrpc": "2.0", "method": method}


def encoded(message: Message) -> bytes:
    """The message in UTF-8; raises `UsageError` for arguments that are not text or JSON values."""
    try:
        text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError:
        raise UsageError("an argument of the tool has characters that are not text") from None
    except (TypeError, ValueError, RecursionError):
        raise UsageError(
            "an argument of the tool is not a JSON value",
            hint="Infinity and NaN are not JSON either",
        ) from None


def as_it_is(message: Message | list[Any]) -> bytes:
    """A message of someone else as JSON. Half a surrogate pair, which UTF-8 cannot encode, stays
    escaped; a number that is too large for us stays a number."""
    for ascii_only in (False, True):
        text = json.dumps(message, ensure_ascii=ascii_only, separators=(",", ":"))
        if "Infinity" in text or "NaN" in text:
            text = _NOT_FINITE.sub(lambda found: _NUMBERS.get(found[0], found[0]), text)
        with suppress(UnicodeEncodeError):
            return text.encode()
    raise AssertionError


def read_messages(text: str) -> list[Message]:
    """One message, or the batch that revision 2025-03-26 allows; `BadResponse` for other text."""
    if "\\ud" in text or "\\uD" in text:  # a text cut within a pair must not lose the answer
        text = _ESCAPE.sub(lambda found: "\\ufffd" if found["half"] else found[0], text)
    try:
        value = json_value(text)
    except ValueError:
        raise BadResponse("what the server sent is not JSON") from None
    messages = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) and each.get("jsonrpc") == "2.0" for each in messages):
        raise BadResponse("what the server sent is not a JSON-RPC message")
    return messages


def is_request(message: Message) -> bool:
    return isinstance(message.get("method"), str) and "id" in message


def cancelled_by(message: Message) -> Any:
    """The id of the request that a notification cancels; None for any other message."""
    params = message.get("params")
    if message.get("method") != "notifications/cancelled" or not isinstance(params, dict):
        return None
    return params.get("requestId")


def answers(message: Message, number: object) -> bool:
    """Whether it is the response to the request with that id.

    An error may lack the id, if the server could not read it (2025-11-25, basic, “Responses”).
    Some servers turn a number into a text or a fraction, which the official SDKs accept as well.
    """
    if "method" in message or number is None:
        return False
    given = message.get("id")
    if given is None:
        return "error" in message
    same = str(given) == str(number) or (isinstance(given, float) and given == number)
    return same and ("result" in message or "error" in message)


def is_id(given: object, number: object) -> bool:
    """Whether it is the id: 1 and "1" are different ids."""
    return type(given) is type(number) and given == number


def error_of(message: Message | None) -> tuple[int, str, Any] | None:
    """Code, text and data of an error; None for a result."""
    error = message.get("error") if message else None
    if error is None:
        return None
    if not isinstance(error, dict):
        return 0, "", None
    code, text = error.get("code"), error.get("message")
    return (
        code if type(code) is int else 0,
        text if isinstance(text, str) else "",
        error.get("data"),
    )


def reply_to(message: Message) -> Message:
    """What a client that offers nothing answers to a request of the server: only `ping` has a
    result (2025-11-25, basic, “Ping”)."""
    known = message["id"]
    answer: Message = {"jsonrpc": "2.0", "id": known if isinstance(known, str | int) else None}
    if message["method"] == "ping":
        return {**answer, "result": {}}
    return {**answer, "error": {"code": METHOD_NOT_FOUND, "message": "Method not found"}}
