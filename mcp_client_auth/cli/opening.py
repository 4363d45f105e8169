"""From what a verb was told to a session, its prompt and its listener."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import LoginRequired
from .wishes import Asked, usual

if TYPE_CHECKING:
    from ..credential import Credential, Key
    from ..events import Event, Listener
    from ..prompt import Prompt
    from ..session import Session


def talking(*, browser: bool, device: bool) -> Prompt:
    """With a `device` code no browser is opened here: he who asks for one has his elsewhere."""
    from ..prompt.browser import can_open
    from .waiting import talking_prompt

    return talking_prompt(opens=browser and not device and can_open(), device=device)


def listening(asked: Asked, usual: Listener | None = None) -> Listener | None:
    """Who is told of each step: the person, with `--verbose` of all; and the `--trace`."""
    from .progress import Patience, Progress
    from .screen import at_terminal
    from .tracing import trace_to

    told: list[Listener] = []
    if asked["verbose"] and not isinstance(usual, Progress):
        usual = Progress(verbose=True)
    if usual is None and at_terminal():
        usual = Patience()
    told += [usual] if usual else []
    told += [trace_to(asked["trace"])] if asked["trace"] else []

    def tell_all(event: Event) -> None:
        for each in told:
            each(event)

    return tell_all if told else None


def session_for(
    url: str,
    asked: Asked,
    prompt: Prompt | None = None,
    on_event: Listener | None = None,
    **protocol: Any,
) -> Session:
    from ..credential import key_for
    from ..opening import open_session
    from ..storage import choose_storage
    from .storing import tell_of_waiting

    tell_of_waiting()
    account, store = asked["account"], asked["store"]
    person = protocol.get("grant") is None
    return open_session(
        url,
        account=account,
        # what a grant without a person gives can be had again, so memory does where no keyring is
        storage=choose_storage(store, key_for(url, account)) if person else store,
        prompt=prompt,
        on_event=on_event,
        personal=True,
        **protocol,
    )


def session_of(key: Key, asked: Asked) -> Session:
    """The session of a login that is listed, whoever made it."""
    from ..session import Session
    from ..steps import Edges, Wanted
    from ..storage import choose_storage
    from ..transport import HttpTransport

    said = usual(key.server, asked)
    transport = said["transport"] or HttpTransport(key.server, said["options"])
    edges = Edges(choose_storage(None, key), transport, listening(asked))
    return Session(Wanted(key.server, key, options=said["options"]), edges, None)


def held_session(url: str, asked: Asked) -> Session:
    """A session that uses the login to a server and makes none."""
    return session_for(url, asked, on_event=listening(asked), **usual(url, asked))


def other_accounts(error: LoginRequired, key: Key) -> LoginRequired:
    """The same error, which tells of the logins to that server that nobody asked for."""
    from ..storage.index import Index
    from .progress import plain

    known = [e.key.account for e in Index().all() if e.key.server == key.server]
    others = [account for account in known if account != key.account]
    if others:
        there = f"There are logins as: {plain(', '.join(others))} (--account LABEL)"
        error.hint = f"{there}. {error.hint}"
    return error


def fresh(session: Session, min_valid: float = 0.0) -> Credential:
    """A token that may be sent; where there is none, the error tells of other accounts."""
    try:
        return session.fresh(min_valid)
    except LoginRequired as error:
        raise other_accounts(error, session.key) from None


def renewed(session: Session) -> Credential:
    try:
        return session.refresh()
    except LoginRequired as error:
        raise other_accounts(error, session.key) from None
