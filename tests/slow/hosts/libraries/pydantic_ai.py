from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic_ai.mcp import MCPToolset


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    async with MCPToolset(url, auth=auth) as toolset:

        async def call(tool: str, **arguments: Any) -> str:
            return str(await toolset.direct_call_tool(tool, arguments))

        yield call
