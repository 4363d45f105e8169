"""A host on the official SDK, 1.x or 2.x: `host_sdk.py COMMAND…` starts its server like that, and
prints in one line of JSON what it has seen."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import anyio
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client

PATIENCE = 60.0


async def answer(context: Any, params: Any) -> Any:
    return types.ElicitResult(action="accept", content={"name": "blue"})


async def text_of(session: Any, tool: str, **more: Any) -> str:
    arguments = more.pop("arguments", {})
    return str((await session.call_tool(tool, arguments, **more)).content[0].text)


async def cancelled(session: Any) -> str:
    """How many calls the server has ended, after one was cancelled under way."""
    begun = anyio.Event()

    async def progress(*_: Any) -> None:
        begun.set()

    async with anyio.create_task_group() as calls:
        number = getattr(session, "_request_id", None)
        calls.start_soon(lambda: session.call_tool("hang", {}, progress_callback=progress))
        await begun.wait()
        if number is not None:  # 1.x leaves it to its user
            params = types.CancelledNotificationParams(requestId=number)
            told = types.CancelledNotification(method="notifications/cancelled", params=params)
            await session.send_notification(types.ClientNotification(told))
        calls.cancel_scope.cancel()
    while (ended := await text_of(session, "endings")) == "0":
        await anyio.sleep(0.05)
    return ended


async def seen(words: list[str]) -> dict[str, Any]:
    server = StdioServerParameters(command=words[0], args=words[1:], env=dict(os.environ))
    progress: list[float] = []

    async def note(done: float, *_: Any) -> None:
        progress.append(done)

    async with (
        stdio_client(server) as streams,
        ClientSession(*streams, elicitation_callback=answer) as session,
    ):
        begun: Any = await session.initialize()
        listed = await session.list_tools()
        found: dict[str, Any] = {
            "server": bool(getattr(begun, "server_info", None) or begun.serverInfo),
            "tools": sorted(tool.name for tool in listed.tools),
            "sum": await text_of(session, "add", arguments={"a": 2, "b": -5}),
            "large": len(await text_of(session, "large", arguments={"size": 1_000_000})),
            "talk": await text_of(session, "talk", progress_callback=note),
            "asked": await text_of(session, "ask"),
            "ended": await cancelled(session),
        }
        if "poll" in found["tools"]:
            found["poll"] = await text_of(session, "poll")
        return {**found, "progress": progress}


async def main() -> None:
    with anyio.fail_after(PATIENCE):
        print(json.dumps(await seen(sys.argv[1:])))


if __name__ == "__main__":
    anyio.run(main)
