"""A tool call through FastMCP: python through_fastmcp.py URL."""

import asyncio
import sys

import fastmcp

from mcp_client_auth import MCPAuth

if len(sys.argv) != 2:
    sys.exit(__doc__)


async def main(url: str) -> None:
    auth = MCPAuth(url, on_failure="rpc")
    await auth.alogin()
    async with fastmcp.Client(url, auth=auth) as client:
        print(await client.call_tool("whoami"))


asyncio.run(main(sys.argv[1]))
