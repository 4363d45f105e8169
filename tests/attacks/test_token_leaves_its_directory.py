"""A redirect within the origin leads a request, and the token on it, out of the token's directory.

The host here follows redirects by itself and sends each request through the auth flow again, as
the official SDK has done since 2.3.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from mcp_client_auth import MCPAuth, MemoryStorage
from mcp_client_auth.credential import Credential, key_for
from mcp_client_auth.protocol.dpop import make_key
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.secret import Secret
from mcp_client_auth.session.knowledge import Send
from tests.support.loopback_server import LoopbackServer, says

TOKEN = "planted-secret-7f3a"


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return {"httpx": httpx, "httpx2": httpx2}[request.param]


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """A server that redirects `/a/mcp` to `/b/steal` and records its requests."""

    def answer(server: LoopbackServer, connection: socket.socket) -> None:
        path = server.requests[-1].split(" ")[1]
        status, *more = {
            "/a/mcp": ("307 Temporary Redirect", "Location: /b/steal"),
            "/b/steal": ("401 Unauthorized",),
        }.get(path, ("200 OK",))
        says(b"{}", status, "Connection: close", *more)(server, connection)

    with LoopbackServer(answer) as running:
        yield running


def authorized(url: str, *, bound: bool = False) -> MCPAuth:
    storage, client = MemoryStorage(), Client("c", "https://as.example", "dynamic", "none")
    key = make_key("ES256").kept if bound else None
    tokens = TokenSet(Secret(TOKEN), time.time(), time.time() + 600, bound=bound)
    issuer = "https://as.example"
    made = Credential(key_for(url), issuer, issuer + "/token", client, tokens, dpop_key=key)
    storage.save(made)
    return MCPAuth(url, storage=storage, prompt=None)


def sent(server: LoopbackServer) -> list[tuple[str, bool, bool]]:
    """The path of each request, whether it holds the token, and whether it holds a proof."""
    return [
        (each.split(" ")[1], TOKEN in each, "\r\ndpop:" in each.lower()) for each in server.requests
    ]


def following(library: Any, auth: Any, url: str, **arguments: Any) -> None:
    with library.Client(auth=auth, trust_env=False, **arguments) as client:
        response = client.post(url, json={})
        while response.next_request is not None:
            response = client.send(response.next_request)


def test_our_header_is_taken_off_where_the_token_does_not_belong(
    library: Any, server: LoopbackServer
) -> None:
    following(library, authorized(server.url + "/a/mcp"), server.url + "/a/mcp")
    assert sent(server) == [("/a/mcp", True, False), ("/b/steal", False, False)]


def test_a_proof_goes_with_it(library: Any, server: LoopbackServer) -> None:
    following(library, authorized(server.url + "/a/mcp", bound=True), server.url + "/a/mcp")
    assert sent(server) == [("/a/mcp", True, True), ("/b/steal", False, False)]


def test_the_official_sdk_takes_no_token_along(server: LoopbackServer) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def main() -> None:
        url = server.url + "/a/mcp"
        with anyio.fail_after(20):
            async with (
                httpx2.AsyncClient(auth=authorized(url), trust_env=False) as http,
                streamable_http_client(url, http_client=http) as (read, write),
                ClientSession(read, write) as session,
            ):
                await session.initialize()

    with pytest.raises(BaseExceptionGroup):  # the last 401
        anyio.run(main)
    assert [each for each in sent(server) if each[1]] == [("/a/mcp", True, False)]
    assert ("/b/steal", False, False) in sent(server)


def test_a_header_of_the_callers_own_is_left_alone(library: Any, server: LoopbackServer) -> None:
    auth = authorized(server.url + "/a/mcp")
    following(library, auth, server.url + "/a/mcp")
    with library.Client(auth=auth, trust_env=False) as client:
        client.get(server.url + "/b/steal", headers={"Authorization": "Bearer another-one"})
    assert "another-one" in server.requests[-1]


def test_an_older_token_of_ours_is_known_too(library: Any, server: LoopbackServer) -> None:
    """It was renewed while the redirect was under way."""
    auth = authorized(server.url + "/a/mcp")
    with library.Client(auth=auth, trust_env=False) as client:
        response = client.post(server.url + "/a/mcp", json={})
        newer = TokenSet(Secret("newer"), time.time(), time.time() + 600)
        held = auth.session.current()
        assert held is not None
        auth.session._renewal.hold(Send(held.renewed(newer), newer.expires_at or 0, "new"))
        client.post(server.url + "/a/mcp", json={})
        client.send(response.next_request)
    assert [token for _, token, _ in sent(server)] == [True, False, False]


def test_a_login_that_ended_meanwhile_leaves_no_header(
    library: Any, server: LoopbackServer
) -> None:
    auth = authorized(server.url + "/a/mcp")
    with library.Client(auth=auth, trust_env=False) as client:
        request = client.build_request("POST", server.url + "/a/other", json={})
        client.send(request)
        assert TOKEN in request.headers["Authorization"]
        auth.session.log_out(local=True)
        client.send(request)
    assert sent(server) == [("/a/other", True, False), ("/a/other", False, False)]
