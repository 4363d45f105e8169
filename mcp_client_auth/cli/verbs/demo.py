"""`mcp-login demo`: a temporary server, a login in fifteen steps, a tool call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ...errors import UsageError
from ..arguments import command_line, option
from ..commands import verb

if TYPE_CHECKING:
    from ...events import Event


@command_line
class Arguments:
    no_browser: bool = option("--no-browser", is_flag=True, help="Let a scripted browser sign in.")


@verb("demo", Arguments)
def command(arguments: Arguments) -> None:
    """It needs the extra `demo`, but no configuration, keyring or network."""
    import importlib.util

    from ...prompt.screen import say

    missing = [name for name in ("starlette", "uvicorn") if not importlib.util.find_spec(name)]
    if missing:
        raise UsageError(
            f"the demo needs {' and '.join(missing)}",
            hint="Install them with: pip install 'mcp-client-auth[demo]'",
        )
    from ...testing import DemoServer

    with DemoServer() as server:
        say(f"An MCP server runs at {server.url}")
        say(f"and its authorization server at {server.issuer}")
        say("")
        answer = _call_whoami(server.url, browser=not arguments.no_browser)
        say("")
        say("The tool “whoami” answers:")
        click.echo(answer)


def _call_whoami(url: str, *, browser: bool) -> str:
    """One MCP request from an ordinary httpx client; the fifteen steps happen inside it."""
    import httpx

    from ... import BrowserPrompt, MCPAuth, MemoryStorage
    from ...prompt.console import talking_prompt
    from ...prompt.open_browser import can_open
    from ...prompt.screen import say
    from ...testing import ScriptedBrowser
    from ..progress import Progress

    progress = Progress(verbose=True)

    def show(event: Event) -> None:
        if event.name != "decision":  # it shows the protocol, not our reasons
            progress(event)

    if browser and can_open():
        prompt = talking_prompt(opens=True, reads=False)
    else:
        say("A scripted browser signs in for you.")
        say("")
        prompt = BrowserPrompt(ScriptedBrowser())
    auth = MCPAuth(url, storage=MemoryStorage(), prompt=prompt, on_event=show)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami"}}
    headers = {"Accept": "application/json, text/event-stream"}
    # the server is on this machine: a proxy of the environment is not for it
    with httpx.Client(auth=auth, timeout=30, trust_env=False) as client:
        response = client.post(url, json=call, headers=headers).raise_for_status()
    content: list[dict[str, Any]] = response.json()["result"]["content"]
    return "\n".join(part["text"] for part in content)
