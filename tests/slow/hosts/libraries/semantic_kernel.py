from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from semantic_kernel.connectors.mcp import MCPStreamableHttpPlugin


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    async with MCPStreamableHttpPlugin(name="x", url=url, auth=auth) as plugin:

        async def call(tool: str, **arguments: Any) -> str:
            return str(await plugin.call_tool(tool, **arguments))

        yield call
