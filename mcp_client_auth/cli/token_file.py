"""`--token-file`: a token that an operator issued by hand, kept like a login."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, TextIO

from ..errors import UsageError
from ..secret import quoted
from .arguments import AboutLogin, parameters
from .sources import is_typed, source_of

if TYPE_CHECKING:
    from ..credential import Credential
    from ..session.session import Session

_ANY_LOGIN: Final = {"url", "name", "force", "json", "token_file", "timeout"}
_ANYONE: Final = stat.S_IRWXG | stat.S_IRWXO


def keep_token(
    url: str, file: TextIO, login: AboutLogin, *, force: bool
) -> tuple[Credential, Session]:
    """Store the token in `file` if the server accepts it; nothing else is asked of anyone."""
    import click

    from .sessions import read_unseen, stored_session
    from .storage import require_storage

    usual = {str(each.name) for each in parameters(AboutLogin)} | _ANY_LOGIN
    given = click.get_current_context().params
    if other := [name for name in given if name not in usual and is_typed(name)]:
        raise UsageError(
            f"--token-file cannot be combined with {source_of(other[0])}",
            hint="The token is stored as it is, without an authorization server",
        )
    _warn_of_others(file)
    try:
        token = read_unseen(file, "Token")
    except (OSError, ValueError):
        raise UsageError(f"the token file {quoted(file.name)} cannot be read as text") from None
    session = stored_session(url, login)
    require_storage(session.ports.storage, named=login.store is not None)
    return session.keep_token(token, force=force), session


def _warn_of_others(file: TextIO) -> None:
    """Warn of a file that others may read; it is used all the same, because it is read once."""
    from ..prompt.screen import screen

    state = os.fstat(file.fileno())
    if os.name == "posix" and stat.S_ISREG(state.st_mode) and state.st_mode & _ANYONE:
        name = quoted(file.name)
        screen.remark(
            f"Other users of this machine may read {name}: delete it, or chmod 600 it.", "warning"
        )
