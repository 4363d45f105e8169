"""A program that uses a protected server: `visit.py URL [--with LIBRARY] [--account LABEL]`.

It can ask nobody, unless it `--may-ask`. It prints what it saw as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from mcp_client_auth import MCPAuth
from mcp_client_auth.opening import Asking


async def with_mcp(url: str, auth: MCPAuth) -> dict[str, Any]:
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async with (
        httpx2.AsyncClient(auth=auth) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        tools = await client.list_tools()
        answer = await client.call_tool("whoami", {})
        return _seen([tool.name for tool in tools.tools], answer.structured_content)


async def with_fastmcp(url: str, auth: MCPAuth) -> dict[str, Any]:
    from fastmcp import Client

    async with Client(url, auth=auth) as client:
        tools = await client.list_tools()
        answer = await client.call_tool("whoami", {})
        return _seen([tool.name for tool in tools], answer.structured_content)


def _seen(tools: list[str], answer: Any) -> dict[str, Any]:
    return {"tools": sorted(tools), "me": answer["result"]}


LIBRARIES: dict[str, Callable[[str, MCPAuth], Awaitable[dict[str, Any]]]] = {
    "mcp": with_mcp,
    "fastmcp": with_fastmcp,
}


async def main() -> None:
    parser = argparse.ArgumentParser(prog="visit.py")
    parser.add_argument("url")
    parser.add_argument("--with", dest="library", choices=LIBRARIES, default="mcp")
    parser.add_argument("--account", default="default")
    parser.add_argument("--may-ask", action="store_true")
    options = parser.parse_args()
    prompt: Asking = "auto" if options.may_ask else None
    auth = MCPAuth(options.url, account=options.account, prompt=prompt)
    print(json.dumps(await LIBRARIES[options.library](options.url, auth)))


if __name__ == "__main__":
    asyncio.run(main())
