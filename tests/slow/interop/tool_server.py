"""A server of the official SDK without authorization, whose tools use all of the transport.

`tool_server.py PORT`; it keeps sessions and the events of streams, for clients that begin with a
handshake, and prints one line of JSON when it listens.
"""

from __future__ import annotations

import argparse
from itertools import count

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore
from mcp.types import JSONRPCMessage

from tests.slow.interop.serving import HOST, serve

PATH = "/mcp"


class Events(EventStore):
    """Everything that was sent, by the number of its event."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._sent: dict[str, tuple[str, JSONRPCMessage | None]] = {}

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> EventId:
        number = str(next(self._numbers))
        self._sent[number] = stream_id, message
        return number

    async def replay_events_after(
        self, last_event_id: EventId, send_callback: EventCallback
    ) -> str | None:
        stream, _ = self._sent.get(last_event_id, (None, None))
        for number, (of, message) in list(self._sent.items()):
            if of == stream and message is not None and int(number) > int(last_event_id):
                await send_callback(EventMessage(message, number))
        return stream


def add(a: int, b: int = 1) -> int:
    """The sum of two numbers."""
    return a + b


def large(size: int) -> str:
    """A text of so many characters."""
    return "ü" * size


def fail() -> str:
    """It always fails."""
    raise ValueError("on purpose")


async def talk(ctx: Context) -> str:
    """It tells of its progress."""
    await ctx.report_progress(1, 2)
    await ctx.report_progress(2, 2)
    return "told"


async def poll(ctx: Context) -> str:
    """It ends the connection in the middle, and answers who comes back."""
    await ctx.close_sse_stream()
    await anyio.sleep(0.2)
    return "polled"


def main() -> None:
    parser = argparse.ArgumentParser(prog="tool_server.py")
    parser.add_argument("port", type=int)
    port = parser.parse_args().port
    server: MCPServer[None] = MCPServer("tools", log_level="ERROR")
    for tool in (add, large, fail, talk, poll):
        server.add_tool(tool)
    app = server.streamable_http_app(
        streamable_http_path=PATH, event_store=Events(), retry_interval=50
    )
    serve(app, port, url=f"http://{HOST}:{port}{PATH}")


if __name__ == "__main__":
    main()
