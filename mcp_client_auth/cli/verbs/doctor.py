"""`mcp-login doctor`: the operator's friend."""

from __future__ import annotations

from ..arguments import (
    Network,
    Place,
    allow_private_addresses,
    command_line,
    endpoints,
    group,
    issuer,
    json_answer,
    metadata_url,
    option,
    server,
    timeout,
)
from ..commands import verb


@command_line
class Arguments:
    url: str | None = server(required=False)
    register: bool = option(
        "--register", is_flag=True, help="Also register a client, then delete it."
    )
    as_client: tuple[str, ...] = option(
        "--as-client",
        multiple=True,
        metavar="CLIENT",
        help="Also judge what another client would meet here, such as claude or vscode"
        " (repeatable, or separated by commas); all for every one that is known.",
    )
    strict: bool = option("--strict", is_flag=True, help="Exit with 1 if there is a warning.")
    verbose: bool = option(
        "-v", "--verbose", is_flag=True, help="Show every check in full, also what is well."
    )
    timeout: float = timeout(10.0, "How long to wait for each response")
    place: Place = group(Place)
    json: bool = json_answer()
    issuer: str = issuer()
    metadata_url: str = metadata_url()
    endpoints: dict[str, str] = endpoints()
    network: Network = group(Network, "Network")
    allow_private_addresses: bool = allow_private_addresses()


@verb("doctor", Arguments)
def command(arguments: Arguments) -> int:
    """Without SERVER it checks this machine only. The report holds no secrets, so that you can
    paste it into an issue.
    """
    from ...credential import key_for
    from ...doctor import Subject, examine
    from ...doctor.clients.facts import chosen
    from ...protocol.options import Options
    from ...storage import choose_storage
    from ..report import print_report, tell_check
    from ..sessions import connection, endpoints_of

    options = Options(
        issuer=arguments.issuer,
        metadata_url=arguments.metadata_url,
        endpoints=endpoints_of(
            arguments.endpoints, arguments.issuer, "authorization", "device_authorization"
        ),
        http_timeout=arguments.timeout,
        allow_insecure_http=arguments.network.allow_insecure_http,
        allow_private_addresses=arguments.allow_private_addresses,
    )
    url = (arguments.url or "").strip().partition("#")[0]
    key = key_for(url, arguments.place.account) if url else None
    storage, reached = choose_storage(arguments.place.store, key), connection(arguments.network)
    others = chosen(name for each in arguments.as_client for name in each.split(","))
    examined = Subject(storage, url, key, options, arguments.register, others, reached)
    report = examine(examined, on_check=tell_check)
    return print_report(report, strict=arguments.strict, verbose=arguments.verbose)
