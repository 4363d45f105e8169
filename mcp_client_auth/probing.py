"""The MCP request before a login and after it: what the server wants, and whether it has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from .binding import Binding
from .credential import Credential
from .errors import TokenRefused
from .events import Event, tell
from .protocol.challenge import Challenge, read_challenges, relevant
from .protocol.flow import HttpRequest, HttpResponse
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
