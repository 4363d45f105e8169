"""`mcp-login bridge`: a server behind a login, for a program that starts its servers itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import click

from ...errors import AuthError, UsageError
from ..arguments import (
    AboutLogin,
    NewLogin,
    command_line,
    group,
    no_browser,
    option,
    scope,
    server,
)
from ..bridge_configs import CLIENTS, start_of
from ..commands import WRITTEN, verb
from ..listening import Place, loopback
from ..mcp_remote_words import client_of, ours, require_no_secret
from ..sources import is_typed, source_of
from ..values import Seconds, checked

if TYPE_CHECKING:
    from ...mcp.upstream import Login
    from ...protocol.registration import PreRegistered
    from ..client import Opened
    from ..host_prompt import Host

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
    print_config: str | None = option(
        "--print-config",
        type=click.Choice([*CLIENTS]),
        metavar="CLIENT",
        help="Print what goes into the configuration of a client, such as cursor.",
    )
    listen: Place | None = option(
        "--listen",
        metavar="ADDRESS",
        callback=checked(loopback),
        help="Serve over HTTP instead, at 127.0.0.1:PORT (or 0).",
    )
    secret_file: str | None = option(
        "--secret-file",
        metavar="FILE",
        section="More",
        help="Where the secret for --listen is kept (default: a new one at each start).",
    )
    scope: str | None = scope("More")
    device: bool = option(
        "--device",
        is_flag=True,
        env="DEVICE",
        section="More",
        help="Show a code for another device instead of opening a browser.",
    )
    auth_timeout: float = option(
        "--auth-timeout",
        type=Seconds(),
        default=600.0,
        metavar="SECONDS",
        section="More",
        help="How long to wait for you to sign in (default: 600).",
    )
    login: AboutLogin = group(AboutLogin)
    new: NewLogin = group(NewLogin)
    static_client: str | None = option(
        "--static-oauth-client-info", hidden=True, help="Of mcp-remote: a client as JSON."
    )

    @property
    def choice(self) -> Callable[[str], bool] | None:
        """Which tools to offer; None for all of them."""
        return self.offers if self.allowed or self.ignored else None

    def offers(self, name: str) -> bool:
        """Whether the client may see and call the tool of that name."""
        fits = [fnmatchcase(name, pattern) for pattern in self.allowed]
        # as mcp-remote has it
        hidden = any(fnmatchcase(name.lower(), pattern.lower()) for pattern in self.ignored)
        return not hidden and (any(fits) or not fits)


@verb("bridge", Arguments, ours)
def command(arguments: Arguments) -> None:
    """For clients that start their servers as commands: "command": "mcp-login", "args":
    ["bridge", "SERVER"]. Your browser opens when a request needs you to sign in; if no one can,
    each request is answered with the reason. It ends when the client does.
    """
    from ..sessions import for_new_login, listener_for

    _require_fitting(arguments)
    protocol = for_new_login(
        arguments.new, arguments.login.network, arguments.scope, arguments.auth_timeout
    )
    if arguments.print_config:  # only for what can work
        _print_config(arguments)
        return
    from ...environment import find_session_bus
    from ...mcp.upstream import MOST
    from ..client import opened
    from ..host_prompt import AnotherLogin, host_prompt

    if arguments.static_client:
        protocol["client"] = _static_client(arguments.static_client, arguments.new)
    find_session_bus()
    hosts: list[Host] = []

    def host() -> Host | None:
        return hosts[0] if hosts else None

    with opened(
        arguments.url,
        arguments.login,
        arguments.timeout or 30.0,
        on_failure="rpc",
        connections=MOST + _ONE_MORE,
        prompt=host_prompt(
            host,
            browser=not arguments.no_browser,
            device=arguments.device,
        ),
        on_event=AnotherLogin(host, listener_for(arguments.login.output)),
        **protocol,
    ) as way:
        if arguments.listen:
            _listen(arguments, arguments.listen, way, hosts)
        else:
            _over_stdio(arguments, way, hosts)


def _over_stdio(arguments: Arguments, way: Opened, hosts: list[Host]) -> None:
    from ...mcp.bridge import Bridge
    from ...mcp.lines import lines_of
    from ...prompt.screen import screen
    from ..stdio import Stdio
    from ..storage import is_interactive

    if is_interactive():
        screen.remark(
            "Waiting for the messages of an MCP client, which starts this command itself:"
            " --print-config CLIENT prints what it needs."
        )
    stdio = Stdio.taken()
    bridge = Bridge(
        way.client,
        arguments.url,
        stdio.write,
        error_for=_error_for(way),
        login=_login(arguments.url, way),
        offers=arguments.choice,
        timeout=arguments.timeout,
        fault_of=way.fault_of,
    )
    hosts.append(bridge)
    try:
        stdio.serve(lines_of, lambda line: bridge.take(line) if line else bridge.take_too_large())
        if left := bridge.finish(_LAST_ANSWERS):  # for someone who tries it with a pipe
            screen.say(f"The client closed its end; requests without an answer: {left}")
    finally:
        stdio.close()
        way.auth.close()
        bridge.close()


def _listen(arguments: Arguments, place: Place, way: Opened, hosts: list[Host]) -> None:
    """Serve until a signal ends it; stdin is not used."""
    from threading import Event

    from ...mcp.exchange import LARGEST
    from ...mcp.gate import PATH, Gate
    from ...mcp.relay import Relay
    from ...mcp.serving import Serving
    from ...mcp.upstream import MOST_BYTES, Budget
    from ...threads import shortest
    from ..listening import secret_in, tell

    secret, never = secret_in(arguments.secret_file), Event()
    relay = Relay(
        way.client,
        arguments.url,
        _login(arguments.url, way),
        error_for=_error_for(way),
        offers=arguments.choice,
        timeout=arguments.timeout,
        fault_of=way.fault_of,
    )
    hosts.append(relay)
    serving = Serving(place.host, place.port, largest=LARGEST, budget=Budget(MOST_BYTES))
    try:
        serving.start(Gate(serving.hosts, secret).refusal, relay)
        tell(serving.name, PATH, secret, arguments.secret_file)
        while not never.wait(shortest()):
            pass
    finally:
        way.auth.close()
        serving.close()


def _require_fitting(arguments: Arguments) -> None:
    if arguments.secret_file and not arguments.listen:
        raise UsageError("--secret-file needs --listen")
    named = arguments.new.client.client_id, arguments.new.to_register.client_metadata_url
    if arguments.static_client and any(named):
        option = source_of("client_id" if named[0] else "client_metadata_url")
        raise UsageError(f"--static-oauth-client-info and {option} cannot be combined")
    files = (
        arguments.new.client.client_secret_file,
        arguments.new.to_register.initial_access_token_file,
        arguments.new.provider.idp_client_secret_file,
    )
    if any(file is not None and getattr(file, "name", "-") in ("-", "<stdin>") for file in files):
        raise UsageError("a secret cannot be read from standard input, which is the client's")


def _static_client(value: str, new: NewLogin) -> PreRegistered:
    from ...protocol.registration import PreRegistered

    client_id, secret, method = client_of(value)
    redirect_uri = new.to_register.redirect_uri
    return PreRegistered(client_id, secret, method, (redirect_uri,) if redirect_uri else ())


def _error_for(way: Opened) -> Callable[[AuthError], Any]:
    from ...adapters.rpc import undelivered

    return lambda error: undelivered(error, way.auth.session.key.server)


def _login(url: str, way: Opened) -> Login:
    from ...mcp.upstream import Login
    from ..client import asking_no_one, endpoint

    auth, quiet = way.auth, asking_no_one(way.auth)

    def where() -> str:
        """Where redirects of the server led at the login, which may come only now."""
        from ...session.single_flight import wait

        credential = auth.session.current()
        if credential is None and not auth.session.settled():
            try:
                credential = wait(auth.session.ready())
            except AuthError:  # the request that follows reports it
                return url
        return endpoint(url, credential)

    def has_failed() -> bool:
        error, quiet.last_error = quiet.last_error, None  # a fresh token does not clear it
        return error is not None

    return Login(where, quiet, has_failed)


def _print_config(arguments: Arguments) -> None:
    from ...prompt.screen import screen
    from ...protocol.urls import canonical
    from ...storage.settings import Settings

    if arguments.listen:
        raise UsageError(
            "--listen and --print-config cannot be combined", hint="Start the listener yourself"
        )
    if arguments.new.authorization.gateway_headers:
        raise UsageError(
            "a gateway header is a secret, so it is not written into a configuration",
            hint="Log in with it, which keeps it: mcp-login URL --gateway-header …",
        )
    if arguments.static_client:
        require_no_secret(arguments.static_client)
    start = start_of(canonical(arguments.url), Settings().names(), _typed())
    configuration = CLIENTS[arguments.print_config or ""]
    screen.remark(f"For {configuration.file}:")
    click.echo(configuration.text(start))


def _typed() -> list[str]:
    """Return the options of this command as they are written, but files by their absolute paths.
    What is in a file, such as the password of a storage, stays there."""
    context, words = click.get_current_context(), list[str]()
    written, _, _ = context.command.make_parser(context).parse_args([*context.meta[WRITTEN]])
    for each in context.command.params:
        name = each.name or ""
        if not isinstance(each, click.Option) or not is_typed(name) or name == "print_config":
            continue
        if each.is_flag:
            words.append(each.opts[-1])
            continue
        for text in written[name] if each.multiple else [written[name]]:
            if name in ("store", "static_client") and text[:1] == "@":
                text = f"@{_whole(text[1:])}"
            elif each.metavar == "FILE" and text != "-":
                text = _whole(text)
            words += [each.opts[0], text]
    return words


def _whole(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
