"""`mcp-login demo`: a server made for the occasion, a login in fifteen steps, a tool call."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from .progress import Progress
from .screen import say

if TYPE_CHECKING:
    from ..prompt import Prompt


def run_demo(*, browser: bool) -> None:
    """Needs the extra `demo`; no configuration, no keyring, no network."""
    missing = [name for name in ("starlette", "uvicorn") if not importlib.util.find_spec(name)]
    if missing:
        raise UsageError(
            f"the demo needs {' and '.join(missing)}",
            hint="Install them with: pip install 'mcp-client-auth[demo]'",
        )
    from ..testing import DemoServer

    with DemoServer() as server:
        say(f"An MCP server runs at {server.url}")
        say(f"and its authorization server at {server.issuer}")
        say("")
        answer = _call_whoami(server.url, browser=browser)
        say("")
        say("The tool “whoami” answers:")
        click.echo(answer)


def _call_whoami(url: str, *, browser: bool) -> str:
    """One MCP request from an ordinary httpx client; the fifteen steps happen inside it."""
    import httpx

    from .. import MCPAuth, MemoryStorage

    progress = Progress(verbose=True)
    prompt = _prompt(browser=browser)
    auth = MCPAuth(url, storage=MemoryStorage(), prompt=prompt, on_event=progress)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami"}}
    headers = {"Accept": "application/json, text/event-stream"}
    # the server is on this machine: a proxy of the environment is not for it
    with httpx.Client(auth=auth, timeout=30, trust_env=False) as client:
        response = client.post(url, json=call, headers=headers).raise_for_status()
    content: list[dict[str, Any]] = response.json()["result"]["content"]
    return "\n".join(part["text"] for part in content)


def _prompt(*, browser: bool) -> Prompt:
    from .. import BrowserPrompt
    from ..prompt.browser import can_open
    from ..testing import ScriptedBrowser
    from .waiting import talking_prompt

    if browser and can_open():
        return talking_prompt(opens=True, reads=False)
    say("A scripted browser signs in for you.")
    say("")
    return BrowserPrompt(ScriptedBrowser())
