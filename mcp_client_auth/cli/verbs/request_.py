"""`mcp-login request`: curl with the login, which is renewed when needed."""

from __future__ import annotations

from typing import Any

from ..commands import verb
from ..options import about_login, option, the_server, timeout


@verb("request")
@the_server()
@option("-X", "--method", metavar="METHOD", help="GET, or POST where there is data.")
@option("-H", "--header", "headers", multiple=True, metavar="NAME: VALUE", help="A header.")
@option(
    "-d",
    "--data",
    metavar="DATA",
    help="The body: a text, @FILE, or @- for standard input; JSON where no header says else.",
)
@option("-i", "--include", is_flag=True, help="Print the status and the headers too.")
@option("-o", "--output", metavar="FILE", help="Write the body to a file.")
@timeout(60.0, "How long to wait for the next bytes")
@about_login
def command(url: str, **asked: Any) -> int:
    """Make an authorized HTTP request.

    SERVER is the server, or a URL below it. The answer goes to stdout as it comes, a stream
    too. Redirects are not followed. The exit code is 0 for an answer below 400, else 1.
    """
    from ..requesting import run_request

    return run_request(url, asked)
