from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from crewai_tools import MCPServerAdapter


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    """It blocks: the loop goes on elsewhere."""
    how = {"url": url, "transport": "streamable-http", "auth": auth}
    adapter = await asyncio.to_thread(MCPServerAdapter, how)
    try:
        tools = {tool.name: tool for tool in adapter.tools}

        async def call(tool: str, **arguments: Any) -> str:
            return str(await asyncio.to_thread(tools[tool]._run, **arguments))

        yield call
    finally:
        await asyncio.to_thread(adapter.stop)
