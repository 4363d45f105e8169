"""A person signs in at a browser: client, request, answer, tokens (RFC 6749 §4.1, 7636).

The flow is split where the person signs in: `begin` and `finish` neither listen nor wait, so that
an application can send the browser to its own page and finish in another process.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from ..errors import AuthError, BadResponse, TokenRefused, UsageError
from ..prompt.base import Visit, code_display
from ..prompt.race import Answer
from ..protocol.authorization import authorization_request, pushes
from ..protocol.client_choice import may_be_mixed_up, one_page_for_all
from ..protocol.pushed import push
from ..protocol.redirects import AppRedirect
from ..protocol.registration import proving_by_secret
from ..protocol.scopes import OFFLINE
from ..protocol.tokens import TokenSet, exchange, summary
from ..protocol.urls import same_issuer
from ..secret import Secret, quoted
from .base import Exchange, Granted, Login, Ports
from .clients import (
    callback,
    choose_client,
    forget_client,
    needs_consent,
    remember_consent,
    remember_proof,
    require_own_client,
    wants_proof,
)
from .device_code import CodeBeside
from .pending import PendingLogin, digest

_LEAST_PATIENCE: Final = 60.0
LONGEST: Final = 86_400.0  # seconds, for a login that no program waits for
_BINDING: Final = 32  # characters of base64url, 192 bits


def authorize(login: Login) -> Exchange:
    key, pending = login.config.key, None
    visit = login.person.visit(callback(login), key.server, key.account)
    login.enter(visit)
    while pending is None or not login.gathering.closes():  # others may join until then
        login.take_more()
        pending = begin(login, visit.redirect_uri)  # 7 to 9
    return partial(finish, pending, _answer(login, pending, visit))  # 10 and 11; 12 and 13


def begin(login: Login, redirect_uri: str) -> PendingLogin:
    """Steps 7 to 9: a client and an authorization request, which is pushed ahead to the server
    if the server or the caller requires it (RFC 9126)."""
    config, ports, discovery, scope = (
        login.config,
        login.ports,
        login.attempt.discovery,
        login.attempt.scope,
    )
    chosen = choose_client(login, discovery.server, redirect_uri)
    require_own_client(ports, discovery.server, chosen.client, config.options)
    dpop_choice = chosen.dpop_choice
    request = authorization_request(
        replace(discovery, server=chosen.server),
        chosen.client,
        redirect_uri,
        scope,
        config.options,
        state=Secret(ports.random()),
        verifier=Secret(ports.random()),
        dpop_jkt=dpop_choice.jkt,
        consent=needs_consent(ports, config.key, chosen.client),
        nonce=None if config.for_server else Secret(ports.random()),
    )
    ports.tell(
        "authorization-request",
        url=discovery.server.authorization_endpoint,
        detail=f"scope {quoted(' '.join(scope))[1:-1]}" if scope else "no scope",
        rule="PKCE S256, state, resource (RFC 7636, 6749, 8707)"
        + (", nonce (OIDC Core §3.1.2.1)" if request.nonce else "")
        + (f", a key for {dpop_choice.key.algorithm} proofs (RFC 9449)" if dpop_choice.key else ""),
    )
    if pushes(request.server, config.options):
        request = ports.run(push(request, ports.signer(config.identity, dpop_choice.kept)))
    ports.check_page(config, request.url)
    return PendingLogin(config, request, dpop_choice, discovery.final_url)


def begin_for_app(login: Login, redirect: AppRedirect) -> PendingLogin:
    """`begin` for a login whose response arrives at a page of the caller's application."""
    config, ports, server = login.config, login.ports, login.attempt.discovery.server
    vouched = same_issuer(config.options.issuer, server.issuer)
    if not (redirect.per_issuer or vouched) and may_be_mixed_up(server, config.options):
        raise one_page_for_all(server)
    uri = redirect.uri(server.issuer)
    carried = config.identity.redirect_uris if config.identity else ()
    if carried and login.attempt.kind != "dynamic" and uri not in carried:
        raise UsageError(
            f"the client is not registered for the redirect URI {uri}",
            hint=f"It has {quoted(' '.join(carried))}",
        )
    binding = Secret(ports.random()[:_BINDING])
    return replace(
        begin(login, uri),
        expires_at=ports.clock() + min(config.options.login_timeout, LONGEST),
        mark=redirect.mark(server.issuer),
        bound_to=digest(binding.reveal()),
        secret_binding=binding,
    )


def _answer(login: Login, pending: PendingLogin, visit: Visit) -> Answer:
    """Steps 10 and 11. A second visit gets the time that is left, but at least a minute."""
    ports, request, timeout = login.ports, pending.request, login.config.options.login_timeout
    display, dpop_choice = code_display(login.person), pending.dpop_choice
    if request.nonce:  # the ID token for a device code could not repeat the nonce
        display = None
    beside = (
        [CodeBeside(login.config, ports, display, login.attempt.discovery, dpop_choice)]
        if display
        else []
    )
    login.shows_page()
    ports.tell("sign-in", detail="waiting for the person in the browser")
    try:
        answer = visit.ask(request, min(timeout, max(login.left, _LEAST_PATIENCE)), *beside)
    except BaseException as error:
        # the person may have been shown a page for consent that leads nowhere
        remember_consent(ports, login.config.key, request.client, needed=False)
        unanswered = not isinstance(error, AuthError) or error.code in ("timeout", "aborted")
        if unanswered and login.chosen and login.chosen.reused:
            # the server may have forgotten the client and shown only an error page
            forget_client(ports, request.client, request.redirect_uri)
        raise
    if isinstance(answer, TokenSet):
        where, rule = request.server.token_endpoint, "for the device code (RFC 8628 §3.5)"
        ports.tell("token", url=where, detail=summary(answer), rule=rule)
        return answer
    named = request.server.iss_promised or request.iss_required
    rule = "state matches" + (", iss matches (RFC 9207)" if named else "")
    ports.tell("authorization-response", url=request.redirect_uri, detail="code", rule=rule)
    return answer


def finish(pending: PendingLogin, answer: Answer, ports: Ports) -> Granted:
    """Steps 12 and 13. The returned client records how it authenticated."""
    request, config, client = pending.request, pending.config, pending.request.client
    if isinstance(answer, TokenSet):  # a device code beside the browser was faster
        tokens = answer
    else:
        signer = ports.signer(config.identity, pending.dpop_choice.kept)
        try:
            tokens = ports.run(exchange(answer, ports.clock(), signer))
        except (TokenRefused, BadResponse) as error:
            proving = proving_by_secret(client, request.server) if wants_proof(error) else None
            if proving is None:
                raise
            # a refused client has not spent the code, so it can still be sent with the secret
            rule = "the secret that came with the registration is used, once"
            ports.tell("again", url=error.url, detail=error.summary, rule=rule)
            remember_proof(ports, proving, request.redirect_uri)  # first, in case the code is spent
            tokens, client = (
                ports.run(exchange(answer.presented_by(proving), ports.clock(), signer)),
                proving,
            )
    if OFFLINE in (request.scope or ()) and tokens.refresh_token is None:
        remember_consent(ports, config.key, client, needed=True)
    scope, resource = request.scope, request.resource
    choice, url = pending.dpop_choice, pending.final_url
    return Granted(tokens, client, request.server, resource, scope, choice, url)
