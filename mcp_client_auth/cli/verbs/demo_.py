"""`mcp-login demo`: the main job, on a server of its own."""

from __future__ import annotations

from ..commands import verb
from ..options import option


@verb("demo")
@option("--no-browser", is_flag=True, help="Let a scripted browser sign in.")
def command(no_browser: bool) -> None:
    """Log in to a demo server in fifteen steps, and call a tool.

    It needs the extra `demo`, and no configuration, keyring or network.
    """
    from ..demo import run_demo

    run_demo(browser=not no_browser)
