"""Which of a server's tools the client may see and call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from .messages import Message

Offers: TypeAlias = Callable[[str], bool]  # whether it may, by the name of a tool


def called_tool(message: Message) -> str | None:
    params = message.get("params")
    if message.get("method") != "tools/call" or not isinstance(params, dict):
        return None
    return params["name"] if isinstance(params.get("name"), str) else None


def listed_tools(answer: Message) -> list[Any] | None:
    """What an answer lists; None where it is no list of tools."""
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
