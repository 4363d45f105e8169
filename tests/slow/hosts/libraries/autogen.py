from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import mcp
from autogen_core import CancellationToken
from autogen_ext.tools.mcp import StreamableHttpServerParams, mcp_server_tools
from mcp.client.streamable_http import streamablehttp_client


@asynccontextmanager
async def connect(url: str, auth: Any) -> AsyncIterator[Any]:
    async with (
        streamablehttp_client(url, auth=auth) as (read, write, _),
        mcp.ClientSession(read, write) as session,
    ):
        await session.initialize()
        parameters = StreamableHttpServerParams(url=url)
        tools = {each.name: each for each in await mcp_server_tools(parameters, session=session)}

        async def call(tool: str, **arguments: Any) -> str:
            return str(await tools[tool].run_json(arguments, CancellationToken()))

        yield call
