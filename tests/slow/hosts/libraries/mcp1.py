from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import mcp
from mcp.client.streamable_http import streamablehttp_client


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    async with (
        streamablehttp_client(url, auth=auth) as (read, write, _),
        mcp.ClientSession(read, write) as session,
    ):
        await session.initialize()

        async def call(tool: str, **arguments: Any) -> str:
            return str(await session.call_tool(tool, arguments))

        yield call
