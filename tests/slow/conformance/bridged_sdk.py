"""The official SDK's client over stdio, `mcp-login bridge` between it and the suite: what the
suite's scenarios of the transport call as `bridged_sdk.py URL`. It lists what there is, and tries
all of it with arguments that the schemas allow.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import mcp
from mcp import MCPError, types
from mcp.client.stdio import StdioServerParameters

from tests.slow.conformance.client import STATELESS_SINCE, TIMEOUT, report
from tests.support.terminal import Terminal, command

_VALUES: dict[str, Any] = {
    "string": "a text", "integer": 5, "number": 3, "boolean": True, "array": [], "object": {},
}  # fmt: skip


_REFUSED = (MCPError, ValueError)  # what the scenario's server answers is for the suite to judge


async def accept(context: Any, params: Any) -> Any:
    return types.ElicitResult(action="accept", content={})


async def sample(context: Any, params: Any) -> Any:
    said = types.TextContent(type="text", text="a text")
    return types.CreateMessageResult(role="assistant", content=said, model="a model")


async def roots(context: Any) -> Any:
    return types.ListRootsResult(roots=[])


def value(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return None
    if "default" in schema:
        return schema["default"]
    return schema["enum"][0] if schema.get("enum") else _VALUES.get(schema.get("type", ""))


def fitting(tool: types.Tool) -> dict[str, Any]:
    properties = tool.input_schema.get("properties", {})
    return {name: value(each) for name, each in properties.items()}


async def talk(
    url: str, version: str, home: Path, calls: Sequence[tuple[str, dict[str, Any]]]
) -> None:
    program, *words = command("bridge", url)
    server = StdioServerParameters(command=program, args=words, env=Terminal(home).environment)
    mode = "auto" if version >= STATELESS_SINCE else "legacy"
    answering: dict[str, Any] = {
        "elicitation_callback": accept, "sampling_callback": sample, "list_roots_callback": roots,
    }  # fmt: skip
    async with mcp.Client(server, mode=mode, **answering) as client:
        listed = (await client.list_tools()).tools
        for name, arguments in calls or [(tool.name, fitting(tool)) for tool in listed]:
            with suppress(*_REFUSED):
                await client.call_tool(name, arguments)
        with suppress(*_REFUSED):
            for prompt in (await client.list_prompts()).prompts:
                await client.get_prompt(prompt.name)
        with suppress(*_REFUSED):
            for resource in (await client.list_resources()).resources:
                await client.read_resource(resource.uri)


async def main(url: str) -> int:
    version = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", STATELESS_SINCE)
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    calls = [(call["name"], call["arguments"]) for call in context.get("toolCalls", ())]
    try:
        with tempfile.TemporaryDirectory() as home, anyio.fail_after(TIMEOUT):
            await talk(url, version, Path(home), calls)
    except BaseException as error:
        report({"error": type(error).__name__, "code": "", "message": str(error)})
        raise
    report({"error": "", "code": "", "message": ""})
    return 0


if __name__ == "__main__":
    sys.exit(anyio.run(main, sys.argv[1]))
