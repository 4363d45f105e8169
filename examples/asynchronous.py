"""The same from a coroutine: python asynchronous.py URL."""

import asyncio
import sys

import httpx
from mcp_http import HEADERS, INITIALIZE, INITIALIZED, LIST_TOOLS, in_session, names

from mcp_client_auth import MCPAuth

url = sys.argv[1]


async def main() -> None:
    async with httpx.AsyncClient(auth=MCPAuth(url)) as client:
        client.headers.update(HEADERS)
        client.headers.update(in_session(await client.post(url, json=INITIALIZE)))
        await client.post(url, json=INITIALIZED)
        print(names(await client.post(url, json=LIST_TOOLS)))


asyncio.run(main())
