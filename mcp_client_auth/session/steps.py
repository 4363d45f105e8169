"""The fifteen steps, in one sitting: find the server, get tokens by a grant, store them.

Steps 1, 2, 14 and 15 are the MCP request itself (`grants.probe`, the adapters).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from ..errors import AuthError, AuthorizationDenied, IssuerMismatch, Remedy, TokenRefused
from ..grants.base import Login, LoginConfig, Ports
from ..grants.clients import forget_client, has_client
from ..grants.gathering import Gathering
from ..grants.retry import RULES, Attempt
from ..grants.selection import grant_for, grant_of
from ..origin import shown
from ..protocol.discovery import Discovery, discover
from ..protocol.dpop import choose_algorithm, demanded
from ..protocol.metadata import ServerMetadata
from ..protocol.tokens import DEAD_CLIENT
from ..protocol.urls import ServerUrl, same_issuer
from ..secret import quoted
from .single_flight import Flights, on_the_wire, wait
from .store_tokens import readable, store_tokens

if TYPE_CHECKING:
    from ..credential import Credential
    from ..grants.base import Exchange, Grant
    from ..grants.pending import PendingLogin
    from ..prompt.base import Prompt
    from ..protocol.authorization import AuthorizationCode
    from ..protocol.probe import ServerAnswer
    from ..protocol.redirects import AppRedirect
    from ..protocol.scopes import Scopes

T = TypeVar("T")
_AFTER_CTRL_C: Final = 1.3
_UNUSED: Final = (
    "the metadata document is not used: the sign-in page lies on another origin, and iss is not"
    " promised"
)
_MIX_UP: Final = "mix-up (RFC 9700 §4.4): register instead"


def log_in(
    config: LoginConfig,
    ports: Ports,
    prompt: Prompt | None,
    answer: ServerAnswer | None,
    *,
    scope: Scopes | None = None,
    gathering: Gathering | None = None,
    signed_in: Callable[[Grant], Grant] = lambda grant: grant,
) -> Credential:
    """Steps 3 to 13. Nothing that is stored changes until the tokens have arrived.

    `scope` overrides the choice, which otherwise keeps what was gained before; the scopes that
    join the `gathering` before a browser opens are added. `signed_in` returns the grant with
    what it presents, for which a person may have to sign in at their identity provider.
    """
    grant, attempt = _first_attempt(config, ports, prompt, answer, scope)  # 3 to 6
    grant = signed_in(grant)
    tries = Tries(config, ports, prompt, attempt, gathering or Gathering())
    while True:
        with tries.next() as login:
            exchange = grant.authorize(login)  # 7 to 11
            ports.cancel.check()
            return kept_alive(partial(_end_well, login, grant, exchange))  # 12 and 13


def _end_well(login: Login, grant: Grant, exchange: Exchange) -> Credential:
    kept = store_tokens(login.config, login.ports, grant, exchange)
    login.end("signed-in")
    return kept


def begin_login(
    config: LoginConfig, ports: Ports, answer: ServerAnswer | None, redirect: AppRedirect
) -> PendingLogin:
    """Steps 3 to 9 of a login whose callback is a page of the caller's own application."""
    from ..grants.authorization_code import begin_for_app

    _, attempt = _first_attempt(config, ports, None, answer, None)  # 3 to 6
    tries = Tries(config, ports, None, replace(attempt, own_callback=False), Gathering())
    while True:
        with tries.next() as login:
            return begin_for_app(login, redirect)  # 7 to 9


def finish_login(pending: PendingLogin, code: AuthorizationCode, ports: Ports) -> Credential:
    """Steps 12 and 13 of the same, perhaps in another process."""
    from ..grants.authorization_code import finish

    config, request = pending.config, pending.request
    exchange = partial(finish, pending, code)
    try:
        return kept_alive(partial(store_tokens, config, ports, grant_of(config), exchange))
    except TokenRefused as error:
        if error.code in DEAD_CLIENT:  # the next login registers again
            forget_client(ports, request.client, request.redirect_uri)
        raise


def _first_attempt(
    config: LoginConfig,
    ports: Ports,
    prompt: Prompt | None,
    answer: ServerAnswer | None,
    scope: Scopes | None,
) -> tuple[Grant, Attempt]:
    """Steps 3 to 6, and what follows from them."""
    ports.storage.check()
    stored = readable(ports.storage, config.key)
    discovery = find_server(config, ports, prompt, answer, stored)
    grant = grant_for(config, prompt, discovery.server)
    kind = grant.check(config, discovery.server)
    if config.identity and kind == "dynamic" and discovery.server.client_id_metadata_documents:
        ports.tell("notice", url=discovery.server.issuer, detail=_UNUSED, rule=_MIX_UP)
    return grant, Attempt(
        discovery,
        kind,
        grant.scopes(config, discovery, stored) if scope is None else scope,
        named=config.scope,
        own_callback=not config.options.redirect_uri,
    )


@dataclass(slots=True)
class Tries:
    """A series of tries, each different in one thing. It ends, since each recovery is made only
    once."""

    config: LoginConfig
    ports: Ports
    prompt: Prompt | None
    attempt: Attempt
    gathering: Gathering
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.ports.monotonic()

    @contextmanager
    def next(self) -> Iterator[Login]:
        """The next try. Its block ends without an error if it failed and another one can help."""
        left = max(self.config.options.login_timeout - (self.ports.monotonic() - self._began), 0.0)
        with Login(
            self.config, self.ports, self.prompt, self.attempt, left, self.gathering
        ) as login:
            try:
                yield login
            except AuthError as error:
                self.attempt = _next_attempt(login, error)


def _next_attempt(login: Login, error: AuthError) -> Attempt:
    """The next try, different in one thing; raises `error` again if nothing can help."""
    attempt, chosen, ports = login.attempt, login.chosen, login.ports
    reused = chosen is not None and chosen.reused
    what = attempt.recovery(error, reused=reused, visited=login.visited)
    gone = isinstance(error, TokenRefused) and error.code in DEAD_CLIENT
    if chosen and (gone or what == "registration"):
        forget_client(ports, chosen.client, chosen.redirect_uri)
    if what is None:
        attempt.advise(error, login.config.identity)
        login.end("denied" if isinstance(error, AuthorizationDenied) else "failed")
        raise error
    ports.tell("again", url=error.url, detail=error.summary, rule=RULES[what])
    login.end("again")
    return attempt.retried(what, visited=login.visited)


def kept_alive(work: Callable[[], T]) -> T:
    """Run what must finish once it is sent, whatever happens to this thread or the process."""
    if threading.current_thread() is threading.main_thread():
        return sheltered(work)
    with on_the_wire():
        return work()


def sheltered(work: Callable[[], T]) -> T:
    """Run on its own thread what, once sent, has to be answered and kept.

    Ctrl-C on the main thread takes effect when that has ended, or after a moment; a second one
    at once.
    """
    future = Flights().start("exchange", work)
    try:
        return wait(future)
    except KeyboardInterrupt:
        with suppress(Exception):
            future.exception(_AFTER_CTRL_C)
        raise


def find_server(
    config: LoginConfig,
    ports: Ports,
    prompt: Prompt | None,
    answer: ServerAnswer | None,
    stored: Credential | None = None,
) -> Discovery:
    """Steps 3 to 6, from the server's answer to the MCP request (None: a 401 that says nothing).
    An authorization server that the grant cannot use is skipped or refused here. `stored`: the
    login to replace."""
    if own := grant_of(config).discover(config, ports):
        return own
    server_url = ServerUrl.checked(config.server_url, config.options)

    def usable(server: ServerMetadata) -> None:
        grant_for(config, prompt, server).check(config, server)

    def rank(issuer: str) -> int:
        """Of several authorization servers, first one with a credential, then one with a client."""
        if stored and same_issuer(stored.issuer, issuer):
            return 0
        return 1 if has_client(config, ports, issuer) else 2

    discovery = ports.run(discover(server_url, answer, config.options, usable=usable, rank=rank))
    if config.options.dpop or demanded(discovery):
        choose_algorithm(discovery)  # refused here, before a browser opens
    if stored and not same_issuer(stored.issuer, discovery.server.issuer):
        _require_portable(config, stored, discovery.server)
    return discovery


def _require_portable(config: LoginConfig, stored: Credential, server: ServerMetadata) -> None:
    """Refuse to take what the caller supplied to another issuer than it was first used with."""
    if config.grant and config.grant.provider and not stored.managed:
        return  # a login of another kind, which shares nothing with this one
    pinned = config.options.issuer
    client_id = config.identity.registered_id if config.identity else ""
    known = client_id != "" and client_id == stored.client.client_id
    if (known or not config.interactive) and not pinned:
        what = f"client {quoted(client_id, 60)}" if known else "assertion"
        raise IssuerMismatch(
            f"the server now names another authorization server, but the {what} belongs to"
            f" {shown(stored.issuer)}",
            url=server.issuer,
            hint=Remedy(
                "If the operator confirms the move, pass the client that they registered there, and"
                " its issuer: {Options.issuer}; the old login was kept"
            ),
        )
    if config.options.initial_access_token and not same_issuer(pinned, server.issuer):
        raise IssuerMismatch(
            "the server now names another authorization server, but the initial access token"
            f" belongs to {shown(stored.issuer)}",
            url=server.issuer,
            hint=Remedy(
                "Leave the token out, or pass the one of the new issuer together with"
                " {Options.issuer}; the old login was kept"
            ),
        )
