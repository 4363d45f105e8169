"""A program that uses a protected server and can ask nobody: `visit.py URL --with LIBRARY`.

It prints what it saw as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from mcp_client_auth import MCPAuth


async def with_mcp(url: str) -> dict[str, Any]:
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async with (
        httpx2.AsyncClient(auth=MCPAuth(url, prompt=None)) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        tools = await client.list_tools()
        answer = await client.call_tool("whoami", {})
        return _seen([tool.name for tool in tools.tools], answer.structured_content)


async def with_fastmcp(url: str) -> dict[str, Any]:
    from fastmcp import Client

    async with Client(url, auth=MCPAuth(url, prompt=None)) as client:
        tools = await client.list_tools()
        answer = await client.call_tool("whoami", {})
        return _seen([tool.name for tool in tools], answer.structured_content)


def _seen(tools: list[str], answer: Any) -> dict[str, Any]:
    return {"tools": sorted(tools), "me": answer["result"]}


LIBRARIES: dict[str, Callable[[str], Awaitable[dict[str, Any]]]] = {
    "mcp": with_mcp,
    "fastmcp": with_fastmcp,
}


async def main() -> None:
    parser = argparse.ArgumentParser(prog="visit.py")
    parser.add_argument("url")
    parser.add_argument("--with", dest="library", choices=LIBRARIES, default="mcp")
    options = parser.parse_args()
    print(json.dumps(await LIBRARIES[options.library](options.url)))


if __name__ == "__main__":
    asyncio.run(main())
