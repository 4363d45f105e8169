"""A program that uses a protected server: `visit.py URL [--with LIBRARY] [--account LABEL]`.

It can ask nobody, unless it `--may-ask`. It prints what it saw as JSON. With `httpx`, as it does
unless it is told otherwise, it speaks for itself: the libraries take seconds to load.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from mcp_client_auth import MCPAuth
from mcp_client_auth.session.open import ChosenPrompt

REVISION = "2025-06-18"


async def with_httpx(url: str, auth: MCPAuth) -> dict[str, Any]:
    import httpx

    trusted: Any = ssl.create_default_context()  # of SSL_CERT_FILE, where it is set
    async with httpx.AsyncClient(auth=auth, verify=trusted, trust_env=False, timeout=30) as http:
        call = _Caller(http, url)
        about = {"capabilities": {}, "clientInfo": {"name": "visit", "version": "1"}}
        await call("initialize", protocolVersion=REVISION, **about)
        await call("notifications/initialized")
        tools = await call("tools/list")
        answer = await call("tools/call", name="whoami", arguments={})
        return _seen([tool["name"] for tool in tools["tools"]], answer["structuredContent"])


class _Caller:
    """JSON-RPC over Streamable HTTP, in one session."""

    def __init__(self, http: Any, url: str) -> None:
        self._http, self._url = http, url
        self._headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": REVISION,
        }

    async def __call__(self, method: str, **params: Any) -> Any:
        told = method.startswith("notifications/")
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        message |= {} if told else {"id": 1}
        answer = await self._http.post(self._url, json=message, headers=self._headers)
        answer.raise_for_status()
        if session := answer.headers.get("Mcp-Session-Id"):
            self._headers["Mcp-Session-Id"] = session
        if told:
            return None
        streamed = answer.headers["Content-Type"].startswith("text/event-stream")
        events = [line[5:] for line in answer.text.splitlines() if line.startswith("data:")]
        return json.loads(events[-1] if streamed else answer.text)["result"]


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
    "httpx": with_httpx,
    "mcp": with_mcp,
    "fastmcp": with_fastmcp,
}


async def main() -> None:
    parser = argparse.ArgumentParser(prog="visit.py")
    parser.add_argument("url")
    parser.add_argument("--with", dest="library", choices=LIBRARIES, default="httpx")
    parser.add_argument("--account", default="default")
    parser.add_argument("--may-ask", action="store_true")
    options = parser.parse_args()
    prompt: ChosenPrompt = "auto" if options.may_ask else None
    auth = MCPAuth(options.url, account=options.account, prompt=prompt)
    print(json.dumps(await LIBRARIES[options.library](options.url, auth)))


if __name__ == "__main__":
    asyncio.run(main())
