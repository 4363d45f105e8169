"""`mcp-login logout`: the end of a login, here and at the server."""

from __future__ import annotations

from typing import Any

from ...errors import UsageError
from ..commands import verb
from ..opening import held_session, session_of
from ..options import about_login, json_too, option, the_server


@verb("logout")
@the_server(required=False)
@option("--all", "every", is_flag=True, help="Every login on this machine.")
@option("--local", is_flag=True, help="Delete it here only; the server is not told.")
@option("--yes", is_flag=True, help="Do not ask.")
@about_login
@json_too
def command(url: str | None, every: bool, local: bool, yes: bool, **asked: Any) -> None:
    """Log out: delete the login here, end it at the server.

    Its tokens are revoked (RFC 7009); a client that was registered for it and that no other
    login here uses is deleted (RFC 7592). What the server does not confirm is said, and is no
    error.
    """
    from ..answers import answers
    from ..leaving import confirm_all, leave

    if every == bool(url):
        raise UsageError("logout needs a SERVER, or --all")
    if url:
        done = [leave(held_session(url, asked), local=local)]
    else:
        done = [leave(session_of(key, asked), local=local) for key in confirm_all(yes=yes)]
    if answers.as_json:
        answers.give(logged_out=done)
