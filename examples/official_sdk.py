"""A tool call through the official MCP SDK 2.x: python official_sdk.py URL."""

import asyncio
import sys

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from mcp_client_auth import MCPAuth

if len(sys.argv) != 2:
    sys.exit(__doc__)


async def main(url: str) -> None:
    auth = MCPAuth(url, on_failure="rpc")
    await auth.alogin()  # before the SDK connects: it gives a person little time
    patience = httpx2.Timeout(30, read=300)  # like the SDK's own client: a tool may take long
    async with (
        httpx2.AsyncClient(auth=auth, timeout=patience) as http,
        streamable_http_client(url, http_client=http) as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        print(await session.call_tool("whoami"))


asyncio.run(main(sys.argv[1]))
