"""Which of a server's tools the client may see and call."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from .messages import Message

Offers: TypeAlias = Callable[[str], bool]  # whether it may, given the name of a tool

_KEYS: Final = ("jsonrpc", "id", "method", "params", "name")


def strictly(text: str) -> Any:
    """Read JSON that everyone reads alike. Some servers use the first of two equal keys, and some
    accept keys in any case: none of them may call a tool other than the one that is checked here.

    Raises `ValueError` or `RecursionError` for other text.
    """
    value = json.loads(text, object_pairs_hook=_once_each)
    for message in value if isinstance(value, list) else [value]:
        called = isinstance(message, dict) and message.get("method") == "tools/call"
        for each in (message, message.get("params")) if called else (message,):
            if isinstance(each, dict) and any(map(_is_misspelled, each)):
                raise ValueError("a key in another case")
    return value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key is given twice")
    return made


def _is_misspelled(key: str) -> bool:
    return key not in _KEYS and key.casefold() in _KEYS


def hidden_tool(message: Message, offers: Offers) -> str | None:
    """The tool that a message calls but may not; empty for a tool without a name."""
    if message.get("method") != "tools/call":
        return None
    name = called_tool(message) or ""
    return None if name and offers(name) else name


def called_tool(message: Message) -> str | None:
    params = message.get("params")
    if message.get("method") != "tools/call" or not isinstance(params, dict):
        return None
    return params["name"] if isinstance(params.get("name"), str) else None


def listed_tools(answer: Message) -> list[Any] | None:
    """The tools that an answer lists; None if it is not a list of tools."""
    result = answer.get("result")
    listed = result.get("tools") if isinstance(result, dict) else None
    return listed if isinstance(listed, list) else None


def with_offered(answer: Message, offers: Offers) -> Message:
    """A list of tools without those that the client is not to see; other answers as they are."""
    listed = listed_tools(answer)
    if listed is None:
        return answer
    names = [each.get("name") if isinstance(each, dict) else None for each in listed]
    kept = [
        tool
        for tool, name in zip(listed, names, strict=True)
        if not isinstance(name, str) or offers(name)
    ]
    return {**answer, "result": {**answer["result"], "tools": kept}}
