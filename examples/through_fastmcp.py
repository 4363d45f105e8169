"""The same through FastMCP: python through_fastmcp.py URL."""

import asyncio
import sys

import fastmcp

from mcp_client_auth import MCPAuth

url = sys.argv[1]


async def main() -> None:
    async with fastmcp.Client(url, auth=MCPAuth(url)) as client:
        print([tool.name for tool in await client.list_tools()])


asyncio.run(main())
