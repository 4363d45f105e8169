"""`mcp-login bridge`: a server behind a login, for a program that starts its servers itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

import click

from ...errors import AuthError, UsageError
from ..arguments import (
    AboutLogin,
    command_line,
    gateway_headers,
    group,
    no_browser,
    option,
    server,
)
from ..bridge_configs import CLIENTS, start_of
from ..commands import verb
from ..sources import is_typed
from ..values import Seconds, checked

_LAST_ANSWERS: Final = 1.0
_ONE_MORE: Final = 8  # for the stream of the server's own messages, and what is under way


_LOG_IN: Final = ("mcp-login URL --client-id ID, once",)


def of_mcp_remote(flag_name: str, ours: str, *, flag: bool = False) -> Any:
    """An option of mcp-remote, in whose configurations this verb may take its place."""

    def refuse(given: Any) -> None:
        if given:
            raise UsageError(f"{flag_name} is an option of mcp-remote", hint=f"Here it is {ours}")

    return option(
        flag_name, is_flag=flag, hidden=True, callback=checked(refuse), help="Of mcp-remote."
    )


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
    print_config: str | None = option(
        "--print-config",
        type=click.Choice([*CLIENTS]),
        metavar="CLIENT",
        help="Print what goes into the configuration of a client, such as cursor.",
    )
    login: AboutLogin = group(AboutLogin)
    header: None = of_mcp_remote("--header", "--gateway-header 'NAME: ${VARIABLE}'")
    static_client: None = of_mcp_remote("--static-oauth-client-info", *_LOG_IN)
    static_metadata: None = of_mcp_remote("--static-oauth-client-metadata", *_LOG_IN)
    resource: None = of_mcp_remote("--resource", "mcp-login URL --resource URI, once")
    auth_timeout: None = of_mcp_remote("--auth-timeout", "mcp-login URL --timeout SECONDS, once")
    host: None = of_mcp_remote("--host", "mcp-login URL --redirect-uri URI, once")
    allow_http: None = of_mcp_remote("--allow-http", "--allow-insecure-http", flag=True)
    debug: None = of_mcp_remote("--debug", "--verbose or --trace FILE", flag=True)
    transport: None = of_mcp_remote("--transport", "nothing: streamable HTTP is what is spoken")
    gateway_headers: dict[str, Any] = gateway_headers("Network")


@verb("bridge", Arguments)
def command(arguments: Arguments) -> None:
    """For clients that start their servers as commands: "command": "mcp-login", "args":
    ["bridge", "SERVER"]. Your browser opens when a request needs you to sign in; if no one can,
    each request is answered with the reason. It ends when the client does.
    """
    if arguments.print_config:
        _print_config(arguments)
        return
    from dataclasses import replace
    from fnmatch import fnmatchcase

    from ...adapters.rpc import undelivered
    from ...mcp.bridge import Bridge, lines_of
    from ...mcp.upstream import MOST, Login
    from ..client import asking_no_one, endpoint, opened
    from ..sessions import usual_options
    from ..stdio import Stdio

    options = usual_options(arguments.login.network)
    options = replace(options, headers=arguments.gateway_headers)

    told: list[Callable[[str], None]] = []

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
        prompt=_prompt(arguments, told),
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
        told.append(bridge.tell)
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


def _print_config(arguments: Arguments) -> None:
    from ...prompt.screen import screen
    from ...protocol.urls import canonical
    from ...storage.settings import Settings

    if arguments.gateway_headers:
        raise UsageError(
            "a header for a gateway is a secret, and goes into no configuration",
            hint="Log in with it, which keeps it: mcp-login URL --gateway-header …",
        )
    start = start_of(canonical(arguments.url), Settings().names(), _typed())
    configuration = CLIENTS[arguments.print_config or ""]
    screen.remark(f"For {configuration.file}:")
    click.echo(configuration.text(start))


def _typed() -> list[str]:
    """The options of this command as they are written, files by their whole paths."""
    context, words = click.get_current_context(), list[str]()
    for each in context.command.params:
        value = context.params.get(each.name or "")
        if not isinstance(each, click.Option) or not is_typed(each.name or ""):
            continue
        if each.name == "print_config":
            continue
        if each.is_flag:
            words.append(each.opts[-1])
            continue
        for one in value if isinstance(value, tuple) else (value,):
            text = os.path.abspath(one) if each.metavar == "FILE" and one != "-" else str(one)
            words += [each.opts[0], text]
    return words


def _prompt(arguments: Arguments, told: list[Callable[[str], None]]) -> Any:
    """A browser, and the address on stderr, which may be opened elsewhere as well. `told`: what
    else is to say that it is there."""
    from ...prompt.browser_prompt import BrowserPrompt
    from ...prompt.open_browser import can_open
    from ...prompt.screen import screen

    if arguments.no_browser or not can_open():
        return None

    def show(url: str) -> None:
        screen.say(f"Sign in here: {url}")
        for tell in told:
            tell("A call needs you to sign in: see your browser")

    return BrowserPrompt(show_url=show)
