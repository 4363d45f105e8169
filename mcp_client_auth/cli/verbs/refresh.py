"""`mcp-login refresh`: a new access token now, whatever the old one's age."""

from __future__ import annotations

from ...errors import LoginRequired
from ..arguments import AboutLogin, command_line, group, json_answer, server
from ..commands import verb


@command_line
class Arguments:
    url: str = server()
    login: AboutLogin = group(AboutLogin)
    json: bool = json_answer()


@verb("refresh", Arguments)
def command(arguments: Arguments) -> None:
    """Tokens renew automatically when they are due. Doing it by hand shows whether it works, and
    picks up what has changed at the server, such as a role.
    """
    from ...prompt.screen import screen
    from ...storage.settings import Settings
    from ..answers import answers, login_fields
    from ..describe import report
    from ..sessions import stored_session, with_other_accounts

    session = stored_session(arguments.url, arguments.login)
    try:
        with screen.waiting_for("a new token"):
            credential = session.refresh()
    except LoginRequired as error:
        raise with_other_accounts(error, session) from None
    report(credential, session.ports.storage.where, heading="Renewed the login to")
    if answers.as_json:
        entry = session.ports.storage.summary(session.key)
        answers.give(login=entry and login_fields(entry, Settings().names()))
