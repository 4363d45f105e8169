"""The tools of a server: listed page by page, and called with what their schemas ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from ..errors import BadResponse, Refused, UsageError
from ..events import logger
from ..secret import quoted
from .connection import Connection
from .exchange import header_value
from .messages import HEADER_MISMATCH, Message, ServerError

_MOST_PAGES: Final = 200
_MOST_TOOLS: Final = 10_000
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 §5.6.2
_MIRRORED: Final = ("integer", "string", "boolean")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the server describes it; its texts are the server's. `raw` is all of it."""

    name: str
    title: str = ""
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=dict, repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, value: Any) -> Tool | None:
        """The tool that is described; None if it has no name."""
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str) or not name:
            return None
        texts = (value.get("title"), value.get("description"))
        title, description = (text if isinstance(text, str) else "" for text in texts)
        schema = value.get("inputSchema")
        return cls(name, title, description, schema if isinstance(schema, dict) else {}, value)

    @property
    def properties(self) -> Mapping[str, Any]:
        """The arguments that the schema names, and the schema of each."""
        named = self.input_schema.get("properties")
        return named if isinstance(named, dict) else {}

    @property
    def required(self) -> tuple[str, ...]:
        names = self.input_schema.get("required")
        return tuple(n for n in names if isinstance(n, str)) if isinstance(names, list) else ()


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a call. `content` has its parts, each an object with a `type`; `structured`
    is its value, if the tool returns one; `is_error`: whether the tool has failed."""

    content: tuple[Mapping[str, Any], ...] = ()
    structured: Any = None
    is_error: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, result: Message, url: str) -> ToolResult:
        kind, parts = result.get("resultType", "complete"), result.get("content", [])
        if kind == "input_required":
            raise Refused(
                "the tool asks for more input during the call, which cannot be given here",
                url=url,
                code="input_required",
            )
        if kind != "complete" or not isinstance(parts, list):
            raise BadResponse("the result of the tool is of an unknown kind", url=url)
        content = tuple(part for part in parts if isinstance(part, dict))
        failed = result.get("isError") is True
        return cls(content, result.get("structuredContent"), failed, result)

    @property
    def text(self) -> str:
        """The parts that are text, a line break between them."""
        texts = (part.get("text") for part in self.content if part.get("type") == "text")
        return "\n".join(text for text in texts if isinstance(text, str))

    def __str__(self) -> str:
        return self.text


class Tools:
    """The tools behind a connection: listed once, and again when a call shows a change."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, Tool] | None = None

    def list(self) -> list[Tool]:
        """All tools, of all pages. One whose headers break the rules is left out (2026-07-28)."""
        found: dict[str, Tool] = {}
        cursors: set[str] = set()
        params: Message = {}
        for _ in range(_MOST_PAGES):
            result = self._connection.request("tools/list", params)
            listed, cursor = result.get("tools"), result.get("nextCursor")
            if not isinstance(listed, list):
                raise self._broken("the list of tools must be an array")
            for tool in filter(None, map(Tool.read, listed)):
                stateless = self._connection.server.stateless
                if stateless and (why := header_fault(tool.input_schema)):
                    logger.warning("the tool %s is left out: %s", quoted(tool.name, 80), why)
                else:
                    found.setdefault(tool.name, tool)
            if cursor is None or cursor == "":
                self._known = found
                return [*found.values()]
            if not isinstance(cursor, str) or cursor in cursors or len(found) > _MOST_TOOLS:
                break
            cursors.add(cursor)
            params = {"cursor": cursor}
        raise self._broken("the list of tools has no end")

    def get(self, name: str) -> Tool:
        """The tool of that name; `UsageError` names those that are similar."""
        if not isinstance(name, str):
            raise UsageError("the name of a tool must be a str")
        if self._known is None or name not in self._known:
            self.list()
        known = self._known or {}
        if name in known:
            return known[name]
        near = ", ".join(quoted(each, 80) for each in get_close_matches(name, known, n=3))
        raise UsageError(
            f"the server has no tool {quoted(name, 80)}",
            code="unknown_tool",
            url=self._connection.server.url,
            hint=f"Did you mean {near}?" if near else "",
        )

    def call(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Call the tool once. Raises `ServerError` if the server refuses the call; if the tool
        itself fails, its result has `is_error`."""
        params: Message = {"name": name, "arguments": dict(arguments)}
        tool = self.get(name)
        try:
            result = self._called(tool, params)
        except ServerError as error:
            if error.rpc_code != HEADER_MISMATCH:
                raise
            self.list()  # 2026-07-28, transports, “Client Behavior”: its schema may have changed
            result = self._called(self.get(name), params)
        return ToolResult.read(result, self._connection.server.url)

    def _called(self, tool: Tool, params: Message) -> Message:
        stateless = self._connection.server.stateless
        headers = mirrored(tool.input_schema, params["arguments"]) if stateless else {}
        return self._connection.request("tools/call", params, headers)

    def _broken(self, why: str) -> BadResponse:
        return BadResponse(why, url=self._connection.server.url)


def mirrored(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, str]:
    """The headers that repeat arguments (2026-07-28, transports, “Custom Headers from Tool
    Parameters”)."""
    headers = {}
    for path, named in _annotated(schema):
        value: Any = arguments
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, bool):
            value = "true" if value else "false"
        if isinstance(value, str | int):
            headers[f"mcp-param-{named['x-mcp-header']}"] = header_value(str(value))
    return headers


def has_headers(schema: Mapping[str, Any]) -> bool:
    return next(_annotated(schema), None) is not None


def header_fault(schema: Mapping[str, Any]) -> str:
    """Why its annotations break the rules of such headers; empty if they do not."""
    at_root = list(_annotated(schema))
    names = [named["x-mcp-header"] for _, named in at_root]
    if not all(isinstance(name, str) and _TOKEN.fullmatch(name) for name in names):
        return "an x-mcp-header is not the name of a header"
    if len({name.lower() for name in names}) < len(names):
        return "an x-mcp-header is there twice"
    if not all(named.get("type") in _MIRRORED for _, named in at_root):
        return "an x-mcp-header is at a parameter that is not a text, an integer or a boolean"
    return "an x-mcp-header is at a place without a path" if _all(schema) > len(names) else ""


def _annotated(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Path and schema of each parameter with a header, over `properties` alone."""
    left: list[tuple[tuple[str, ...], Any]] = [((), schema)]  # no recursion: it may be deep
    while left:
        path, here = left.pop()
        if not isinstance(here, dict):
            continue
        if "x-mcp-header" in here and path:
            yield path, here
        below = here.get("properties")
        left += [
            ((*path, n), each) for n, each in (below if isinstance(below, dict) else {}).items()
        ]


def _all(schema: Any) -> int:
    """How many annotations there are, at any place."""
    left, number = [(schema, False)], 0
    while left:
        here, names = left.pop()
        if isinstance(here, dict):
            number += not names and "x-mcp-header" in here
            left += [(each, key == "properties" and not names) for key, each in here.items()]
        elif isinstance(here, list):
            left += [(each, False) for each in here]
    return number
