"""The same from a coroutine: python asynchronous.py URL."""

import asyncio
import sys

import httpx

from mcp_client_auth import MCPAuth

url = sys.argv[1]
call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
headers = {"Accept": "application/json, text/event-stream"}


async def main() -> None:
    async with httpx.AsyncClient(auth=MCPAuth(url)) as client:
        answer = (await client.post(url, json=call, headers=headers)).raise_for_status().json()
        print([tool["name"] for tool in answer["result"]["tools"]])


asyncio.run(main())
