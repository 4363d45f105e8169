"""One MCP host that loses its login in the middle: `host.py HOST MODE`, a line of JSON out.

It calls a tool, loses the login, calls again, lets somebody log in elsewhere, and calls once
more, all in one connection. Runs with the SDK 1.x or 2.x or fastmcp, whichever is installed.
"""

import asyncio
import importlib
import json
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp_client_auth import BrowserPrompt, MCPAuth, MemoryStorage
from mcp_client_auth.testing import DemoServer, ScriptedBrowser


@asynccontextmanager
async def connected(host: str, url: str, auth: MCPAuth) -> AsyncIterator[Any]:
    if host == "fastmcp":
        async with importlib.import_module("fastmcp").Client(url, auth=auth) as client:
            yield client
        return
    mcp = importlib.import_module("mcp")
    streams = importlib.import_module("mcp.client.streamable_http")
    if host == "sdk1":
        async with (
            streams.streamablehttp_client(url, auth=auth) as (read, write, _),
            mcp.ClientSession(read, write) as session,
        ):
            await session.initialize()
            yield session
        return
    httpx2 = importlib.import_module("httpx2")
    async with (
        httpx2.AsyncClient(auth=auth) as http,
        streams.streamable_http_client(url, http_client=http) as (read, write),
        mcp.ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


def innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__


async def outcome(session: Any) -> str:
    try:
        await asyncio.wait_for(session.list_tools(), 10)
    except BaseException as error:
        return innermost(error)
    return "ok"


class Life:
    """A server, one store, and the two things that happen to the login."""

    def __init__(self, server: DemoServer) -> None:
        self.server, self.storage = server, MemoryStorage()

    def log_in(self) -> None:
        prompt = BrowserPrompt(open_url=ScriptedBrowser())
        auth = MCPAuth(self.server.url, storage=self.storage, prompt=prompt)
        auth.session.log_in(force=True)

    def log_in_elsewhere(self) -> None:
        thread = threading.Thread(target=self.log_in)
        thread.start()
        thread.join()


async def story(host: str, mode: Any, life: Life) -> dict[str, str]:
    auth = MCPAuth(life.server.url, storage=life.storage, prompt=None, on_failure=mode)
    seen = dict.fromkeys(("first", "second", "third"), "never")
    ended = "ok"
    try:
        async with connected(host, life.server.url, auth) as session:
            seen["first"] = await outcome(session)
            life.server.revoke_everything()
            seen["second"] = await outcome(session)
            life.log_in_elsewhere()
            seen["third"] = await outcome(session)
    except BaseException as error:
        ended = innermost(error)
    return {**seen, "ended": ended}


def main() -> None:
    host, mode = sys.argv[1:]
    with DemoServer() as server:
        life = Life(server)
        life.log_in()
        print(json.dumps(asyncio.run(asyncio.wait_for(story(host, mode, life), 40))))


if __name__ == "__main__":
    main()
