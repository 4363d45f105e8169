from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import niquests

from mcp_client_auth.adapters.requests import MCPAuth as MCPAuth


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    """It blocks: the loop goes on elsewhere."""
    with niquests.Session() as session:
        session.auth = auth

        async def call(tool: str, **arguments: Any) -> str:
            asked = {"name": tool, "arguments": arguments}
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked}
            return str((await asyncio.to_thread(session.post, url, json=message)).text)

        yield call
