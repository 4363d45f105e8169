from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp_use import MCPClient


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    client = MCPClient({"mcpServers": {"x": {"url": url, "auth": auth}}})
    session = await client.create_session("x")
    try:

        async def call(tool: str, **arguments: Any) -> str:
            return str(await session.call_tool(tool, arguments))

        yield call
    finally:
        await client.close_all_sessions()
