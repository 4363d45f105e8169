"""The fifteen steps, told once: find the server, get a client, ask the person, keep the tokens."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from .binding import Binding, Bindings, key_for_login, unbound
from .credential import ClientKey, Credential, Key
from .errors import (
    AuthError,
    AuthorizationDenied,
    IssuerMismatch,
    LoginFailed,
    StorageError,
    TokenRefused,
    quoted,
)
from .events import Event, Listener, tell
from .prompt import Prompt, Visit
from .protocol.authorization import (
    AuthorizationCode,
    AuthorizationRequest,
    authorization_request,
    require_code_grant,
)
from .protocol.challenge import Challenge, read_challenges, relevant
from .protocol.client_auth import PLAIN, Prover
from .protocol.discovery import Discovery, discover
from .protocol.dpop import choose_algorithm, demanded
from .protocol.flow import Flow, HttpRequest, HttpResponse, T, Transport, run
from .protocol.metadata import ServerMetadata
from .protocol.options import Options
from .protocol.redirects import Callback, callback_for, with_port_of
from .protocol.registration import (
    Client,
    ClientMetadataDocument,
    Identity,
    PreRegistered,
    metadata_document_client,
    pre_registered,
    register,
    way_to_client,
)
from .protocol.scopes import Scopes, choose, step_up
from .protocol.tokens import BOUND_ONLY, exchange, require_bound, revoke
from .protocol.urls import canonical, require_secure, same_issuer, shown, split
from .secret import Secret
from .storage import Storage

DEAD_CLIENT = ("invalid_client", "unauthorized_client")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a login is for. `server_url` is as it was typed; `key` holds its canonical form."""

    server_url: str
    key: Key
    identity: Identity = None
    scope: Scopes | None = None
    options: Options = field(default_factory=Options)


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

    def binding(self, key: Secret) -> Binding:
        """Who signs for a credential that is bound to `key`; `StorageError` where it is none."""
        return self.bindings.of(key, self.clock, self.random, self.storage.where)

    def bound(self, key: Secret | None, inner: Prover = PLAIN) -> Prover:
        """The same prover, with the proofs of a credential's key where there is one."""
        return inner if key is None else self.binding(key).beside(inner)

    def tell(self, name: str, *, url: str = "", detail: str = "", rule: str = "") -> None:
        tell(self.on_event, Event(name, url, detail=detail, rule=rule))


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """A login that waits for its authorization response.

    `dpop_key`: what its tokens are to be bound to; `bound_only`: the resource takes no others.
    """

    wanted: Wanted
    request: AuthorizationRequest
    reused: bool = False
    dpop_key: Secret | None = None
    bound_only: bool = False


def log_in(
    wanted: Wanted,
    edges: Edges,
    prompt: Prompt,
    challenge: Challenge | None,
    *,
    scope: Scopes | None = None,
    on_visit: Callable[[Visit], None] = lambda visit: None,
) -> Credential:
    """Steps 3 to 13, with a person; nothing stored changes before the tokens are there.

    `scope` overrides the choice, which else keeps what was gained before.
    """
    edges.storage.check()
    discovery = find(wanted, edges, challenge)
    callback = _callback(wanted, edges, discovery)
    with prompt.visit(callback, wanted.key.server, wanted.key.account) as visit:
        on_visit(visit)
        try:
            asked = scope if scope is not None else _choice(wanted, edges, discovery)
            pending = begin(wanted, edges, discovery, visit.redirect_uri, scope=asked)
            code = _ask(pending, edges, visit)
            credential = finish(pending, edges, code)
        except AuthorizationDenied:
            visit.end("denied")
            raise
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


def probe(wanted: Wanted, edges: Edges, credential: Credential | None) -> Challenge | None:
    """Steps 1 and 2 without a token, 14 and 15 with one: the same MCP request.

    Raises `TokenRefused` when the server answers 401 to a token.
    """
    names = ("authorized-request", "answer") if credential else ("request", "challenge")
    where = shown(wanted.server_url)
    edges.tell(names[0], url=where)
    response = _probed(wanted, edges, credential)
    challenge = relevant(read_challenges(response.header_values("www-authenticate")))
    detail = f"{challenge.scheme} challenge" if challenge else ""
    event = Event(names[1], where, response.status, detail, seconds=response.seconds)
    tell(edges.on_event, event)
    if credential and response.status == 401:
        raise fresh_token_refused(wanted.key.server, bound=credential.tokens.bound)
    return challenge if response.status == 401 else None


def _probed(wanted: Wanted, edges: Edges, credential: Credential | None) -> HttpResponse:
    """The answer to the MCP request; for a bound token to one with the nonce (RFC 9449 §9)."""
    url = wanted.server_url
    if credential is None:
        return edges.transport(_probe_request(url, {}))
    token, binding = credential.tokens.access_token, bound_by(edges, credential)
    if binding is None:
        bearer = {"Authorization": "Bearer " + token.reveal()}
        return edges.transport(_probe_request(url, bearer))
    response = edges.transport(_probe_request(url, binding.headers(token, "POST", url)))
    if binding.heard_from_resource(response):
        response = edges.transport(_probe_request(url, binding.headers(token, "POST", url)))
        binding.heard_from_resource(response)
    return response


def bound_by(edges: Edges, credential: Credential) -> Binding | None:
    """What signs the requests to the resource; None for a Bearer token."""
    key = credential.dpop_key
    return edges.binding(key) if key is not None and credential.tokens.bound else None


def fresh_token_refused(server: str, *, bound: bool = False) -> TokenRefused:
    causes = "token audience and issuer are the usual causes"
    if bound:
        causes += ". It may not take tokens that are bound to a key: try --force without --dpop"
    return TokenRefused(
        "the server refuses the token that its authorization server has just issued",
        url=server,
        server=server,
        code="invalid_token",
        status=401,
        hint="The operator must mend this: " + causes,
    )


def sign_out(edges: Edges, credential: Credential) -> bool:
    """Whether the server has ended the grant: its refresh token, else its access token."""
    endpoint, tokens = credential.revocation_endpoint, credential.tokens
    pairs = [(tokens.refresh_token, "refresh_token"), (tokens.access_token, "access_token")]
    done = []
    for token, hint in pairs:
        if token is None or not endpoint:
            continue
        try:
            prover = edges.bound(credential.dpop_key)
            done.append(edges.run(revoke(credential, token, hint, prover)))
        except AuthError as error:
            edges.tell("revocation", url=shown(endpoint), detail=f"{hint}: {error.summary}")
            done.append(False)
    return bool(done) and done[0]


def find(wanted: Wanted, edges: Edges, challenge: Challenge | None) -> Discovery:
    """Steps 3 to 6. An authorization server that cannot serve the login is refused here."""

    require_server(wanted.server_url, wanted.options)

    def usable(server: ServerMetadata) -> None:
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
    """A client that the caller supplied belongs to the issuer that it was first used with."""
    supplied = wanted.identity
    if isinstance(supplied, PreRegistered) and supplied.client_id == held.client.client_id:
        raise IssuerMismatch(
            f"the server now names another authorization server, but the client"
            f" {quoted(supplied.client_id, 60)} belongs to {shown(held.issuer)}",
            url=shown(server.issuer),
            hint="If the operator confirms the move, pass the client that he registered there,"
            " and its issuer (--issuer, Options(issuer=…)); the old login was kept",
        )


def _choice(wanted: Wanted, edges: Edges, discovery: Discovery) -> Scopes | None:
    """What to ask for; at the same issuer also all that was asked for and given before."""
    asked, held = choose(discovery, wanted.scope), readable(edges.storage, wanted.key)
    if held is None or not same_issuer(held.issuer, discovery.server.issuer):
        return asked
    return step_up(held.requested or (), held.tokens.scope or (), asked or ()) or None


def begin(
    wanted: Wanted,
    edges: Edges,
    discovery: Discovery,
    redirect_uri: str,
    *,
    scope: Scopes | None,
) -> PendingLogin:
    """Steps 7 to 9: a client and an authorization request."""
    client, reused = _client(wanted, edges, discovery, redirect_uri, scope)
    key = key_for_login(discovery, client, wanted.options)
    request = authorization_request(
        discovery,
        client,
        redirect_uri,
        scope,
        wanted.options,
        state=Secret(edges.random()),
        verifier=Secret(edges.random()),
        dpop_jkt=key.jkt if key else "",
    )
    edges.tell(
        "authorization-request",
        url=shown(discovery.server.authorization_endpoint),
        detail=f"scope {quoted(' '.join(scope))[1:-1]}" if scope else "no scope",
        rule="PKCE S256, state, resource (RFC 7636, 6749, 8707)"
        + (f", a key for {key.algorithm} proofs (RFC 9449)" if key else ""),
    )
    kept = key.kept if key else None
    return PendingLogin(wanted, request, reused, kept, demanded(discovery))


def finish(pending: PendingLogin, edges: Edges, code: AuthorizationCode) -> Credential:
    """Steps 12 and 13: the code for tokens, and the tokens into the storage."""
    request, wanted = pending.request, pending.wanted
    try:
        prover = edges.bound(pending.dpop_key)
        tokens = edges.run(exchange(code, edges.clock(), prover))
    except TokenRefused as error:
        if error.code in DEAD_CLIENT:
            forget_client(edges, request.client, request.redirect_uri)
        raise
    if pending.bound_only:
        require_bound(tokens, request.server.token_endpoint)
    elif pending.dpop_key and (said := unbound(tokens)):
        edges.tell("notice", url=shown(request.server.token_endpoint), detail=said)
    fresh = Credential(
        key=wanted.key,
        issuer=request.server.issuer,
        token_endpoint=request.server.token_endpoint,
        client=request.client,
        tokens=tokens,
        resource=request.resource,
        revocation_endpoint=request.server.revocation_endpoint,
        requested=request.scope,
        options=wanted.options.kept() | ({BOUND_ONLY: True} if pending.bound_only else {}),
        dpop_key=pending.dpop_key,
    )
    with edges.storage.lock(wanted.key):
        stored = readable(edges.storage, wanted.key)
        kept = replace(fresh, generation=stored.generation + 1 if stored else 0)
        edges.storage.save(kept)
    edges.tell("storage", detail=f"kept in {edges.storage.where}")
    return kept


def readable(storage: Storage, key: Key) -> Credential | None:
    """What is stored; a damaged record counts as none where a login is about to replace it."""
    try:
        return storage.load(key)
    except StorageError as error:
        if error.code != "damaged_record":
            raise
        return None


def forget_client(edges: Edges, client: Client, redirect_uri: str) -> None:
    """Drop a registration that the server no longer knows; only that one."""
    if client.kind != "dynamic":
        return
    key = _client_key(client.issuer, redirect_uri)
    with edges.storage.lock(key, "client"):
        stored = edges.storage.load_client(key)
        if stored and stored.client_id == client.client_id:
            edges.storage.delete_client(key)


def _ask(pending: PendingLogin, edges: Edges, visit: Visit) -> AuthorizationCode:
    request = pending.request
    edges.tell("sign-in", detail="waiting for the person in the browser")
    try:
        code = visit.ask(request, pending.wanted.options.login_timeout)
    except LoginFailed as error:
        if pending.reused and error.code == "timeout":
            # the server may have forgotten the client and shown its error page only
            forget_client(edges, request.client, request.redirect_uri)
        raise
    rule = "state matches" + (", iss matches (RFC 9207)" if request.server.iss_promised else "")
    edges.tell("authorization-response", url=shown(request.redirect_uri), detail="code", rule=rule)
    return code


def _callback(wanted: Wanted, edges: Edges, discovery: Discovery) -> Callback:
    issuer = discovery.server.issuer
    dynamic = way_to_client(wanted.identity, discovery.server) == "dynamic"
    callback = callback_for(wanted.identity, dynamic, issuer, wanted.options)
    if not dynamic:
        return callback
    return with_port_of(callback, edges.storage.load_client(ClientKey(issuer, callback.template)))


def _client(
    wanted: Wanted, edges: Edges, discovery: Discovery, redirect_uri: str, scope: Scopes | None
) -> tuple[Client, bool]:
    """The client to use, and whether it is a registration that was used before."""
    server, identity = discovery.server, wanted.identity
    kind = way_to_client(identity, server)
    if kind == "pre-registered" and isinstance(identity, PreRegistered):
        return pre_registered(identity, server, wanted.options), False
    if kind == "metadata-document" and isinstance(identity, ClientMetadataDocument):
        return metadata_document_client(identity, server), False
    key = _client_key(server.issuer, redirect_uri)
    with edges.storage.lock(key, "client"):
        stored = edges.storage.load_client(key)
        if stored and _serves(stored, redirect_uri, scope, edges.clock()):
            edges.tell("registration", url=shown(server.issuer), rule="a kept registration is used")
            return stored, True
        client = edges.run(register(server, redirect_uri, scope, wanted.options))
        with suppress(AuthError):  # the credential holds its client; the next login can register
            edges.storage.save_client(key, client)
        return client, False


def _serves(client: Client, redirect_uri: str, scope: Scopes | None, now: float) -> bool:
    within = set(scope or ()) <= set(client.scope)
    return redirect_uri in client.redirect_uris and within and not client.expired(now)


def _client_key(issuer: str, redirect_uri: str) -> ClientKey:
    parts = split(redirect_uri)
    return ClientKey(issuer, Callback(parts.hostname or "", 0, parts.path).template)


def _probe_request(server_url: str, proof: Mapping[str, str]) -> HttpRequest:
    """An MCP `initialize`, which every revision before 2026-07-28 answers and that one refuses."""
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "mcp-login", "version": "1"},
        },
    }
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        **proof,
    }
    return HttpRequest("POST", server_url, headers, json.dumps(message).encode())
