"""The fifteen steps, told once: find the server, get a client, ask the person, keep the tokens."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from .attempts import RULES, Attempt
from .binding import UNBOUND, Binding, Bindings, Bond, bond_for
from .clients import (
    callback,
    callers_client,
    forget_client,
    registered_client,
    speaking_to,
)
from .credential import Credential, Key
from .errors import (
    AuthError,
    AuthorizationDenied,
    IssuerMismatch,
    LoginFailed,
    quoted,
)
from .events import Event, Listener, tell
from .keeping import keep, readable
from .polling import CodeBeside, by_device
from .prompt import Answer, Prompt, Racer, Visit, code_desk
from .prompt.device import DevicePrompt, DeviceVisit
from .protocol.authorization import (
    AuthorizationRequest,
    authorization_request,
    does_code_grant,
    pushes,
    require_code_grant,
)
from .protocol.challenge import Challenge
from .protocol.client_auth import Prover
from .protocol.device import require_device
from .protocol.discovery import Discovery, discover
from .protocol.dpop import choose_algorithm, demanded
from .protocol.flow import Flow, T, Transport, run
from .protocol.grants import Alone, DeviceCode, Grant
from .protocol.metadata import ServerMetadata
from .protocol.options import Options
from .protocol.pushed import push
from .protocol.registration import (
    ClientMetadataDocument,
    Identity,
    PreRegistered,
    way_to_client,
)
from .protocol.scopes import Scopes, choose, step_up
from .protocol.tokens import TokenSet, summary
from .protocol.urls import canonical, require_secure, same_issuer, shown
from .proving import Proving
from .redeeming import redeem
from .secret import Secret
from .storage import Storage

_LEAST_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a login is for. `server_url` is as it was typed; `key` holds its canonical form."""

    server_url: str
    key: Key
    identity: Identity = None
    scope: Scopes | None = None
    options: Options = field(default_factory=Options)
    grant: Grant | None = None

    @property
    def alone(self) -> Alone | None:
        """The grant, where it is one that asks nobody."""
        return self.grant if isinstance(self.grant, Alone) else None


@dataclass(frozen=True, slots=True)
class Edges:
    """What touches the world, each replaceable. `random` gives a fresh URL-safe string."""

    storage: Storage
    transport: Transport
    on_event: Listener | None = None
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], str] = lambda: secrets.token_urlsafe(48)
    bindings: Bindings = field(default_factory=Bindings, compare=False)

    def run(self, flow: Flow[T]) -> T:
        return run(flow, self.transport, self.on_event)

    def prover(self, identity: Identity, key: Secret | None = None) -> Prover:
        """Signs for the client of `identity`, or for one that a credential holds; with the
        proofs of `key`, which a credential is bound to (RFC 9449)."""
        proving = Proving(identity, self.clock, self.random)
        return proving if key is None else self.binding(key).beside(proving)

    def binding(self, key: Secret) -> Binding:
        """Who signs with a credential's key; `StorageError` where it is none."""
        return self.bindings.of(key, self.clock, self.random, self.storage.where)

    def checked(self, tokens: TokenSet, bond: Bond, url: str) -> TokenSet:
        """What a login may use of what it got; `DpopUnsupported` where the resource would not."""
        where = shown(url)
        return bond.checked(tokens, url, lambda said: self.tell("notice", url=where, detail=said))

    def tell(self, name: str, *, url: str = "", detail: str = "", rule: str = "") -> None:
        tell(self.on_event, Event(name, url, detail=detail, rule=rule))


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """A login that waits for its authorization response."""

    wanted: Wanted
    request: AuthorizationRequest
    reused: bool = False
    bond: Bond = UNBOUND


def log_in(
    wanted: Wanted,
    edges: Edges,
    prompt: Prompt,
    challenge: Challenge | None,
    *,
    scope: Scopes | None = None,
    on_visit: Callable[[Visit | DeviceVisit], None] = lambda visit: None,
) -> Credential:
    """Steps 3 to 13, with a person; nothing stored changes before the tokens are there.

    `scope` overrides the choice, which else keeps what was gained before. A prompt that wants
    a device code gets that alone where the server has nothing else.
    """
    edges.storage.check()
    desk = code_desk(prompt)
    discovery = find(wanted, edges, challenge, device=desk is not None)
    began = edges.monotonic()
    asked = scope if scope is not None else choice(wanted, edges, discovery)
    if desk and not does_code_grant(discovery.server, wanted.options):
        by_code = DevicePrompt(desk.show_code)
        return by_device(wanted, edges, by_code, discovery, asked, on_visit)
    attempt = Attempt(discovery, way_to_client(wanted.identity, discovery.server), asked)
    while True:  # each mending once, so it ends
        left = max(wanted.options.login_timeout - (edges.monotonic() - began), 0.0)
        ended = _attempt(wanted, edges, prompt, attempt, left, on_visit)
        if isinstance(ended, Credential):
            return ended
        attempt = ended


def _attempt(
    wanted: Wanted,
    edges: Edges,
    prompt: Prompt,
    attempt: Attempt,
    left: float,
    on_visit: Callable[[Visit | DeviceVisit], None],
) -> Credential | Attempt:
    """One try; the next one instead of an error where something can be mended."""
    where, pending, visited = callback(wanted, edges, attempt), None, False
    with prompt.visit(where, wanted.key.server, wanted.key.account) as visit:
        try:
            on_visit(visit)
            pending = begin(wanted, edges, attempt, visit.redirect_uri)
            pending = _pushed(pending, edges)
            visited = True
            beside = _beside(pending, edges, prompt, attempt.discovery)
            answer = _ask(pending, edges, visit, left, beside)
            credential = finish(pending, edges, answer)
        except AuthError as error:
            reused = pending is not None and pending.reused
            what = attempt.mending(error, wanted.scope, reused=reused, visited=visited)
            if what is None:
                if isinstance(wanted.identity, ClientMetadataDocument):
                    attempt.advise(error, wanted.identity.url)
                visit.end("denied" if isinstance(error, AuthorizationDenied) else "failed")
                raise
            if pending and what == "registration":
                forget_client(edges, pending.request.client, pending.request.redirect_uri)
            edges.tell("again", url=error.url, detail=error.summary, rule=RULES[what])
            visit.end("again")
            return attempt.mend(what, visited=visited)
        except BaseException:
            visit.end("failed")
            raise
        visit.end("signed-in")
        return credential


def require_server(url: str, options: Options) -> None:
    """`InsecureUrl` for a server that is not https (nor http on loopback)."""
    require_secure(
        canonical(url), "the server URL", allow_insecure_http=options.allow_insecure_http
    )


def find(
    wanted: Wanted, edges: Edges, challenge: Challenge | None, *, device: bool = False
) -> Discovery:
    """Steps 3 to 6. An authorization server that cannot serve the login is refused here.

    `device`: a device code will do where there is no code grant with PKCE.
    """

    require_server(wanted.server_url, wanted.options)

    def usable(server: ServerMetadata) -> None:
        if wanted.alone:  # needs a token endpoint and no more
            return
        if isinstance(wanted.grant, DeviceCode):
            require_device(server)
        elif does_code_grant(server, wanted.options) or not (
            device and server.device_authorization_endpoint
        ):
            require_code_grant(server, wanted.options)
        way_to_client(wanted.identity, server)

    held = readable(edges.storage, wanted.key)
    issuers = (held.issuer,) if held else ()
    discovery = edges.run(
        discover(wanted.server_url, challenge, wanted.options, usable=usable, held=issuers)
    )
    if wanted.options.dpop or demanded(discovery):
        choose_algorithm(discovery)  # refused here, before anybody is asked
    if held and not same_issuer(held.issuer, discovery.server.issuer):
        _require_portable(wanted, held, discovery.server)
    return discovery


def _require_portable(wanted: Wanted, held: Credential, server: ServerMetadata) -> None:
    """What the caller supplied belongs to the issuer that it was first used with."""
    supplied, pinned = wanted.identity, wanted.options.issuer
    known = isinstance(supplied, PreRegistered) and supplied.client_id == held.client.client_id
    if (wanted.alone or known) and not pinned:
        what = f"client {quoted(held.client.client_id, 60)}" if known else "assertion"
        raise IssuerMismatch(
            f"the server now names another authorization server, but the {what} belongs to"
            f" {shown(held.issuer)}",
            url=shown(server.issuer),
            hint="If the operator confirms the move, pass the client that he registered there,"
            " and its issuer (--issuer, Options(issuer=…)); the old login was kept",
        )
    if wanted.options.initial_access_token and not same_issuer(pinned, server.issuer):
        raise IssuerMismatch(
            "the server now names another authorization server, but the initial access token"
            f" belongs to {shown(held.issuer)}",
            url=shown(server.issuer),
            hint="Leave the token out, or pass the one of the new issuer with its name (--issuer,"
            " Options(issuer=…)); the old login was kept",
        )


def choice(wanted: Wanted, edges: Edges, discovery: Discovery) -> Scopes | None:
    """What to ask for; at the same issuer also all that was asked for and given before."""
    if wanted.scope == ():  # the caller wants no scope parameter
        return None
    asked, held = choose(discovery, wanted.scope), readable(edges.storage, wanted.key)
    if held is None or not same_issuer(held.issuer, discovery.server.issuer):
        return asked
    return step_up(held.requested or (), held.tokens.scope or (), asked or ()) or None


def begin(wanted: Wanted, edges: Edges, attempt: Attempt, redirect_uri: str) -> PendingLogin:
    """Steps 7 to 9: a client and an authorization request."""
    discovery, scope = attempt.discovery, attempt.scope
    client, reused = callers_client(wanted, edges, discovery.server, attempt.way), False
    if client is None:
        client, reused = registered_client(wanted, edges, discovery.server, redirect_uri, scope)
    bond = bond_for(discovery, client, wanted.options)
    request = authorization_request(
        replace(discovery, server=speaking_to(discovery.server, client)),
        client,
        redirect_uri,
        scope,
        wanted.options,
        state=Secret(edges.random()),
        verifier=Secret(edges.random()),
        dpop_jkt=bond.jkt,
    )
    edges.tell(
        "authorization-request",
        url=shown(discovery.server.authorization_endpoint),
        detail=f"scope {quoted(' '.join(scope))[1:-1]}" if scope else "no scope",
        rule="PKCE S256, state, resource (RFC 7636, 6749, 8707)"
        + (f", a key for {bond.key.algorithm} proofs (RFC 9449)" if bond.key else ""),
    )
    return PendingLogin(wanted, request, reused, bond)


def _pushed(pending: PendingLogin, edges: Edges) -> PendingLogin:
    """The request sent ahead to the server, where it wants that or the caller does."""
    if not pushes(pending.request.server, pending.wanted.options):
        return pending
    prover = edges.prover(pending.wanted.identity, pending.bond.kept)
    return replace(pending, request=edges.run(push(pending.request, prover)))


def finish(pending: PendingLogin, edges: Edges, answer: Answer) -> Credential:
    """Steps 12 and 13: a code for tokens, and the tokens into the storage."""
    request, wanted = pending.request, pending.wanted
    if isinstance(answer, TokenSet):
        tokens, client = answer, request.client
    else:
        tokens, client = redeem(edges, wanted.identity, pending.bond, answer)
    return keep(
        wanted,
        edges,
        request.server,
        client,
        tokens,
        pending.bond,
        resource=request.resource,
        scope=request.scope,
    )


def _beside(
    pending: PendingLogin, edges: Edges, prompt: Prompt, discovery: Discovery
) -> list[Racer]:
    """Who races with the browser: a device code, where the prompt wants one."""
    desk = code_desk(prompt)
    return [CodeBeside(pending.wanted, edges, desk, discovery, pending.bond)] if desk else []


def _ask(
    pending: PendingLogin, edges: Edges, visit: Visit, left: float, beside: Sequence[Racer]
) -> Answer:
    """Step 10 and 11. A second visit has what is `left` of the time, or a minute."""
    request, timeout = pending.request, pending.wanted.options.login_timeout
    edges.tell("sign-in", detail="waiting for the person in the browser")
    try:
        answer = visit.ask(request, min(timeout, max(left, _LEAST_PATIENCE)), *beside)
    except LoginFailed as error:
        if pending.reused and error.code == "timeout":
            # the server may have forgotten the client and shown its error page only
            forget_client(edges, request.client, request.redirect_uri)
        if error.code == "timeout" and request.pushed_for is not None:
            error.hint += f". The address was good for {request.pushed_for:.0f} s only"
        raise
    if isinstance(answer, TokenSet):
        where, rule = shown(request.server.token_endpoint), "for the device code (RFC 8628 §3.5)"
        edges.tell("token", url=where, detail=summary(answer), rule=rule)
        return answer
    rule = "state matches" + (", iss matches (RFC 9207)" if request.server.iss_promised else "")
    edges.tell("authorization-response", url=shown(request.redirect_uri), detail="code", rule=rule)
    return answer
