from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp
from mcp.client.streamable_http import streamable_http_client


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    async with (
        httpx2.AsyncClient(auth=auth) as http,
        streamable_http_client(url, http_client=http) as (read, write),
        mcp.ClientSession(read, write) as session,
    ):
        await session.initialize()

        async def call(tool: str, **arguments: Any) -> str:
            return str(await session.call_tool(tool, arguments))

        yield call
