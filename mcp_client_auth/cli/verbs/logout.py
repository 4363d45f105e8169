"""`mcp-login logout`: the end of a login, here and at the server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from ...errors import AuthError, UsageError
from ..arguments import AboutLogin, command_line, group, json_answer, option, server
from ..commands import verb
from ..sources import is_typed

if TYPE_CHECKING:
    from ...credential import Key
    from ...session.logout import LoggedOut
    from ...session.session import Session
    from ...storage import Summary


@command_line
class Arguments:
    url: str | None = server(required=False)
    all: bool = option(
        "--all", is_flag=True, help="Log out of every server, with --account as that account only."
    )
    local: bool = option(
        "--local", is_flag=True, help="Delete the login here only, without telling the server."
    )
    yes: bool = option("--yes", is_flag=True, help="Do not ask for confirmation.")
    login: AboutLogin = group(AboutLogin)
    json: bool = json_answer()


@verb("logout", Arguments)
def command(arguments: Arguments) -> None:
    """Its tokens are revoked (RFC 7009), and the client that was registered for it is deleted
    unless another login here uses it (RFC 7592). What the server does not confirm is reported,
    and is not an error. For the login at a company's identity provider, pass its issuer as
    SERVER.
    """
    from ...prompt.screen import blamed, say
    from ...session.provider import provider_keys
    from ..answers import answers
    from ..sessions import session_of, stored_session

    url, login = arguments.url, arguments.login
    if arguments.all == bool(url):
        raise UsageError("logout needs a SERVER, or --all")
    if url:
        sessions = [stored_session(url, login)]
        if not sessions[0].ports.storage.summary(sessions[0].key):
            keys = provider_keys(sessions[0].ports.storage, url, login.account)
            sessions = [session_of(key, login) for key in keys] or sessions
    else:
        entries = _confirmed(_all(login), yes=arguments.yes)
        sessions = [session_of(entry.key, login) for entry in entries]
    done, failed = [], []
    for session in sessions:
        try:
            done.append(_leave(session, local=arguments.local))
        except AuthError as error:  # of `--all` the others can be ended all the same
            failed.append(error)
    for other in failed[1:]:
        say(blamed("mcp-login:", other.summary))
    if failed:
        raise failed[0]
    if answers.as_json:
        answers.give(logged_out=done)


def _leave(session: Session, *, local: bool) -> dict[str, Any]:
    """End one login, show what was done, and give it as fields."""
    from ...prompt.screen import hanging, screen
    from ...storage import local_index
    from ...storage.settings import Settings
    from ..answers import logout_fields

    key, settings = session.key, Settings()
    with screen.waiting_for("the server to end the login" if not local else "the storage"):
        done = session.log_out(local=local)
    names = [name for name, url in settings.names().items() if url == key.server]
    shared = session.ports.storage.shared  # by many, whose logins do not concern this user
    others = [entry.key.account for entry in local_index().all(server=key.server)]
    if done and not (others or shared):  # the server's names go with its last login
        for name in names:
            settings.name(name, "")
    for line in _lines(key, done, others, local=local):
        indent = "  " if line.startswith(" ") else ""
        screen.remark(hanging(indent, line.strip()))
    return logout_fields(key.server, key.account, done)


def _lines(key: Key, done: LoggedOut, others: list[str], *, local: bool) -> Iterator[str]:
    from ..describe import plain

    which = plain(key.server)
    if others or key.account != "default":
        which += f" (account {plain(key.account)})"
    if not done:
        yield f"You were not logged in to {which}"
        if others:
            yield f"  There are logins as: {plain(', '.join(others))} (--account LABEL)"
        return
    yield f"Logged out of {which}"
    if done.unregistered:
        yield "  The client that was registered for it is deleted at the server, too."
    if not done.revoked and not local:
        yield "  The server did not confirm the logout; the login is deleted here."
    for trouble in dict.fromkeys(done.trouble):
        yield f"  {plain(trouble[:1].upper() + trouble[1:])}."


def _all(login: AboutLogin) -> Sequence[Summary]:
    """Return all logins, or one account's if it was typed; from a shared storage always one's."""
    from ...storage import local_index
    from ..storage import shared_storage

    if shared := shared_storage(login.store):
        return shared.list(account=login.account)
    return local_index().all(**{"account": login.account} if is_typed("account") else {})


def _confirmed(entries: Sequence[Summary], *, yes: bool) -> Sequence[Summary]:
    """The same, if a person agrees or has passed `--yes`."""
    from ...prompt.screen import say, screen
    from ..describe import accounts_tell, plain, tell_of_unreadable
    from ..storage import is_interactive

    tell_of_unreadable()
    if not entries:
        screen.remark("You are not logged in to any server")
    elif not yes:
        if not is_interactive():
            raise UsageError("without a terminal, logout --all needs --yes")
        accounts = accounts_tell(entries)
        for entry in entries:
            which = f" (account {plain(entry.key.account)})" if accounts else ""
            say(f"  {plain(entry.key.server)}{which}")
        them = "it" if len(entries) == 1 else f"all {len(entries)}"
        if not click.confirm(f"Log out of {them}?", default=False, err=True):
            return []
    return entries
