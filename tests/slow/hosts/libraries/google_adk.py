from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from google.adk.tools.mcp_tool.mcp_session_manager import (
    MCPSessionManager,
    StreamableHTTPConnectionParams,
)


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    def client(headers: Any = None, timeout: Any = None, auth_: Any = None, **_: Any) -> Any:
        return httpx2.AsyncClient(headers=headers, timeout=timeout, auth=auth)

    manager = MCPSessionManager(
        StreamableHTTPConnectionParams(url=url, httpx_client_factory=client)
    )
    try:

        async def call(tool: str, **arguments: Any) -> str:
            session = await manager.create_session()
            return str(await session.call_tool(tool, arguments))

        yield call
    finally:
        await manager.close()
