from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from smolagents import MCPClient


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    """It blocks: the loop goes on elsewhere."""
    how = {"url": url, "transport": "streamable-http", "auth": auth}
    client = await asyncio.to_thread(MCPClient, how)
    try:
        tools = {tool.name: tool for tool in client.get_tools()}

        async def call(tool: str, **arguments: Any) -> str:
            return str(await asyncio.to_thread(tools[tool].forward, **arguments))

        yield call
    finally:
        await asyncio.to_thread(client.disconnect)
