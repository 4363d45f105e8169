from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agents.mcp import MCPServerStreamableHttp


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    async with MCPServerStreamableHttp(params={"url": url, "auth": auth}) as server:

        async def call(tool: str, **arguments: Any) -> str:
            return str(await server.call_tool(tool, arguments))

        yield call
