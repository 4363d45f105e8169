"""A server whose tools use all of the transport: `server.py KIND PORT`.

KIND is `sdk`, with sessions and an event store, or `fastmcp`, each also with `-sse` for the
transport of 2024-11-05. The SDK is that of the Python which runs it, 1.x or 2.x. It prints one line
of JSON when it listens.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import anyio
from pydantic import BaseModel

from tests.slow.interop.serving import HOST, serve

KIND, PORT = (sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 2 else ("", 0)
if KIND.startswith("fastmcp"):
    from fastmcp import Context, FastMCP
else:
    try:
        from mcp.server.mcpserver import Context
        from mcp.server.mcpserver import MCPServer as FastMCP
    except ImportError:
        from mcp.server.fastmcp import Context, FastMCP

ended: list[str] = []
rested: list[float] = []


class Colour(BaseModel):
    name: str


def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


def large(size: int) -> str:
    """A text of so many characters."""
    return "ü" * size


async def talk(ctx: Context) -> str:
    """It tells of its progress."""
    await ctx.report_progress(1, 2)
    await ctx.report_progress(2, 2)
    return "told"


async def ask(ctx: Context) -> str:
    """It asks the person for a colour."""
    answer: Any = await ctx.elicit("Which colour?", Colour)
    return str(answer.data.name)


async def hang(ctx: Context) -> str:
    """It does not end, unless it is cancelled."""
    await ctx.report_progress(1)
    try:
        await anyio.sleep_forever()
    finally:
        ended.append("cancelled")


async def rest(seconds: float, ctx: Context) -> str:
    """It takes its time, and says when that begins."""
    rested.append(seconds)
    await ctx.report_progress(0)
    await anyio.sleep(seconds)
    return "rested"


async def rests() -> int:
    """How often that was begun."""
    return len(rested)


async def endings() -> int:
    """How often that has happened."""
    return len(ended)


async def poll(ctx: Context) -> str:
    """It ends the connection in the middle, and answers who comes back."""
    await ctx.close_sse_stream()
    await anyio.sleep(0.2)
    return "polled"


def application(server: Any) -> Any:
    if KIND == "sdk":
        from tests.slow.interop.tool_server import Events

        for tool in (poll, rest, rests):
            server.add_tool(tool)
        return server.streamable_http_app(event_store=Events(), retry_interval=50)
    if KIND == "sdk-sse":
        return server.sse_app()
    return server.http_app(transport="sse" if KIND.endswith("-sse") else "http")


def main() -> None:
    logging.disable(logging.ERROR)
    server: Any = FastMCP("tools")
    for tool in (add, large, talk, ask, hang, endings):
        if KIND.startswith("fastmcp"):
            server.tool(tool)
        else:
            server.add_tool(tool)
    path = "/sse" if KIND.endswith("-sse") else "/mcp"
    serve(application(server), PORT, url=f"http://{HOST}:{PORT}{path}")


if __name__ == "__main__":
    main()
