"""`mcp-login status`: what is known of a login, and whether it works."""

from __future__ import annotations

from typing import Any

from ..commands import verb
from ..options import about_login, json_too, option, the_server


@verb("status")
@the_server(required=False)
@option("--check", is_flag=True, help="Ask the server whether it takes the login.")
@about_login
@json_too
def command(url: str | None, check: bool, **asked: Any) -> int:
    """Show a login, and with --check whether it works.

    Without SERVER all logins are shown. The exit code is 0 when each of them lives or can be
    renewed; else that of the first that does not.
    """
    from ..status import run_status

    return run_status(url, asked, check=check)
