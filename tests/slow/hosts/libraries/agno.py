from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import fastmcp
from agno.tools.mcp import MCPTools


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    async with fastmcp.Client(url, auth=auth) as client, MCPTools(session=client) as tools:

        async def call(tool: str, **arguments: Any) -> str:
            return str(await tools.functions[tool].entrypoint(**arguments))

        yield call
