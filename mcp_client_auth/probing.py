"""The MCP request before a login and after it: what the server wants, and whether it has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from .binding import Binding
from .credential import Credential
from .errors import InsufficientScope, TokenRefused, quoted
from .events import Event, tell
from .protocol.challenge import Challenge, read_challenges, relevant
from .protocol.discovery import resource_metadata
from .protocol.flow import HttpRequest, HttpResponse
from .protocol.scopes import OFFLINE, Scopes
from .protocol.urls import shown
from .steps import Edges, Wanted

_NO_PROOF: Final[Mapping[str, str]] = {}


def probe(wanted: Wanted, edges: Edges, credential: Credential | None) -> Challenge | None:
    """Steps 1 and 2 without a token, 14 and 15 with one: the same MCP request.

    Raises `TokenRefused` when the server answers 401 to a token.
    """
    names = ("authorized-request", "answer") if credential else ("request", "challenge")
    where = shown(wanted.server_url)
    edges.tell(names[0], url=where)
    response = asked(wanted.server_url, edges, credential)
    challenge = relevant(read_challenges(response.header_values("www-authenticate")))
    detail = f"{challenge.scheme} challenge" if challenge else ""
    event = Event(names[1], where, response.status, detail, seconds=response.seconds)
    tell(edges.on_event, event)
    if credential and response.status == 401:
        raise fresh_token_refused(wanted.key.server, bound=credential.tokens.bound)
    return challenge if response.status == 401 else None


def asked(url: str, edges: Edges, credential: Credential | None) -> HttpResponse:
    """The answer to the MCP request; for a bound token to one with the nonce (RFC 9449 §9)."""
    if credential is None:
        return edges.transport(probe_request(url))
    token, binding = credential.tokens.access_token, bound_by(edges, credential)
    if binding is None:
        bearer = {"Authorization": "Bearer " + token.reveal()}
        return edges.transport(probe_request(url, bearer))
    response = edges.transport(probe_request(url, binding.headers(token, "POST", url)))
    if binding.heard_from_resource(response):
        response = edges.transport(probe_request(url, binding.headers(token, "POST", url)))
        binding.heard_from_resource(response)
    return response


def bound_by(edges: Edges, credential: Credential) -> Binding | None:
    """What signs the requests to the resource; None for a Bearer token."""
    key = credential.dpop_key
    return edges.binding(key) if key is not None and credential.tokens.bound else None


def fresh_token_refused(server: str, *, bound: bool = False) -> TokenRefused:
    causes = (
        "token audience and issuer are the usual causes. If its authorization server wants to be"
        " told the audience, pass --audience (Options(audience=…))"
    )
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


def lacking(wanted: Wanted, edges: Edges, challenge: Challenge) -> Scopes:
    """What a 403 wants: the challenge's scopes, else all that the resource lists.

    MCP "Scope Selection Strategy": the official SDK's server, for one, names none in its 403.
    """
    if challenge.scope is not None:
        return challenge.scope
    flow = resource_metadata(wanted.server_url, challenge, wanted.options, [])
    found = edges.run(flow)
    return (found.scopes_supported if found else None) or ()


def too_little_scope(held: Credential, scope: Scopes, command: str) -> InsufficientScope:
    """Nothing more can be asked for; what was asked for and not granted is named."""
    server, granted = held.key.server, held.tokens.scope or ()
    withheld = [each for each in scope if each not in (*granted, OFFLINE)]
    asked = f" after {quoted(' '.join(scope))} was asked for" if scope else ", and names none"
    said = f"; {quoted(' '.join(withheld))} was not granted" if withheld else ""
    return InsufficientScope(
        f"the server still wants more scope{asked}{said}",
        url=server,
        server=server,
        requested=scope,
        granted=granted,
        hint="The account may lack the permission; when that has changed, run: " + command,
    )


def probe_request(server_url: str, proof: Mapping[str, str] = _NO_PROOF) -> HttpRequest:
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
