from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import fastmcp


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    async with fastmcp.Client(url, auth=auth) as client:

        async def call(tool: str, **arguments: Any) -> str:
            return str(await client.call_tool(tool, arguments))

        yield call
