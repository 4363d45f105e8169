"""A device code while its person decides: alone, or beside a browser in the race for one login.

Beside a browser it is an offer: but for a denial, nothing that happens to it ends the login.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from .attempts import RULES, Attempt
from .binding import Bond, bond_for
from .clients import (
    DEAD_CLIENT,
    callback,
    callers_client,
    forget_client,
    registered_client,
    speaking_to,
)
from .credential import Credential
from .errors import AuthError, AuthorizationDenied, TokenRefused
from .keeping import keep
from .leaving import sign_out
from .prompt import FirstAnswer
from .prompt.device import CodeDesk, DevicePrompt, DeviceVisit
from .protocol.authorization import AuthorizationRequest
from .protocol.client_auth import Prover
from .protocol.device import (
    DeviceAuthorization,
    authorize_device,
    poll,
    require_device,
    too_late,
    wait_after,
)
from .protocol.discovery import Discovery
from .protocol.registration import Client, way_to_client
from .protocol.scopes import Scopes
from .protocol.tokens import TokenSet
from .protocol.urls import shown

if TYPE_CHECKING:
    from .steps import Edges, Wanted

_MOMENT: Final = 0.2


def by_device(
    wanted: Wanted,
    edges: Edges,
    prompt: DevicePrompt,
    discovery: Discovery,
    scope: Scopes | None,
    on_visit: Callable[[DeviceVisit], None],
) -> Credential:
    """Steps 7 to 13 with a person elsewhere, and with no browser here.

    A registration that the server has forgotten is made anew, once.
    """
    visit = prompt.visit(wanted.key.server, wanted.key.account)
    on_visit(visit)
    client, redirect_uri, reused = _client(wanted, edges, discovery, scope)
    try:
        return _signed_in(wanted, edges, visit, discovery, client, scope)
    except TokenRefused as error:
        if error.code in DEAD_CLIENT:
            forget_client(edges, client, redirect_uri)
        if error.code not in DEAD_CLIENT or not reused:
            raise
        edges.tell("again", url=error.url, detail=error.summary, rule=RULES["registration"])
    client, _, _ = _client(wanted, edges, discovery, scope)
    return _signed_in(wanted, edges, visit, discovery, client, scope)


def _signed_in(
    wanted: Wanted,
    edges: Edges,
    visit: DeviceVisit,
    discovery: Discovery,
    client: Client,
    scope: Scopes | None,
) -> Credential:
    bond = bond_for(discovery, client, wanted.options)
    server = speaking_to(discovery.server, client)
    prover = edges.prover(wanted.identity, bond.kept)
    asked = _asked(wanted, edges, replace(discovery, server=server), client, scope, prover)
    patience = min(asked.expires_in, wanted.options.login_timeout)
    tokens = _awaited(edges, visit, asked, prover, patience)
    resource = discovery.resource
    return keep(wanted, edges, server, client, tokens, bond, resource=resource, scope=scope)


@dataclass(frozen=True, slots=True)
class CodeBeside:
    """A racer: a device code beside the browser's address, on a thread of its own.

    Client, scope and resource are those of the authorization request, and `bond` is its own.
    """

    wanted: Wanted
    edges: Edges
    desk: CodeDesk
    discovery: Discovery
    bond: Bond

    @contextmanager
    def __call__(self, request: AuthorizationRequest, race: FirstAnswer) -> Iterator[None]:
        key = self.wanted.key
        visit = DevicePrompt(self.desk.show_code).visit(key.server, key.account)
        thread = threading.Thread(
            target=self._run, args=(request, race, visit), name="device code", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            visit.cancel()
            thread.join(_MOMENT)  # what is on the wire is not waited for

    def _run(self, request: AuthorizationRequest, race: FirstAnswer, visit: DeviceVisit) -> None:
        try:
            tokens = self._tokens(request, visit)
            if not race.take(tokens):
                self._drop(request, tokens)
        except AuthorizationDenied as error:
            race.fail(error)
        except AuthError as error:
            self._ended(race, error.summary, error.url)
        except Exception as error:  # a desk's or a transport's own
            self._ended(race, type(error).__name__)

    def _tokens(self, request: AuthorizationRequest, visit: DeviceVisit) -> TokenSet:
        require_device(request.server)
        prover = self.edges.prover(self.wanted.identity, self.bond.kept)
        there = replace(self.discovery, server=request.server)
        asked = _asked(self.wanted, self.edges, there, request.client, request.scope, prover)
        # silent: who takes the tokens tells of them, and of late ones nobody
        quiet = replace(self.edges, on_event=None, sleep=visit.nap)
        return _awaited(quiet, visit, asked, prover, asked.expires_in)

    def _ended(self, race: FirstAnswer, why: str, url: str = "") -> None:
        """A refused client is not forgotten: its registration may lack this grant alone."""
        if race.decided:
            return
        rule = "the browser's answer is still awaited"
        self.edges.tell("notice", url=url, detail=f"no device code: {why}", rule=rule)
        self.desk.no_code(why)

    def _drop(self, request: AuthorizationRequest, tokens: TokenSet) -> None:
        """Another answer came first: nobody needs these, so that nobody shall have them."""
        late = Credential(
            key=self.wanted.key,
            issuer=request.server.issuer,
            token_endpoint=request.server.token_endpoint,
            client=request.client,
            tokens=tokens,
            resource=request.resource,
            revocation_endpoint=request.server.revocation_endpoint,
            dpop_key=self.bond.kept,
        )
        sign_out(self.edges, late, self.wanted.identity, [])


def _client(
    wanted: Wanted, edges: Edges, discovery: Discovery, scope: Scopes | None
) -> tuple[Client, str, bool]:
    """The client; the redirect URI of a registration, which a browser may use next; and whether
    that was made before."""
    way = way_to_client(wanted.identity, discovery.server)
    if client := callers_client(wanted, edges, discovery.server, way):
        return client, "", False
    redirect_uri = callback(wanted, edges, Attempt(discovery, way, scope)).uri
    made = registered_client(wanted, edges, discovery.server, redirect_uri, scope)
    return made[0], redirect_uri, made[1]


def _asked(
    wanted: Wanted,
    edges: Edges,
    discovery: Discovery,
    client: Client,
    scope: Scopes | None,
    prover: Prover,
) -> DeviceAuthorization:
    audience = wanted.options.audience
    return edges.run(authorize_device(discovery, client, scope, prover, audience=audience))


def _awaited(
    edges: Edges, visit: DeviceVisit, asked: DeviceAuthorization, prover: Prover, patience: float
) -> TokenSet:
    """Ask until the person has decided, for so many seconds (RFC 8628 §3.3)."""
    began, interval = edges.monotonic(), asked.interval
    where = shown(asked.server.token_endpoint)
    visit.show(asked)
    edges.tell("sign-in", detail="waiting for the person on another device")
    edges.tell("token-request", url=where, rule="asked until the person has decided (RFC 8628)")
    while edges.monotonic() + interval < began + patience:
        visit.pause(interval, edges.sleep)
        try:
            return edges.run(poll(asked, edges.clock(), prover))
        except AuthError as error:
            interval = wait_after(error, interval)
    raise too_late(where)
