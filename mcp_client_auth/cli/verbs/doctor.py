"""`mcp-login doctor`: checks everything that a login needs, and says what to fix."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from ..arguments import (
    Network,
    Place,
    allow_private_addresses,
    argument,
    command_line,
    endpoints,
    group,
    issuer,
    json_answer,
    metadata_url,
    option,
    scope,
    server,
    timeout,
)
from ..commands import verb
from ..servers import Server
from ..values import FORMATS, Seconds, checked, existing

if TYPE_CHECKING:
    from ...doctor import Report
    from ...protocol.registration import Identity


@command_line
class Reporting:
    """How the reports are printed, and what they are compared with."""

    strict: bool = option("--strict", is_flag=True, help="The same as --fail-on warning.")
    fail_on: str = option(
        "--fail-on",
        type=click.Choice(["error", "warning"]),
        default="error",
        help="Exit with 1 if there is a warning (default: an error ends with its own code).",
    )
    form: str = option(
        "--format",
        type=click.Choice(FORMATS),
        default="text",
        help=f"Print the report as {', '.join(FORMATS[1:-1])} or {FORMATS[-1]}.",
    )
    baseline: str | None = option(
        "--baseline",
        metavar="FILE",
        callback=existing,
        help="Fail only for what is not in this earlier --json report.",
    )
    watch: float | None = option(
        "--watch",
        type=Seconds(),
        metavar="SECONDS",
        help="Look again this often, and print what has changed.",
    )
    schema: bool = option(
        "--schema", is_flag=True, help="Print the JSON schema of the report, and examine nothing."
    )


@command_line
class Tried:
    """The login that is tried."""

    client_id: str | None = option(
        "--client-id",
        callback=checked(str.strip),
        metavar="ID",
        env="CLIENT_ID",
        help="Ask the sign-in page as the client that was registered under this ID.",
    )
    redirect_uri: str = option(
        "--redirect-uri",
        default="",
        metavar="URI",
        env="REDIRECT_URI",
        help="Redirect URI of the client, on loopback.",
    )
    scope: str | None = scope()


@command_line
class Arguments:
    url: str | None = server(required=False)
    more: tuple[str, ...] = argument("[SERVER]…", type=Server(), nargs=-1)
    register: bool = option(
        "--register", is_flag=True, help="Also register a client, then delete it."
    )
    login: bool = option(
        "--login",
        is_flag=True,
        help="Also sign in, check the tokens, that forged ones are refused, and log out.",
    )
    as_client: tuple[str, ...] = option(
        "--as-client",
        multiple=True,
        metavar="CLIENT",
        help="Also judge what another client would meet here, such as claude or vscode"
        " (repeatable, or separated by commas); all for every one that is known.",
    )
    verbose: bool = option(
        "-v", "--verbose", is_flag=True, help="Show every check in full, also what is well."
    )
    timeout: float = timeout(10.0, "How long to wait for each response", section="Network")
    place: Place = group(Place)
    json: bool = json_answer()
    reporting: Reporting = group(Reporting, "Report")
    tried: Tried = group(Tried, "The login that is tried")
    issuer: str = issuer()
    metadata_url: str = metadata_url("Issuer")
    endpoints: dict[str, str] = endpoints("Issuer")
    network: Network = group(Network, "Network")
    allow_private_addresses: bool = allow_private_addresses("Network")


@verb("doctor", Arguments)
def command(arguments: Arguments) -> int:
    """Without SERVER it checks this machine only; of several servers the worst gives the exit code.
    The report holds no secrets, so that you can paste it into an issue.
    """
    from ...credential import key_for
    from ...doctor import Subject, examine
    from ...doctor.clients.facts import chosen
    from ...prompt.console import talking_prompt
    from ...prompt.open_browser import can_open
    from ...protocol.options import Options
    from ...protocol.scopes import parse
    from ...storage import choose_storage
    from ..examination import Reporting, read_baseline, run, schema
    from ..report import telling_checks
    from ..sessions import connection, endpoints_of

    given = arguments.reporting
    if given.schema:
        click.echo(schema())
        return 0
    reporting = Reporting(
        form=given.form,
        strict=given.strict or given.fail_on == "warning",
        verbose=arguments.verbose,
        baseline=read_baseline(given.baseline) if given.baseline else None,
        again=given.watch,
    )
    options = Options(
        issuer=arguments.issuer,
        metadata_url=arguments.metadata_url,
        endpoints=endpoints_of(
            arguments.endpoints, arguments.issuer, "authorization", "device_authorization"
        ),
        redirect_uri=arguments.tried.redirect_uri,
        http_timeout=arguments.timeout,
        allow_insecure_http=arguments.network.allow_insecure_http,
        allow_private_addresses=arguments.allow_private_addresses,
    )
    identity = _identity(arguments.tried)
    scopes = None if arguments.tried.scope is None else parse(arguments.tried.scope)
    prompt = talking_prompt(opens=can_open()) if arguments.login else None
    reached = connection(arguments.network)
    others = chosen(name for each in arguments.as_client for name in each.split(","))

    def subject(number: int, url: str) -> Subject:
        url = url.strip().partition("#")[0]
        key = key_for(url, arguments.place.account) if url else None
        storage = choose_storage(arguments.place.store, key)
        return Subject(
            storage,
            url,
            key,
            options,
            arguments.register,
            identity=identity,
            scope=scopes,
            clients=others,
            connection=reached,
            prompt=prompt,
            machine=number == 0,  # this machine is the same for all of them
        )

    def examination(subject: Subject) -> Callable[[], Report]:
        told = iter([telling_checks()])  # with --watch the first look only
        return lambda: examine(subject, on_check=next(told, lambda name: None))

    urls = dict.fromkeys([arguments.url or "", *arguments.more])
    return run([examination(subject(*each)) for each in enumerate(urls)], reporting)


def _identity(tried: Tried) -> Identity:
    """The client that was named; None for one that registers itself."""
    from ...protocol.registration import PreRegistered

    if tried.client_id is None:
        return None
    carried = (tried.redirect_uri,) if tried.redirect_uri else ()
    return PreRegistered(tried.client_id, redirect_uris=carried)
