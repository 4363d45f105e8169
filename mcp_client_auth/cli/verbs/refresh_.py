"""`mcp-login refresh`: a new access token now, whatever the old one's age."""

from __future__ import annotations

from typing import Any

from ..commands import verb
from ..opening import held_session, renewed
from ..options import about_login, json_too, the_server


@verb("refresh")
@the_server()
@about_login
@json_too
def command(url: str, **asked: Any) -> None:
    """Renew the access token now.

    This is done by itself whenever a token is due; by hand it shows whether it works, and
    takes over what has changed at the server, such as a role.
    """
    from ...storage.index import Index
    from ..answers import answers, login_fields
    from ..progress import report

    session = held_session(url, asked)
    credential = renewed(session)
    report(credential, session.edges.storage.where, heading="Renewed the login to")
    if answers.as_json:
        entry = session.edges.storage.summary(session.key)
        answers.give(login=entry and login_fields(entry, Index().names()))
