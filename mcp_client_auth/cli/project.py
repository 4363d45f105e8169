"""An account by project: `.mcp-login.toml`, a file that may have come with a directory.

`account = "work"` in it chooses among the stored logins. Whatever the user says takes precedence,
and it counts only once they have allowed the file at a terminal. If it cannot be used, nothing is
done as another account.
"""

from __future__ import annotations

import os
import shlex
import stat
import tomllib
from functools import partial
from pathlib import Path

import click

from ..errors import LoginRequired, UsageError
from ..paths import project_file
from ..prompt.screen import screen
from ..secret import quoted
from .mcp_configs import require_ours
from .mcp_remote import Unusable, read_bytes
from .storage import is_interactive

_LARGEST = 64 << 10
_ASKING = ("login", "status")  # the other verbs never ask, or hand something out
_BELOW = ("request", "tools", "call")  # take a URL below the server's, too
_WITHOUT = "--account NAME chooses without that file"


def project_account(url: str, verb: str) -> str | None:
    """The account that the nearest file names for this server; None without one.

    Raises `UsageError` for a file that cannot be used, and `LoginRequired` for an account that has
    no login there.
    """
    from ..credential import key_for
    from ..protocol.urls import canonical
    from ..storage.settings import Settings

    if (file := project_file()) is None:
        return None
    settings, where = Settings(), quoted(file)[1:-1]  # a directory may have any name
    try:
        content, _ = read_bytes(Path(file), _LARGEST + 1, partial(_require, file=file))
        account = _account_in(content)
    except Unusable as why:
        reason, *remedy = why.args
        raise UsageError(
            f"{where} cannot be used: {reason}", hint=". ".join([_WITHOUT, *remedy])
        ) from None
    if account == "default":
        return None
    named = f"the account {quoted(account, 80)}"
    if verb != "login" and not _is_held(url, verb, account):
        command = key_for(canonical(url), account).login_command()
        raise LoginRequired(
            f"{where} names {named}, which has no login to this server",
            server=canonical(url),
            hint=f"{_WITHOUT}. Run: {command}",
            command=command,
        )
    if not settings.allows(file, content):
        if verb not in _ASKING or not is_interactive():
            raise _not_allowed(where, named)
        screen.tell(f"{where} names {named}, and may have come with its directory.")
        if not click.confirm("Use that account there from now on?", default=False, err=True):
            raise _not_allowed(where, named)
        settings.allow(file, content)
    screen.tell(f"Using {named} ({where})")
    return account


def _not_allowed(where: str, named: str) -> UsageError:
    return UsageError(
        f"{where} names {named}, and you have not allowed that file",
        hint=f"To allow it, run mcp-login status SERVER at a terminal. {_WITHOUT}",
    )


def _require(state: os.stat_result, file: str) -> None:
    require_ours(state)
    if os.name == "posix" and state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        named = shlex.quote(file) if file.isprintable() else "FILE"
        raise Unusable("other users can write to it", f"Run: chmod go-w {named}")


def _account_in(content: bytes) -> str:
    if len(content) > _LARGEST:
        raise Unusable(f"it is larger than {_LARGEST >> 10} KiB")
    try:
        account = tomllib.loads(content.decode("utf-8-sig")).get("account")
    except (ValueError, RecursionError):
        raise Unusable("it is not TOML") from None
    if not isinstance(account, str) or not account.strip() or not account.isprintable():
        raise Unusable('it has no account = "LABEL"')
    return account


def _is_held(url: str, verb: str, account: str) -> bool:
    """Whether there is a login as that account; for some verbs, to a server above the URL too."""
    from ..credential import key_for
    from ..protocol.urls import ServerUrl, canonical
    from ..storage import local_index

    keys = [entry.key for entry in local_index().all(account=account)]
    servers = {key.server for key in keys if key == key_for(key.server, account)}
    below = verb in _BELOW and any(ServerUrl(server).covers(url) for server in servers)
    return canonical(url) in servers or below
