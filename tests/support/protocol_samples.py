"""A server, its authorization server, and transports that answer a flow from memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mcp_client_auth.errors import AuthError
from mcp_client_auth.protocol.challenge import Challenge
from mcp_client_auth.protocol.discovery import Discovery
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.protocol.metadata import (
    ResourceMetadata,
    ServerMetadata,
    read_resource_metadata,
    read_server_metadata,
)
from mcp_client_auth.protocol.probe import ServerAnswer
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.urls import Issuer, ServerUrl
from mcp_client_auth.secret import Secret

SERVER_URL = ServerUrl("https://mcp.example.com/mcp")
ISSUER = Issuer("https://auth.example.com")
REDIRECT = "http://127.0.0.1:8765/callback"
RESOURCE_PLACE = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
ROOT_PLACE = "https://mcp.example.com/.well-known/oauth-protected-resource"
SERVER_PLACE = ISSUER + "/.well-known/oauth-authorization-server"
PLANTED = "planted-secret-7f3a"


def answer(value: Any = b"", status: int = 200, url: str = ISSUER, **headers: str) -> HttpResponse:
    """An answer: bytes as they are, anything else as JSON. `retry_after` is `Retry-After`."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    pairs = tuple((name.replace("_", "-"), text) for name, text in headers.items())
    return HttpResponse(status, url, pairs, body)


def refused(challenge: Challenge | None = None, url: str = SERVER_URL) -> ServerAnswer:
    """The 401 of a server, at `url` after redirects."""
    return ServerAnswer(url, answer(b"", 401, url), challenge)


def html(status: int = 200) -> HttpResponse:
    return answer(b"<!DOCTYPE html><title>Sign in</title>", status, content_type="text/html")


class Script:
    """A transport that answers from a list and raises the errors in it."""

    def __init__(self, *answers: HttpResponse | AuthError) -> None:
        self._answers = list(answers)
        self.requests: list[HttpRequest] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return given(self._answers.pop(0))

    async def later(self, request: HttpRequest) -> HttpResponse:
        return self(request)


class Web:
    """A transport that answers by URL, and with 404 for unknown ones."""

    def __init__(self, pages: Mapping[str, HttpResponse | AuthError]) -> None:
        self._pages = pages
        self.requests: list[HttpRequest] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        page = given(self._pages.get(request.url, answer(b"", 404)))
        return replace(page, url=request.url)

    @property
    def asked(self) -> list[str]:
        return [request.url for request in self.requests]


def given(page: HttpResponse | AuthError) -> HttpResponse:
    if isinstance(page, AuthError):
        raise page
    return page


def changed(usual: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping with changes; `...` removes a key."""
    return {name: value for name, value in {**usual, **changes}.items() if value is not ...}


def resource_document(**changes: Any) -> dict[str, Any]:
    return changed({"resource": SERVER_URL, "authorization_servers": [ISSUER]}, changes)


def server_document(**changes: Any) -> dict[str, Any]:
    usual = {
        "issuer": ISSUER,
        "authorization_endpoint": ISSUER + "/authorize",
        "token_endpoint": ISSUER + "/token",
        "registration_endpoint": ISSUER + "/register",
        "code_challenge_methods_supported": ["S256"],
    }
    return changed(usual, changes)


def resource(**changes: Any) -> ResourceMetadata:
    return read_resource_metadata(SERVER_URL, answer(resource_document(**changes)))


def server(**changes: Any) -> ServerMetadata:
    return read_server_metadata(ISSUER, answer(server_document(**changes)))


def discovery(**changes: Any) -> Discovery:
    usual = Discovery(SERVER_URL, None, resource(), server(), SERVER_URL)
    return replace(usual, **changes)


def client(method: str = "none", secret: str = "", client_id: str = "c1") -> Client:
    return Client(
        client_id,
        ISSUER,
        "dynamic",
        method,
        Secret(secret) if secret else None,
        redirect_uris=(REDIRECT,),
    )
