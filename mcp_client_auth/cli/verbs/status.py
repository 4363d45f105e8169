"""`mcp-login status`: what is known of a login, and with `--check` whether it works."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ...credential import PROVIDER
from ...errors import AuthError, LoginRequired, Remedy, Unavailable, names
from ...session.login_required import ISSUED_BY_HAND, OF_THE_COMPANY
from ..arguments import AboutLogin, command_line, group, json_answer, option, server
from ..commands import verb
from ..flags import hint_of
from ..sources import is_typed

if TYPE_CHECKING:
    from ...session.knowledge import Mark
    from ...storage import Storage, Summary


@command_line
class Arguments:
    url: str | None = server(required=False)
    check: bool = option(
        "--check", is_flag=True, help="Ask the server whether it accepts the login."
    )
    login: AboutLogin = group(AboutLogin)
    json: bool = json_answer()


@verb("status", Arguments)
def command(arguments: Arguments) -> int:
    """Without SERVER it shows all logins, or those of --account. The exit code is 0 if each of them
    is valid or can be renewed, otherwise that of the first that cannot be used.
    """
    from ...storage import choose_storage
    from ...storage.settings import Settings
    from .. import exit_code
    from ..answers import answers
    from ..describe import tell_of_unreadable
    from ..storage import unreadable

    check, login, entries = arguments.check, arguments.login, _entries(arguments)
    in_keyring = any(entry.storage == "keyring" for entry in entries)
    keyring = unreadable("keyring") if in_keyring else None  # once for all of them
    states = [
        _checked(e, login)
        if check
        else State(e, missing=keyring if e.storage == "keyring" else unreadable(e.storage, e.key))
        for e in entries
    ]
    trouble = [error for state in states if (error := state.trouble)]
    code = exit_code(trouble[0]) if trouble else 0
    names = Settings().names()
    if not arguments.url:
        tell_of_unreadable()
    if answers.as_json:
        logins = [state.fields(names, check=check) for state in states]
        answers.give(logins=logins, storage=_where(choose_storage(login.store)), exit_code=code)
    else:
        for state in states:
            _print(state, names)
        _tell_of_the_rest(arguments, empty=not states)
    return code


def _tell_of_the_rest(arguments: Arguments, *, empty: bool) -> None:
    """That there is no login at all, and where new ones would be kept."""
    from ...prompt.screen import hanging, screen
    from ...storage import choose_storage
    from ..describe import plain
    from ..storage import NOWHERE

    if empty:
        who = f" as {plain(arguments.login.account)}" if is_typed("account") else ""
        screen.remark(f"You are not logged in to any server{who}. Log in with: mcp-login URL")
    if not arguments.url:
        where = _where(choose_storage(arguments.login.store))
        kept = f"New logins are kept {where if where == NOWHERE else 'in ' + where}"
        click.echo(hanging("", kept, sys.stdout))


@dataclass(frozen=True, slots=True)
class State:
    """A login, and the result of the check: the HTTP status that accepted it, or an error."""

    entry: Summary
    accepted: int = 0
    error: AuthError | None = None
    missing: AuthError | None = None  # why its storage cannot be reached

    @property
    def mark(self) -> Mark | None:
        from ..describe import refused

        return refused(self.entry)

    @property
    def kept_in(self) -> str:
        """Where exactly it is kept, in words for the user."""
        from ...storage import CHOICES, storage_named
        from ...storage.backend import Item
        from ..describe import plain

        try:
            if self.entry.storage not in CHOICES:
                return plain(self.entry.storage)
            store = storage_named(self.entry.storage)
            if self.entry.storage != "file":
                return _where(store)
            place = store.vault.place_of(Item.of(self.entry.key))
        except AuthError:
            return plain(self.entry.storage)
        return f"{place}, which does not work: {self.missing.summary}" if self.missing else place

    @property
    def trouble(self) -> AuthError | None:
        """Why it cannot be used; without a check, because the server has refused it before, or
        because it has expired and cannot be renewed."""
        if self.missing and not self.error:
            return self.missing
        if self.mark and not (self.error or self.accepted):
            return self._again("the server no longer accepts the login")
        ended = self.entry.expires_at is not None and self.entry.expires_at <= time.time()
        if self.error or self.accepted or not ended or self.entry.renewable:
            return self.error
        return self._again("the login has expired")

    def _again(self, why: str) -> LoginRequired:
        file = "FILE" if self.entry.by_hand else ""
        command = self.entry.key.login_command(token_file=file)
        hint = Remedy.joined(ISSUED_BY_HAND if file else "", f"Run: {command}")
        if self.entry.key.grant == PROVIDER:
            hint = Remedy(OF_THE_COMPANY)
        return LoginRequired(why, hint=hint)

    @property
    def verdict(self) -> list[str]:
        """What the check or the last request has shown, and what to do about it."""
        if error := self.error:
            told = error.url in ("", self.entry.key.server) or names(error.summary, error.url)
            place = "" if told else f"at {error.url}"
            return [error.summary, *filter(None, [place, hint_of(error)])]
        if self.mark and not self.accepted:
            at = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.mark.since))
            reason = [self.mark.reason.summary] if self.mark.reason else []
            trouble = self.trouble
            return [f"by the server at {at}", *reason, hint_of(trouble) if trouble else ""]
        if not self.accepted:
            return []
        good = 200 <= self.accepted < 300
        return [f"{'accepted' if good else 'not refused'} by the server (HTTP {self.accepted})"]

    def fields(self, names: dict[str, str], *, check: bool) -> dict[str, Any]:
        """What `--json` says of it."""
        from .. import exit_code
        from ..answers import error_fields, login_fields

        known = {**login_fields(self.entry, names), "kept_in": self.kept_in}
        if not check:
            return known
        error = error_fields(self.error, exit_code(self.error)) if self.error else None
        return {**known, "check": {"accepted": self.error is None, "error": error}}


def _entries(arguments: Arguments) -> list[Summary]:
    from ...credential import key_for
    from ...storage import Summary, local_index, name_of
    from ..sessions import fresh, session_of
    from ..storage import shared_storage

    account, index = arguments.login.account, local_index()
    if shared := shared_storage(arguments.login.store):
        chosen = {"account": account} if arguments.url or is_typed("account") else {}
        if arguments.url:
            chosen["server"] = key_for(arguments.url, account).server
        found = list(shared.list(**chosen))
        if found or not arguments.url:
            return found
    if arguments.url is None:
        return index.all(account=account) if is_typed("account") else index.all()
    key = key_for(arguments.url, account)
    if not shared and (entries := index.all(server=key.server, account=account)):
        return entries
    session = session_of(key, arguments.login)
    # raises `LoginRequired`, with what to do; without an error only its entry was lost
    return [Summary.of(fresh(session), name_of(session.ports.storage))]


def _checked(entry: Summary, login: AboutLogin) -> State:
    """Ask the server about the login, which is renewed first if that is due."""
    from ...prompt.screen import screen
    from ...protocol.oauth_error import is_passing
    from ...session.single_flight import wait
    from ..describe import plain
    from ..sessions import fresh, session_of

    session, accepted, error = session_of(entry.key, login), 0, None
    screen.draw(f"Asking {plain(entry.key.server)} ...")
    try:
        if entry.key.grant == PROVIDER:  # it is for no MCP server, so it is only renewed
            fresh(session)
            return State(session.ports.storage.summary(entry.key) or entry)
        credential = wait(session.ready()) or fresh(session)  # one that is marked is tried again
        status = session.answer(credential)[0].status
        if is_passing(status):
            raise Unavailable(
                f"the server answered HTTP {status}, which says nothing about the login",
                url=session.config.server_url,
                hint="Try again later",
            )
        accepted = status
    except AuthError as failed:
        error = failed
    finally:
        screen.clear()
    return State(session.ports.storage.summary(entry.key) or entry, accepted, error)


def _print(state: State, names: dict[str, str]) -> None:
    from ...prompt.screen import hanging
    from ..describe import account_of, details, plain

    entry = state.entry
    key = entry.key
    called = [name for name, url in names.items() if url == key.server]
    click.echo(plain(key.server) + (f" ({plain(', '.join(called))})" if called else ""))
    known = {**account_of(entry), **details(entry, state.kept_in)}
    label_of = "check" if state.error or state.accepted else "refused"
    lines = [*known.items(), *zip((label_of, "", ""), state.verdict, strict=False)]
    for name, value in lines:
        click.echo(hanging(f"  {name:<8} ", plain(value, 400), sys.stdout))


def _where(storage: Storage) -> str:
    from ..storage import kept_in

    try:
        return kept_in(storage)
    except AuthError as error:
        return f"nothing that works: {error.summary}"
