"""From what a caller says to a session; nothing is asked or sent, no HTTP library is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from .errors import InsecureUrl, UsageError

if TYPE_CHECKING:
    from .credential import Key
    from .events import Listener
    from .prompt import Prompt
    from .prompt.device import DevicePrompt
    from .protocol.flow import Transport
    from .protocol.grants import Grant
    from .protocol.options import Options
    from .protocol.registration import Identity
    from .protocol.scopes import Scopes
    from .session import Session
    from .storage import Storage

Asking: TypeAlias = "Prompt | DevicePrompt | Literal['auto'] | None"


def open_session(
    url: str,
    *,
    account: str = "default",
    client: Identity = None,
    scope: str | Sequence[str] | None = None,
    storage: Storage | str | None = None,
    prompt: Asking = "auto",
    grant: Grant | None = None,
    options: Options | None = None,
    on_event: Listener | None = None,
    transport: Transport | None = None,
    personal: bool = False,
) -> Session:
    """A session from what a caller says; nothing is read, asked or sent yet.

    `personal`: the login is the person's own, whatever client it uses, as the command's is.
    """
    from .protocol.grants import require_client
    from .session import Session
    from .steps import Edges, Wanted
    from .storage import library_storage
    from .transport import HttpTransport

    options = options or _usual_options()
    asked = _asking(prompt, grant)
    require_client(grant, client)
    key = _key(url, account, client, grant, personal=personal)
    kept = library_storage(storage, key)
    _require_server(url, options, kept, key)
    edges = Edges(
        storage=kept,
        transport=transport or HttpTransport(url, options),
        on_event=on_event,
    )
    wanted = Wanted(url.strip().partition("#")[0], key, client, _scopes(scope), options, grant)
    return Session(wanted, edges, asked)


def _key(url: str, account: str, client: Identity, grant: Grant | None, *, personal: bool) -> Key:
    """What the login is kept under: an app's own client or grant has one of its own."""
    from .credential import key_for
    from .protocol.grants import Alone
    from .protocol.registration import PreRegistered

    own = client.client_id if isinstance(client, PreRegistered) else ""
    if isinstance(grant, Alone):
        return key_for(url, account, own, grant.name)
    return key_for(url, account, "" if personal else own)


def _require_server(url: str, options: Options, kept: Storage, key: Key) -> None:
    from .steps import require_server

    try:
        require_server(url, options)
    except InsecureUrl:
        if kept.summary(key) is None:  # what a login was allowed holds as long as it does
            raise


def _asking(prompt: Asking, grant: Grant | None) -> Prompt | DevicePrompt | None:
    """The caller's; `UsageError` for one that cannot show what the grant has to be shown."""
    if prompt == "auto":
        return automatic_prompt() if grant is None else None
    if grant is None and prompt is None:
        return None
    from .prompt.device import DevicePrompt
    from .protocol.grants import DeviceCode

    if prompt and isinstance(prompt, DevicePrompt) != isinstance(grant, DeviceCode):
        raise UsageError("a DevicePrompt and DeviceCode() need each other")
    return prompt


def automatic_prompt() -> Prompt | None:
    """A browser where one can be opened, else nobody to ask."""
    from .prompt import BrowserPrompt
    from .prompt.browser import can_open

    return BrowserPrompt() if can_open() else None


@cache
def _usual_options() -> Options:
    """One for all sessions that have none of their own."""
    from .protocol.options import Options

    return Options()


def _scopes(scope: str | Sequence[str] | None) -> Scopes | None:
    if scope is None:
        return None
    from .protocol.scopes import parse

    return parse(scope) if isinstance(scope, str) else tuple(scope)
