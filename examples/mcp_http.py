"""MCP over a plain HTTP client: the handshake, the session, answers as JSON or as events.

The other examples use it to show the login alone. A program of yours rather lets an MCP library
do this: through_fastmcp.py, official_sdk.py.
"""

import json
from typing import Any

import httpx

HEADERS = {"Accept": "application/json, text/event-stream"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "example", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
LIST_TOOLS = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


def tools(client: httpx.Client, url: str) -> list[str]:
    """The names of the server's tools."""
    client.headers.update(HEADERS)
    client.headers.update(in_session(client.post(url, json=INITIALIZE)))
    client.post(url, json=INITIALIZED).raise_for_status()
    return names(client.post(url, json=LIST_TOOLS))


def in_session(welcome: httpx.Response) -> dict[str, str]:
    """What every further request carries: the revision, and the session where there is one."""
    headers = {"MCP-Protocol-Version": result(welcome)["protocolVersion"]}
    if session := welcome.headers.get("Mcp-Session-Id"):
        headers["Mcp-Session-Id"] = session
    return headers


def names(answer: httpx.Response) -> list[str]:
    return [tool["name"] for tool in result(answer)["tools"]]


def result(answer: httpx.Response) -> dict[str, Any]:
    """What the server answers: one JSON text, or the last message of an event stream."""
    answer.raise_for_status()
    texts = [answer.text]
    if answer.headers["Content-Type"].startswith("text/event-stream"):
        lines = answer.text.splitlines()
        texts = [line[5:] for line in lines if line.startswith("data:") and line[5:].strip()]
    message = json.loads(texts[-1])
    if "error" in message:
        raise RuntimeError(message["error"]["message"])
    found: dict[str, Any] = message["result"]
    return found
