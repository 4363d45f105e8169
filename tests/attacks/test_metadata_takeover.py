"""Metadata leads a login to the wrong party: another issuer, another resource, an evil endpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from mcp_client_auth.errors import AuthError, InsecureUrl, IssuerMismatch, ResourceMismatch
from mcp_client_auth.protocol.discovery import discover
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse, run
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.urls import ServerUrl

SERVER_URL = ServerUrl("https://mcp.example.com/tenant-a/mcp")
HONEST, EVIL = "https://auth.example.com", "https://evil.example"
RESOURCE = "https://mcp.example.com/.well-known/oauth-protected-resource/tenant-a/mcp"
SERVER = "/.well-known/oauth-authorization-server"


def resource(**changes: Any) -> dict[str, Any]:
    return {"resource": SERVER_URL, "authorization_servers": [HONEST], **changes}


def server(issuer: str = HONEST, **changes: Any) -> dict[str, Any]:
    ends = {"authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token"}
    return {"issuer": issuer, "code_challenge_methods_supported": ["S256"], **ends, **changes}


def find(pages: Mapping[str, Any], options: Options | None = None) -> tuple[AuthError, list[str]]:
    """Return the error that discovery ends in, and the URLs that it asked."""
    asked: list[str] = []

    def web(request: HttpRequest) -> HttpResponse:
        asked.append(request.url)
        assert not request.body
        if request.url not in pages:
            return HttpResponse(404, request.url)
        return HttpResponse(200, request.url, (), json.dumps(pages[request.url]).encode())

    with pytest.raises(AuthError) as caught:
        run(discover(SERVER_URL, None, options or Options()), web)
    return caught.value, asked


@pytest.mark.parametrize(
    "claimed",
    [
        EVIL,
        HONEST + ".evil.example",
        HONEST + "/x",
        HONEST.replace("https", "http"),
        HONEST + ":8443",
    ],
)
def test_an_issuer_cannot_pass_itself_off_as_another(claimed: str) -> None:
    error, asked = find({RESOURCE: resource(), HONEST + SERVER: server(claimed)})
    assert isinstance(error, IssuerMismatch)
    assert asked == [RESOURCE, HONEST + SERVER]


def test_an_evil_server_cannot_serve_the_metadata_of_an_honest_one() -> None:
    """Honest pages for the person, an evil endpoint for the code."""
    listed = resource(authorization_servers=[EVIL])
    mixed = server(HONEST, token_endpoint=EVIL + "/token")
    error, asked = find({RESOURCE: listed, EVIL + SERVER: mixed})
    assert isinstance(error, IssuerMismatch)
    assert HONEST + SERVER not in asked


@pytest.mark.parametrize(
    "claimed",
    [
        "https://mcp.example.com/tenant-b/mcp",
        "https://mcp.example.com/tenant",
        "https://victim.example/mcp",
        "https://mcp.example.com.evil.example/tenant-a/mcp",
        "https://mcp.example.com@evil.example/tenant-a/mcp",
        "http://mcp.example.com/tenant-a/mcp",
    ],
)
def test_a_server_cannot_ask_for_tokens_of_another_resource(claimed: str) -> None:
    error, asked = find({RESOURCE: resource(resource=claimed)})
    assert isinstance(error, ResourceMismatch)
    assert asked == [RESOURCE]


@pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint"])
@pytest.mark.parametrize(
    "url",
    [
        "http://auth.example.com/x",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
        "ms-msdt:/id",
        "-https://auth.example.com/x",
        "https://auth.example.com/x\nHost: evil",
        "https://auth.example.com/\x1b[2J",
        "https://auth.example.com\\@evil.example/",
        "https://user:pw@auth.example.com/",
    ],
)
def test_an_endpoint_is_a_plain_https_url(endpoint: str, url: str) -> None:
    error, _ = find({RESOURCE: resource(), HONEST + SERVER: server(**{endpoint: url})})
    assert isinstance(error, InsecureUrl)
    assert str(error).isprintable()


def test_a_pinned_issuer_is_not_taken_from_elsewhere() -> None:
    pinned = Options(issuer=HONEST)
    pages = {RESOURCE: resource(authorization_servers=[EVIL]), EVIL + SERVER: server(HONEST)}
    _, asked = find(pages, pinned)
    assert not [url for url in asked if url.startswith(EVIL)]
