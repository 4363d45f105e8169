"""The MCP request before and after a login: what the server requires, and whether that is met."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ..credential import Credential
from ..errors import AuthError, InsufficientScope, Remedy, TokenRefused, Untrusted
from ..events import Event, tell
from ..origin import shown
from ..protocol.challenge import Challenge
from ..protocol.discovery import resource_metadata
from ..protocol.flow import HttpResponse
from ..protocol.probe import ServerAnswer, ask_server
from ..protocol.scopes import OFFLINE, Scopes
from ..protocol.urls import ServerUrl
from ..secret import quoted
from .base import LoginConfig, Ports

_USUAL_CAUSES: Final = Remedy(
    "The server's operator has to fix this: token audience and issuer are the usual causes. If the"
    " authorization server has to be told the audience, pass {Options.audience}"
)
_IF_BOUND: Final = Remedy(
    "The server may not accept tokens that are bound to a key: try {login.force=True} without"
    " {Options.dpop=True}"
)


def probe(config: LoginConfig, ports: Ports, credential: Credential | None) -> ServerAnswer:
    """Steps 1 and 2 without a token, 14 and 15 with one: the same MCP request.

    Raises `TokenRefused` when the server answers 401 to a token.
    """
    answer = answer_to(config, ports, credential)
    if credential and answer.status == 401:
        raise fresh_token_refused(config.key.server, bound=credential.tokens.bound)
    return answer


def answer_to(config: LoginConfig, ports: Ports, credential: Credential | None) -> ServerAnswer:
    """Send the same request, and return its answer whatever it is."""
    names = ("authorized-request", "answer") if credential else ("request", "challenge")
    start = credential.endpoint(config.server_url) if credential else config.server_url
    ports.tell(names[0], url=start)
    answer = send_probe(config.server_url, ports, credential)
    detail = f"{answer.challenge.scheme} challenge" if answer.challenge else ""
    if credential and answer.status == 404:
        detail = "there is no MCP endpoint at this path"
    if answer.led_to:
        detail = f"redirects to {shown(answer.led_to)}, which is not followed"
    seconds = answer.response.seconds
    event = Event(names[1], answer.url, answer.status, detail, seconds=seconds)
    tell(ports.on_event, event)
    return answer


def send_probe(server_url: ServerUrl, ports: Ports, credential: Credential | None) -> ServerAnswer:
    """The answer to the MCP request; with a credential it begins where redirects led before."""
    if credential is None:
        return ports.run(ask_server(server_url))
    start = credential.endpoint(server_url)
    return ports.run(ask_server(server_url, ports.token_signer(credential), start=start))


def for_more_scope(server_url: ServerUrl, challenge: Challenge, sent: Credential) -> ServerAnswer:
    """The 403 to a request with a credential, as the next login sees it."""
    url = sent.endpoint(server_url)
    return ServerAnswer(url, HttpResponse(403, url), challenge)


def require_covered(server_url: ServerUrl, answer: ServerAnswer) -> None:
    """Raise `Untrusted` if redirects led to a place where no token of this login would be sent."""
    if server_url.covers(answer.url):
        return
    raise Untrusted(
        f"the server redirects to {shown(answer.url)}, which a login to {server_url.shown} does"
        " not cover",
        url=server_url,
        code="redirected",
        hint=f"Use that URL: {shown(answer.url)}",
    )


@contextmanager
def naming_redirect(answer: ServerAnswer) -> Iterator[None]:
    """Add to an error that the server redirects to another place, which was not followed."""
    try:
        yield
    except AuthError as error:
        where = shown(answer.led_to) if answer.led_to else ""
        if where and where not in f"{error.summary} {error.hint}":
            where_to = f"The server redirects to {where}, which was not followed"
            error.advised(error.remedy, where_to)
        raise


def token_refused(server: str) -> TokenRefused:
    """The error that ends a login in use; `LoginRequired` says what could not be tried."""
    return TokenRefused(
        "the server no longer accepts the access token, and it cannot be renewed",
        url=server,
        server=server,
        code="invalid_token",
        status=401,
    )


def fresh_token_refused(server: str, *, bound: bool = False) -> TokenRefused:
    return TokenRefused(
        "the server refuses the token that its authorization server has just issued",
        url=server,
        server=server,
        code="invalid_token",
        status=401,
        hint=Remedy.joined(_USUAL_CAUSES, _IF_BOUND if bound else ""),
    )


def missing_scopes(config: LoginConfig, ports: Ports, answer: ServerAnswer) -> Scopes:
    """What a 403 requires: the challenge's scopes, otherwise all that the resource lists.

    MCP "Scope Selection Strategy": the official SDK's server, for one, names none in its 403.
    """
    if answer.challenge and answer.challenge.scope is not None:
        return answer.challenge.scope
    metadata = ports.run(resource_metadata(config.server_url, answer, config.options, []))
    return (metadata.scopes_supported if metadata else None) or ()


def too_little_scope(credential: Credential, scope: Scopes) -> InsufficientScope:
    """The error if no more can be requested; it names what was requested and not granted."""
    server, granted = credential.key.server, credential.tokens.scope or ()
    given = {*granted, OFFLINE}
    withheld = [each for each in scope if each not in given]
    before = f" after {quoted(' '.join(scope))} was requested" if scope else ", and names none"
    lacking = f"; {quoted(' '.join(withheld))} was not granted" if withheld else ""
    return InsufficientScope(
        f"the server still requires more scope{before}{lacking}",
        url=server,
        server=server,
        requested=scope,
        granted=granted,
        hint="The account may lack the permission; when that has changed, run: "
        + credential.key.login_command(force=True),
    )
