from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    client = MultiServerMCPClient({"x": {"transport": "streamable_http", "url": url, "auth": auth}})
    async with client.session("x") as session:
        tools = {tool.name: tool for tool in await load_mcp_tools(session)}

        async def call(tool: str, **arguments: Any) -> str:
            return str(await tools[tool].ainvoke(arguments))

        yield call
