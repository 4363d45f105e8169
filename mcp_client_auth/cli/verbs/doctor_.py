"""`mcp-login doctor`: the operator's friend."""

from __future__ import annotations

from typing import Any

from ..commands import verb
from ..options import (
    account,
    issuer,
    json_too,
    network,
    option,
    private,
    store,
    the_server,
    timeout,
)


@verb("doctor")
@the_server(required=False)
@option("--register", is_flag=True, help="Register a client for trial, then delete it.")
@option("--strict", is_flag=True, help="End with 1 when there is a warning.")
@timeout(10.0, "How long to wait for one answer")
@account
@store
@json_too
@issuer
@network
@private
def command(url: str | None, **asked: Any) -> int:
    """Check all that a login needs, without a login.

    Without SERVER only this machine is checked. The report holds no secret and is made to be
    pasted into an issue.
    """
    from ...credential import key_for
    from ...doctor import Asked
    from ...protocol.options import Options
    from ...storage import choose_storage
    from ..doctor import run_doctor
    from ..wishes import connection

    options = Options(
        issuer=asked["issuer"],
        http_timeout=asked["timeout"],
        allow_insecure_http=asked["allow_insecure_http"],
        allow_private_addresses=asked["allow_private_addresses"],
    )
    url = (url or "").strip().partition("#")[0]
    key = key_for(url, asked["account"]) if url else None
    kept, reached = choose_storage(asked["store"], key), connection(asked)
    wanted = Asked(kept, url, key, options, asked["register"], reached)
    return run_doctor(wanted, strict=asked["strict"])
