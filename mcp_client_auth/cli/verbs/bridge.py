"""`mcp-login bridge`: a server behind a login, for a program that starts its servers itself."""

from __future__ import annotations

from typing import Any, Final

from ...errors import AuthError
from ..arguments import (
    AboutLogin,
    command_line,
    gateway_headers,
    group,
    no_browser,
    option,
    server,
)
from ..commands import verb
from ..values import Seconds

_LAST_ANSWERS: Final = 1.0
_ONE_MORE: Final = 8  # for the stream of the server's own messages, and what is under way


@command_line
class Arguments:
    url: str = server()
    no_browser: bool = no_browser("Never open a browser.")
    timeout: float | None = option(
        "--timeout",
        type=Seconds(),
        metavar="SECONDS",
        help="How long to wait for an answer (default: no limit).",
    )
    allowed: tuple[str, ...] = option(
        "--allow-tool",
        multiple=True,
        metavar="PATTERN",
        help="Offer only tools whose name fits, such as 'get_*' (repeatable).",
    )
    ignored: tuple[str, ...] = option(
        "--ignore-tool",
        multiple=True,
        metavar="PATTERN",
        help="Do not offer tools whose name fits (repeatable).",
    )
    login: AboutLogin = group(AboutLogin)
    gateway_headers: dict[str, Any] = gateway_headers("Network")


@verb("bridge", Arguments)
def command(arguments: Arguments) -> None:
    """For clients that start their servers as commands: "command": "mcp-login", "args":
    ["bridge", "SERVER"]. Your browser opens when a request needs you to sign in; if no one can,
    each request is answered with the reason. It ends when the client does.
    """
    from dataclasses import replace
    from fnmatch import fnmatchcase

    from ...adapters.rpc import undelivered
    from ...mcp.bridge import MOST, Bridge, Login, lines_of
    from ..client import asking_no_one, endpoint, opened
    from ..sessions import usual_options
    from ..stdio import Stdio

    options = usual_options(arguments.login.network)
    options = replace(options, headers=arguments.gateway_headers)

    def offers(name: str) -> bool:
        fits = [fnmatchcase(name, pattern) for pattern in arguments.allowed]
        hidden = any(fnmatchcase(name, pattern) for pattern in arguments.ignored)
        return not hidden and (any(fits) or not fits)

    with opened(
        arguments.url,
        arguments.login,
        arguments.timeout or 30.0,
        on_failure="rpc",
        connections=MOST + _ONE_MORE,
        prompt=_prompt(arguments),
        options=options,
    ) as (client, auth, fault_of):
        url, quiet = arguments.url, asking_no_one(auth)

        def where() -> str:
            """Where redirects of the server led at the login, which may come only now."""
            from ...session.single_flight import wait

            credential = auth.session.current()
            if credential is None and not auth.session.settled():
                try:
                    credential = wait(auth.session.ready())
                except AuthError:  # the request that follows tells it
                    return url
            return endpoint(url, credential)

        stdio = Stdio.taken()
        bridge = Bridge(
            client,
            url,
            stdio.write,
            error_for=lambda error: undelivered(error, auth.session.key.server),
            login=Login(where, quiet, lambda: quiet.last_error is not None),
            offers=offers,
            timeout=arguments.timeout,
            fault_of=fault_of,
        )
        try:
            for line in stdio.lines(lines_of):
                if line is None:
                    bridge.take_too_large()
                else:
                    bridge.take(line)
            bridge.finish(_LAST_ANSWERS)
        finally:
            stdio.close()
            auth.close()
            bridge.close()


def _prompt(arguments: Arguments) -> Any:
    """A browser, and the address in the client's log, which may be opened elsewhere as well."""
    from ...prompt.browser_prompt import BrowserPrompt
    from ...prompt.open_browser import can_open
    from ...prompt.screen import screen

    if arguments.no_browser or not can_open():
        return None
    return BrowserPrompt(show_url=lambda url: screen.say(f"Sign in here: {url}"))
