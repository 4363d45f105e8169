"""`mcp-login import`: shows what mcp-remote has kept, asks once, and takes it over."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import AuthError, LoginRequired, UsageError
from ..arguments import AboutLogin, argument, command_line, group, option
from ..commands import verb

if TYPE_CHECKING:
    from ...session.session import Session
    from ..mcp_remote import Cache, CachedLogin, Launch
    from ..offers import Left, Offer

    Logins = list[tuple[Launch, CachedLogin]]


@command_line
class Arguments:
    urls: tuple[str, ...] = argument("[URL]...", nargs=-1)
    place: Path | None = option(
        "--from",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Cache of mcp-remote (default: ~/.mcp-auth).",
    )
    yes: bool = option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
    force: bool = option("--force", is_flag=True, help="Replace a login that is stored here.")
    no_check: bool = option(
        "--no-check", is_flag=True, help="Do not try the logins at their servers."
    )
    login: AboutLogin = group(AboutLogin)


@verb("import", Arguments)
def command(arguments: Arguments) -> int:
    """It imports the logins to these URLs, or all that it finds. The files of mcp-remote are read
    and left as they are.
    """
    from ...prompt.screen import say
    from .. import exit_code
    from ..describe import plain, report
    from ..mcp_remote import Cache, assign, read_cache, usual_place
    from ..offers import Left, Offer, explained, make_offer, take
    from ..sessions import listener_for, session_for

    on_event = listener_for(arguments.login.output)

    def opened(url: str) -> Session:
        return session_for(url, arguments.login, on_event=on_event)

    force = arguments.force
    root = arguments.place or usual_place()
    cache = read_cache(root, time.time()) if root.is_dir() else Cache(())
    logins, unknown = assign(cache, _candidates(arguments.urls, cache))
    logins, missing = _newest(arguments.urls, logins)
    offers = [make_offer(launch, login, opened, force=force) for launch, login in logins]
    _show(root, offers, cache.skipped, unknown, missing)
    errors = [offer.error for offer in offers if isinstance(offer, Left) and offer.error]
    errors += [LoginRequired(f"nothing is cached for {url}") for url in missing]
    chosen = [offer for offer in offers if isinstance(offer, Offer)]
    if _agrees(chosen, yes=arguments.yes):
        for offer in chosen:
            try:
                credential = take(offer, force=force, check=not arguments.no_check)
            except AuthError as error:
                say(f"  {plain(offer.server, 100)}: {explained(error)}")
                errors.append(error)
            else:
                where = offer.session.ports.storage.where
                report(credential, where, heading="Imported the login to")
    return exit_code(errors[0]) if errors else 0


def _candidates(urls: Iterable[str], cache: Cache) -> list[Launch]:
    """Every start that may have named a file; what a person says comes first."""
    from ...paths import user_home
    from ...protocol.urls import canonical
    from ..mcp_configs import known_launches
    from ..mcp_remote import Launch

    # the name in the cache is of the URL as it was typed then, perhaps another way
    spelled = [each for url in urls for each in (url.strip(), canonical(url), canonical(url) + "/")]
    launches = known_launches(Path(user_home()), Path())
    return [*map(Launch, spelled), *launches, *map(Launch, cache.urls)]


def _newest(urls: Sequence[str], logins: Logins) -> tuple[Logins, list[str]]:
    """One login for each server, the newest; and which of the named ones have none."""
    from ...protocol.urls import canonical
    from ..offers import server_name

    newest: dict[str, tuple[Launch, CachedLogin]] = {}
    for launch, login in logins:
        newest.setdefault(server_name(launch.url), (launch, login))
    if not urls:
        return list(newest.values()), []
    named = list(dict.fromkeys(map(canonical, urls)))
    return [newest[url] for url in named if url in newest], [u for u in named if u not in newest]


def _show(
    root: Path,
    offers: Sequence[Offer | Left],
    skipped: Sequence[str],
    unknown: int,
    missing: list[str],
) -> None:
    from ...prompt.screen import say
    from ..describe import plain, table

    where = plain(str(root))
    if not offers:
        say(f"Nothing to import was found in {where}")
    else:
        say(f"Logins of mcp-remote in {where}")
        rows = [("SERVER", "WRITTEN", "REFRESH TOKEN", "CLIENT", "TAKES")]
        for offer in offers:
            tokens, client = offer.cached.tokens, offer.cached.client
            written = time.strftime("%Y-%m-%d %H:%M", time.localtime(tokens.issued_at))
            name = plain(client.client_id, 24) if client else "unknown"
            renewable = "yes" if tokens.refresh_token else "no"
            rows.append((plain(offer.server, 100), written, renewable, name, offer.takes))
        say(table(list(zip(*rows, strict=True))))
    for offer in offers:
        if offer.remark:
            say(f"  {plain(offer.server, 100)}: {offer.remark}")
    for url in missing:
        say(f"  {url}: mcp-remote has no login for it there, or was started with other options")
    for line in skipped:
        say(f"  skipped {line}")
    if unknown:
        servers = (
            "1 login belongs to an unknown server"
            if unknown == 1
            else f"{unknown} logins belong to unknown servers"
        )
        say(f"  {servers}: pass the URL, mcp-login import URL")


def _agrees(chosen: Sequence[Offer], *, yes: bool) -> bool:
    from ...environment import is_terminal
    from ...prompt.screen import say

    if not chosen:
        return False
    chosen[0].session.ports.storage.check()  # before a person thinks about it
    if yes:
        return True
    if not is_terminal(sys.stdin):
        raise UsageError(
            "nothing was imported: there is no terminal to ask at",
            hint="To import without being asked, add --yes",
        )
    what = "this login" if len(chosen) == 1 else f"these {len(chosen)} logins"
    if click.confirm(f"Import {what}?", default=False, err=True):
        return True
    say("Nothing was imported.")
    return False
