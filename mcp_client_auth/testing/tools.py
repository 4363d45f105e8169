"""The four tools of the demo MCP server: what they are called, need and answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .ledger import Access
from .settings import Settings

SLOWEST = 60.0


class ToolFault(Exception):
    """A call that the tool itself answers with an error (`isError`)."""


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    description: str
    properties: dict[str, Any]

    def listing(self) -> dict[str, Any]:
        schema = {
            "type": "object",
            "properties": self.properties,
            "required": list(self.properties),
        }
        return {"name": self.name, "description": self.description, "inputSchema": schema}


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("whoami", "Who is signed in, by which client, with which scopes.", {}),
        Tool("list_notes", "All notes.", {}),
        Tool("add_note", "Add a note; needs the write scope.", {"text": {"type": "string"}}),
        Tool("slow", "Answer as a stream, after so many seconds.", {"seconds": {"type": "number"}}),
    )
}


class Notebook:
    """The notes, and what each tool does with them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._notes = ["Buy milk"]

    def needed_scope(self, tool: str) -> str:
        return self._settings.write_scope if tool == "add_note" else ""

    def call(self, tool: str, arguments: dict[str, Any], access: Access) -> dict[str, Any]:
        """The `CallToolResult`; `tool` must be one of `TOOLS`."""
        try:
            return _result(self._answer(tool, arguments, access))
        except ToolFault as fault:
            return {"content": [{"type": "text", "text": str(fault)}], "isError": True}

    def _answer(self, tool: str, arguments: dict[str, Any], access: Access) -> dict[str, Any]:
        match tool:
            case "whoami":
                return {
                    "login_name": self._settings.login_name,
                    "client_id": access.family.client_id,
                    "scopes": list(access.scope),
                }
            case "add_note":
                self._notes.append(_text(arguments))
            case "slow":
                return {"waited": seconds(arguments)}
        return {"notes": list(self._notes)}


def seconds(arguments: dict[str, Any]) -> float:
    value = arguments.get("seconds")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= SLOWEST:
        raise ToolFault(f"seconds must be a number from 0 to {SLOWEST:g}")
    return float(value)


def _text(arguments: dict[str, Any]) -> str:
    value = arguments.get("text")
    if not isinstance(value, str):
        raise ToolFault("text must be a string")
    return value


def _result(value: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(value, ensure_ascii=False)
    return {"content": [{"type": "text", "text": text}], "structuredContent": value}
