"""MCP over streamable HTTP without an SDK: one message out, messages in.

`exchange` is the transport of every revision as a plan that does no I/O; `connection` carries one
out with a client of httpx or httpx2, which brings the login; `tools` is what people call.
"""

from __future__ import annotations

from .connection import Connection
from .messages import ServerError
from .tools import Tool, ToolResult, Tools

__all__ = ["Connection", "ServerError", "Tool", "ToolResult", "Tools"]
