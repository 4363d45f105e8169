from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from llama_index.tools.mcp import BasicMCPClient


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    """A connection for each call."""
    client = BasicMCPClient(url, auth=auth)

    async def call(tool: str, **arguments: Any) -> str:
        return str(await client.call_tool(tool, arguments))

    yield call
