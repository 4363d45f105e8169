"""A server that echoes foreign text lets that text pose as a part of its challenge."""

from __future__ import annotations

import pytest

from mcp_client_auth.errors import AuthError, BadResponse
from mcp_client_auth.protocol.discovery import discover
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse, run
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.probe import ServerAnswer, read_answer
from mcp_client_auth.protocol.urls import ServerUrl

SERVER_URL = ServerUrl("https://mcp.example.com/mcp")
EVIL = "https://evil.example/meta"
ECHOES = [
    f'Bearer error="invalid_token", error_description="no token resource_metadata={EVIL}"',
    f'Bearer error_description="\\", resource_metadata=\\"{EVIL}\\""',
    f'Bearer realm="a, Bearer resource_metadata={EVIL}"',
    f'Bearer realm="a", x-resource_metadata="{EVIL}"',
    f'Bearer realm="unterminated, resource_metadata={EVIL}',
    f'Basic realm="a", resource_metadata="{EVIL}"',
    f'Digest resource_metadata="{EVIL}", Bearer realm="a"',
    f"{EVIL}",
    f'"Bearer resource_metadata={EVIL}"',
]


def refused(header: str) -> ServerAnswer:
    response = HttpResponse(401, SERVER_URL, (("WWW-Authenticate", header),))
    return read_answer(SERVER_URL, response)


@pytest.mark.parametrize("header", ECHOES)
def test_nobody_goes_where_an_echo_points(header: str) -> None:
    asked: list[str] = []

    def nothing_anywhere(request: HttpRequest) -> HttpResponse:
        asked.append(request.url)
        return HttpResponse(404, request.url)

    run(discover(SERVER_URL, refused(header), Options()), nothing_anywhere)
    assert asked
    assert not [url for url in asked if "evil" in url]


@pytest.mark.parametrize("url", ["http://mcp.example.com/meta", "file:///etc/passwd", "//evil", ""])
def test_a_challenge_cannot_name_what_is_no_https_place(url: str) -> None:
    asked: list[str] = []

    def nothing_anywhere(request: HttpRequest) -> HttpResponse:
        asked.append(request.url)
        return HttpResponse(404, request.url)

    flow = discover(SERVER_URL, refused(f'Bearer resource_metadata="{url}"'), Options())
    if url:
        with pytest.raises(AuthError):
            run(flow, nothing_anywhere)
        assert asked == []
    else:
        assert run(flow, nothing_anywhere).server.source == "defaults"


def test_a_place_without_a_document_is_not_replaced_by_a_guess() -> None:
    flow = discover(SERVER_URL, refused(f'Bearer resource_metadata="{EVIL}"'), Options())
    with pytest.raises(BadResponse):
        run(flow, lambda request: HttpResponse(404, request.url))
