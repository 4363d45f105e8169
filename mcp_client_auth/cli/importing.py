"""`mcp-login import`: shows what mcp-remote has kept, asks once, and takes it over."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from ..credential import Credential
from ..errors import AuthError, LoginRequired, TokenRefused, Unavailable, UsageError
from ..flight import wait
from ..keeping import readable
from ..probing import probe
from ..protocol.urls import canonical
from ..session import Session
from . import exit_code
from .mcp_configs import known_launches
from .mcp_remote import Cache, CachedLogin, Launch, assign, read_cache
from .offers import Left, Offer, Opened, make_offer, server_name
from .progress import plain, report, table
from .screen import say

_VARIABLE: Final = "MCP_REMOTE_CONFIG_DIR"
Found = list[tuple[Launch, CachedLogin]]


def run_import(
    urls: Sequence[str],
    opened: Opened,
    *,
    place: Path | None,
    yes: bool,
    force: bool,
    check: bool,
) -> int:
    """Show, ask, take. The exit code is 0, or that of the first login that was not imported."""
    root = place or Path(os.environ.get(_VARIABLE) or Path.home() / ".mcp-auth")
    cache = read_cache(root, time.time()) if root.is_dir() else Cache(())
    found, unknown = assign(cache, _candidates(urls, cache))
    found, missing = _asked_for(urls, found)
    offers = [make_offer(launch, login, opened, force=force) for launch, login in found]
    _show(root, offers, cache.skipped, unknown, missing)
    errors = [offer.error for offer in offers if isinstance(offer, Left) and offer.error]
    errors += [LoginRequired(f"nothing is cached for {url}") for url in missing]
    chosen = [offer for offer in offers if isinstance(offer, Offer)]
    if _agreed(chosen, yes=yes):
        errors += [error for offer in chosen if (error := _taken(offer, force=force, check=check))]
    return exit_code(errors[0]) if errors else 0


def _candidates(urls: Iterable[str], cache: Cache) -> list[Launch]:
    """Every start that may have named a file; what a person says comes first."""
    spelled = [spelling for url in urls for spelling in _spellings(url)]
    launches = known_launches(Path.home(), Path())
    return [*map(Launch, spelled), *launches, *map(Launch, cache.urls)]


def _spellings(url: str) -> list[str]:
    """The name in the cache is of the URL as it was typed then, perhaps another way."""
    plainly = canonical(url)
    return [url.strip(), plainly, plainly + "/"]


def _asked_for(urls: Sequence[str], found: Found) -> tuple[Found, list[str]]:
    """One login for each server, the newest; and which of the named ones have none."""
    newest: dict[str, tuple[Launch, CachedLogin]] = {}
    for launch, login in found:
        server = server_name(launch.url)
        first, best = newest.get(server, (launch, replace(login, copies=0)))
        newest[server] = first, replace(best, copies=best.copies + login.copies)
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
    where = plain(str(root))
    if not offers:
        say(f"Nothing to import was found in {where}")
    else:
        say(f"Logins of mcp-remote in {where}")
        rows = [("SERVER", "WRITTEN", "REFRESH TOKEN", "CLIENT", "TAKES")]
        say(table([*rows, *map(_row, offers)]))
    for offer in offers:
        _explain(offer)
    for url in missing:
        say(f"  {url}: mcp-remote has no login for it there, or had other options for it")
    for line in skipped:
        say(f"  skipped {line}")
    if unknown:
        servers = "1 login is of a server" if unknown == 1 else f"{unknown} logins are of servers"
        say(f"  {servers} unknown here: name the URL, mcp-login import URL")


def _row(offer: Offer | Left) -> tuple[str, ...]:
    cached = offer.cached
    written = time.strftime("%Y-%m-%d %H:%M", time.localtime(cached.tokens.issued_at))
    client = plain(cached.client.client_id, 24) if cached.client else "unknown"
    renewable = "yes" if cached.tokens.refresh_token else "no"
    takes = _takes(offer.credential) if isinstance(offer, Offer) else "nothing"
    return plain(offer.server, 100), written, renewable, client, takes


def _takes(credential: Credential) -> str:
    tokens, client = credential.tokens, credential.client
    more = ((tokens.refresh_token, "refresh token"), (client.secret, "client secret"))
    return ", ".join(["access token", *(name for secret, name in more if secret)])


def _explain(offer: Offer | Left) -> None:
    """What stays behind and why, below the table."""
    server, cached = plain(offer.server, 100), offer.cached
    if cached.copies > 1:
        say(f"  {server}: the newest of {cached.copies} there, in {cached.place}")
    if offer.why and cached.tokens.refresh_token:
        say(f"  {server}: the refresh token stays behind: {offer.why}")
    if isinstance(offer, Offer):
        if offer.credential.tokens.refresh_token:
            say(f"  {server}: where refresh tokens rotate, mcp-remote will have to log in anew")
    elif offer.error:
        _complain(server, offer.error)
    else:
        say(f"  {server}: you are logged in already, which stays as it is (or add --force)")


def _complain(server: str, error: AuthError) -> None:
    say(f"  {server}: {error.summary}")
    if error.hint:
        say(f"    {error.hint}")


def _agreed(chosen: Sequence[Offer], *, yes: bool) -> bool:
    if not chosen:
        return False
    chosen[0].session.edges.storage.check()  # before a person thinks about it
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(
            "nothing was imported: there is no terminal to ask at",
            hint="To import without being asked, add --yes",
        )
    what = "this login" if len(chosen) == 1 else f"these {len(chosen)} logins"
    if click.confirm(f"Import {what}?", default=False, err=True):
        return True
    say("Nothing was imported.")
    return False


def _taken(offer: Offer, *, force: bool, check: bool) -> AuthError | None:
    """Import one login; what went wrong is said, and handed back."""
    try:
        kept = _imported(offer.session, offer.credential, force=force, check=check)
    except AuthError as error:
        _complain(plain(offer.server, 100), error)
        return error
    report(kept, offer.session.edges.storage.where, heading="Imported the login to")
    return None


def _imported(session: Session, fresh: Credential, *, force: bool, check: bool) -> Credential:
    """Nothing is stored before a token that cannot be renewed has been accepted."""
    good = not check or (fresh.alive(session.edges.clock()) and _accepts(session, fresh))
    if not good and fresh.tokens.refresh_token is None:
        raise _not_kept(session, "the server refuses the access token")
    before, kept = _saved(session, fresh, force=force)
    return kept if good else _renewed(session, kept, before)


def _accepts(session: Session, credential: Credential) -> bool:
    try:
        probe(session.wanted, session.edges, credential)
    except TokenRefused:
        return False
    return True


def _saved(
    session: Session, fresh: Credential, *, force: bool
) -> tuple[Credential | None, Credential]:
    """What was stored before, and what is stored now."""
    storage = session.edges.storage
    with storage.lock(session.key):
        before = readable(storage, session.key)
        if before and not force:  # made while the person was thinking
            raise UsageError("you have logged in meanwhile, which stays as it is")
        kept = replace(fresh, generation=before.generation + 1 if before else 0)
        storage.save(kept)
    return before, kept


def _renewed(session: Session, kept: Credential, before: Credential | None) -> Credential:
    """A refresh, and a check of what it gave; a refresh token that is refused is not kept."""
    try:
        better = wait(session.after_401(kept, None)) if _alive(session, kept) else session.usable()
    except LoginRequired:
        better = None
    except Unavailable as error:
        error.hint = "The login was imported, but is not checked"
        raise
    if better is None:
        _undo(session, before)
        raise _not_kept(session, "the authorization server refuses the refresh token")
    probe(session.wanted, session.edges, better)
    return better


def _alive(session: Session, credential: Credential) -> bool:
    return credential.alive(session.edges.clock())


def _undo(session: Session, before: Credential | None) -> None:
    storage = session.edges.storage
    with storage.lock(session.key):
        current = readable(storage, session.key)
        if before is None:
            storage.delete(session.key)
        else:
            storage.save(replace(before, generation=(current or before).generation + 1))


def _not_kept(session: Session, why: str) -> TokenRefused:
    server = session.key.server
    hint = f"It was not imported. Run: mcp-login {server}"
    return TokenRefused(f"{why} of the cache", server=server, hint=hint)
