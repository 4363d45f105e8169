from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from agent_framework import MCPStreamableHTTPTool


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    async with (
        httpx2.AsyncClient(auth=auth) as http,
        MCPStreamableHTTPTool(name="x", url=url, http_client=http) as server,
    ):

        async def call(tool: str, **arguments: Any) -> str:
            return " ".join(each.text for each in await server.call_tool(tool, **arguments))

        yield call
