from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import fastmcp
from langchain.mcp import MCPAdapter


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    async with MCPAdapter(fastmcp.Client(url, auth=auth)) as adapter:
        tools = {tool.name: tool for tool in await adapter.list_tools()}

        async def call(tool: str, **arguments: Any) -> str:
            return str(await tools[tool].ainvoke(arguments))

        yield call
