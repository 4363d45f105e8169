"""A host on FastMCP's client: the same as `host_sdk.py`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StdioTransport

PATIENCE = 60.0


async def answer(message: str, kind: Any, params: Any, context: Any) -> Any:
    return kind(name="blue")


async def text_of(client: Client[Any], tool: str, **arguments: Any) -> str:
    return str((await client.call_tool(tool, arguments)).content[0].text)


async def cancelled(client: Client[Any]) -> str:
    begun = asyncio.Event()

    async def progress(*_: Any) -> None:
        begun.set()

    call = asyncio.create_task(client.call_tool("hang", {}, progress_handler=progress))
    await begun.wait()
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call
    while (ended := await text_of(client, "endings")) == "0":
        await asyncio.sleep(0.05)
    return ended


async def seen(words: list[str]) -> dict[str, Any]:
    progress: list[float] = []

    async def note(done: float, *_: Any) -> None:
        progress.append(done)

    transport = StdioTransport(words[0], words[1:], env=dict(os.environ))
    async with Client(transport, elicitation_handler=answer, mode="legacy") as client:
        listed = await client.list_tools()
        talked = await client.call_tool("talk", {}, progress_handler=note)
        return {
            "server": bool(client.server_info),
            "tools": sorted(tool.name for tool in listed),
            "sum": await text_of(client, "add", a=2, b=-5),
            "large": len(await text_of(client, "large", size=1_000_000)),
            "talk": talked.content[0].text,
            "asked": await text_of(client, "ask"),
            "ended": await cancelled(client),
            "progress": progress,
        }


async def main() -> None:
    print(json.dumps(await asyncio.wait_for(seen(sys.argv[1:]), PATIENCE)))


if __name__ == "__main__":
    asyncio.run(main())
