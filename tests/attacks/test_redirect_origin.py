"""A redirect leads a request, with what it carries, to another party."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mcp_client_auth import HttpTransport
from mcp_client_auth.errors import BadResponse
from mcp_client_auth.protocol.flow import HttpRequest
from tests.support.loopback_server import LoopbackServer, says

STATUSES = [301, 302, 303, 307, 308]
PLANTED = "planted-secret-7f3a"


@pytest.fixture
def elsewhere() -> Iterator[LoopbackServer]:
    with LoopbackServer(says()) as server:
        yield server


def redirecting(status: int, location: str) -> LoopbackServer:
    return LoopbackServer(says(b"", f"{status} Moved", f"Location: {location}"))


def answered(server: LoopbackServer, method: str = "GET") -> int:
    transport = HttpTransport(server.url)
    body = PLANTED.encode() if method == "POST" else b""
    try:
        headers = {"Authorization": PLANTED}
        return transport(HttpRequest(method, server.url + "/a/b", headers, body)).status
    finally:
        transport.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", STATUSES)
def test_no_redirect_leads_to_another_port(
    status: int, method: str, elsewhere: LoopbackServer
) -> None:
    with redirecting(status, elsewhere.url + "/x") as server:
        assert answered(server, method) == status
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "location",
    [
        "http://localhost:{port}/",
        "https://127.0.0.1:{port}/",
        "//evil.example/",
        "https://evil.example/",
        "file:///etc/passwd",
        "http://127.0.0.1:{port}@evil.example/",
        "http://[",
        "//[",
        "http://127.0.0.1:99999/",
        "\\\\evil.example\\",
        "",
        " ",
    ],
)
def test_no_redirect_leads_to_another_host_or_scheme_or_nowhere(location: str) -> None:
    server = LoopbackServer(says())
    server.behaviour = says(b"", "302 Found", "Location: " + location.format(port=server.port))
    with server:
        assert answered(server) == 302
        assert server.connections == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_place_that_is_not_http_is_not_followed(method: str) -> None:
    with redirecting(302, "javascript:alert(1)") as server:
        assert answered(server, method) == 302
        assert server.connections == 1


@pytest.mark.parametrize("status", STATUSES)
def test_a_post_is_never_repeated_even_to_its_own_origin(status: int) -> None:
    with redirecting(status, "/again") as server:
        assert answered(server, "POST") == status
        assert server.connections == 1


@pytest.mark.parametrize("location", ["/final", "final", "?x=1", "{url}/final"])
@pytest.mark.parametrize("status", STATUSES)
def test_a_get_is_followed_within_its_origin(status: int, location: str) -> None:
    server = LoopbackServer(says())
    first = says(b"", f"{status} Moved", "Location: " + location.format(url=server.url))
    server.behaviour = lambda s, c: (first if len(s.requests) == 1 else says())(s, c)
    with server:
        assert answered(server) == 200
        assert server.connections == 2


def test_a_followed_get_says_where_it_ended() -> None:
    server = LoopbackServer(says())
    first = says(b"", "302 Found", "Location: /final?x=1")
    server.behaviour = lambda s, c: (first if len(s.requests) == 1 else says())(s, c)
    with server:
        transport = HttpTransport(server.url)
        response = transport(HttpRequest("GET", server.url + "/first"))
        assert response.url == server.url + "/final?x=1"
        transport.close()


def test_redirects_that_never_end_are_cut() -> None:
    with redirecting(302, "/again") as server:
        with pytest.raises(BadResponse, match="redirected more than"):
            answered(server)
        assert server.connections == 5


@pytest.mark.parametrize("status", STATUSES)
def test_a_get_that_takes_no_redirect_gets_the_answer_itself(status: int) -> None:
    with redirecting(status, "/again") as server:
        transport = HttpTransport(server.url)
        request = HttpRequest("GET", server.url + "/a", redirects=False)
        assert transport(request).status == status
        assert server.connections == 1
        transport.close()
