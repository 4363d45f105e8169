"""Arguments of tools that a server requires in headers, too (2026-07-28, transports).

Clients over stdio send no headers, so the schemas are learned from lists that pass, or requested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ..events import logger
from ..secret import quoted
from .exchange import Reply, result_of
from .messages import Message
from .tools import Tool, has_headers, header_fault, mirrored

_MOST_PAGES: Final = 200
_MOST_TOOLS: Final = 10_000


class Mirroring:
    def __init__(self) -> None:
        self._schemas: dict[str, Mapping[str, Any]] = {}

    def headers(self, tool: str | None, given: Any) -> dict[str, str]:
        """The headers for a call of `tool`, as far as its schema is known."""
        schema = self._schemas.get(tool or "")
        return mirrored(schema, given if isinstance(given, dict) else {}) if schema else {}

    def learn(self, listed: Any) -> set[str]:
        """Learn from a list of tools. Returns the names of those that a client has to leave out
        because their headers break the rules."""
        faulty: set[str] = set()
        for tool in filter(None, map(Tool.read, listed if isinstance(listed, list) else [])):
            self._schemas.pop(tool.name, None)
            if why := header_fault(tool.input_schema):
                logger.warning("the tool %s is left out: %s", quoted(tool.name, 80), why)
                faulty.add(tool.name)
            elif has_headers(tool.input_schema) and len(self._schemas) < _MOST_TOOLS:
                self._schemas[tool.name] = tool.input_schema
        return faulty

    def ask(self, meta: Any, answer: Callable[[Message], Reply]) -> None:
        """Learn from all pages of the list; `answer` returns the server's reply to a request."""
        cursor: dict[str, Any] = {}
        for _ in range(_MOST_PAGES):
            message = {"method": "tools/list", "params": {"_meta": meta, **cursor}}
            result = result_of(answer({"jsonrpc": "2.0", "id": "mcp-login-bridge", **message}))
            self.learn(result.get("tools"))
            if not isinstance(result.get("nextCursor"), str) or not result["nextCursor"]:
                return
            cursor = {"cursor": result["nextCursor"]}
