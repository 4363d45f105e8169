from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client
from strands.tools.mcp import MCPClient


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    @asynccontextmanager
    async def transport() -> AsyncIterator[Any]:
        async with (
            httpx2.AsyncClient(auth=auth) as http,
            streamable_http_client(url, http_client=http) as streams,
        ):
            yield streams

    client = MCPClient(transport)
    await asyncio.to_thread(client.__enter__)
    try:

        async def call(tool: str, **arguments: Any) -> str:
            return str(await client.call_tool_async("1", tool, arguments))

        yield call
    finally:
        await asyncio.to_thread(client.__exit__, None, None, None)
