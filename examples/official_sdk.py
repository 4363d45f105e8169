"""The same through the official MCP SDK 2.x: python official_sdk.py URL."""

import asyncio
import sys

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from mcp_client_auth import MCPAuth

url = sys.argv[1]


async def main() -> None:
    async with (
        httpx2.AsyncClient(auth=MCPAuth(url)) as http,
        streamable_http_client(url, http_client=http) as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        print([tool.name for tool in (await session.list_tools()).tools])


asyncio.run(main())
