"""Who may pass to the listener, and which headers pass it."""

from __future__ import annotations

import pytest

from mcp_client_auth import Secret
from mcp_client_auth.mcp.gate import Gate, Headers, to_client, to_server

SECRET = "2x7Kq-s3cret-of-the-listener"
GATE = Gate({"127.0.0.1:4000", "localhost:4000"}, Secret(SECRET))
HOST = ("host", "127.0.0.1:4000")
BEARER = ("authorization", f"Bearer {SECRET}")
JSON = ("content-type", "application/json")
FINE = [HOST, BEARER, JSON]


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("POST", "/mcp", FINE),
        ("POST", "/mcp", [("host", "LOCALHOST:4000"), BEARER, JSON]),
        ("POST", "/mcp", [HOST, ("authorization", f"bearer  {SECRET}"), JSON]),
        ("POST", f"/{SECRET}/mcp", [HOST, ("content-type", "application/json; charset=utf-8")]),
        ("GET", f"/{SECRET}/mcp", [HOST, ("authorization", "Bearer another")]),
        ("DELETE", "/mcp", [HOST, BEARER]),
        ("DELETE", "/mcp", [HOST, BEARER, ("content-length", "0")]),
        ("GET", "/mcp", [HOST, BEARER, ("origin", "http://127.0.0.1:4000")]),
        ("GET", "/mcp", [HOST, BEARER, ("sec-fetch-site", "none")]),
    ],
)
def test_a_client_with_the_secret_may_pass(method: str, target: str, headers: Headers) -> None:
    assert GATE.refusal(method, target, headers) is None


@pytest.mark.parametrize(
    ("status", "method", "target", "headers"),
    [
        (421, "POST", "/mcp", [("host", "rebound.example:4000"), BEARER, JSON]),
        (421, "POST", "/mcp", [("host", "127.0.0.1"), BEARER, JSON]),
        (421, "POST", "/mcp", [("host", "127.0.0.1:4001"), BEARER, JSON]),
        (421, "POST", "/mcp", [BEARER, JSON]),
        (421, "POST", "/mcp", [HOST, HOST, BEARER, JSON]),
        (403, "POST", "/mcp", [*FINE, ("origin", "https://page.example")]),
        (403, "POST", "/mcp", [*FINE, ("origin", "null")]),
        (403, "POST", "/mcp", [*FINE, ("origin", "https://127.0.0.1:4000")]),
        (403, "POST", "/mcp", [*FINE, ("origin", "http://127.0.0.1:4000"), ("origin", "null")]),
        (403, "POST", "/mcp", [*FINE, ("sec-fetch-site", "cross-site")]),
        (403, "OPTIONS", "/mcp", [HOST, ("origin", "https://page.example")]),
        (401, "POST", "/mcp", [HOST, JSON]),
        (401, "POST", "/mcp", [HOST, ("authorization", "Bearer "), JSON]),
        (401, "POST", "/mcp", [HOST, ("authorization", f"Bearer {SECRET}x"), JSON]),
        (401, "POST", "/mcp", [HOST, ("authorization", f"Basic {SECRET}"), JSON]),
        (401, "POST", "/mcp", [HOST, BEARER, BEARER, JSON]),
        (401, "POST", "/mcp", [HOST, ("authorization", "Bearer \udcff\xff"), JSON]),
        (404, "POST", f"/{SECRET}x/mcp", FINE),
        (404, "POST", f"x{SECRET}/mcp", FINE),
        (404, "POST", f"/{SECRET}/mcp/", FINE),
        (404, "POST", f"/{SECRET}/mcp?a=b", FINE),
        (404, "POST", f"/{SECRET}/../mcp", FINE),
        (404, "POST", f"/{SECRET}/./mcp", FINE),
        (404, "POST", f"//{SECRET}/mcp", FINE),
        (404, "POST", f"/{SECRET}", FINE),
        (404, "POST", "/%2e%2e/mcp", FINE),
        (404, "POST", "http://127.0.0.1:4000/mcp", FINE),
        (404, "POST", "//mcp", FINE),
        (404, "OPTIONS", "*", FINE),
        (404, "GET", "/.well-known/oauth-protected-resource/mcp", FINE),
        (405, "OPTIONS", "/mcp", FINE),
        (405, "PUT", "/mcp", FINE),
        (405, "HEAD", "/mcp", FINE),
        (400, "POST", "/mcp", [*FINE, ("content-length", "1"), ("transfer-encoding", "chunked")]),
        (400, "POST", "/mcp", [*FINE, ("mcp-session-id", "a"), ("mcp-session-id", "b")]),
        (400, "POST", "/mcp", [*FINE, JSON]),
        (400, "GET", "/mcp", [HOST, BEARER, ("content-length", "1")]),
        (400, "DELETE", "/mcp", [HOST, BEARER, ("transfer-encoding", "chunked")]),
        (415, "POST", "/mcp", [HOST, BEARER]),
        (415, "POST", "/mcp", [HOST, BEARER, ("content-type", "text/plain")]),
    ],
)
def test_others_are_refused_and_nothing_of_theirs_is_repeated(
    status: int, method: str, target: str, headers: Headers
) -> None:
    refusal = GATE.refusal(method, target, headers)
    assert refusal
    assert refusal.status == status
    said = refusal.text + "".join(value for _, value in refusal.headers)
    assert SECRET not in said
    assert "page.example" not in said
    assert not any(name.lower().startswith("access-control") for name, _ in refusal.headers)


def test_only_headers_of_mcp_pass_to_the_server() -> None:
    sent = [
        *FINE,
        ("cookie", "a=b"),
        ("proxy-authorization", "Basic x"),
        ("dpop", "x"),
        ("x-forwarded-for", "10.0.0.1"),
        ("user-agent", "host"),
        ("accept", "application/json"),
        ("accept", "text/event-stream"),
        ("accept-encoding", "gzip"),
        ("mcp-session-id", "s"),
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-param-region", "eu"),
        ("last-event-id", "7"),
    ]
    assert to_server(sent) == {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-session-id": "s",
        "mcp-protocol-version": "2025-11-25",
        "mcp-param-region": "eu",
        "last-event-id": "7",
    }


def test_only_headers_of_mcp_pass_to_the_client() -> None:
    got = [
        ("content-type", "application/json"),
        ("set-cookie", "a=b"),
        ("www-authenticate", 'Bearer resource_metadata="https://x.example"'),
        ("authorization", "Bearer x"),
        ("access-control-allow-origin", "*"),
        ("location", "https://x.example"),
        ("content-encoding", "gzip"),
        ("content-length", "3"),
        ("mcp-session-id", "s"),
        ("mcp-odd", "a\nb"),
        ("retry-after", "3"),
    ]
    assert dict(to_client(got)) == {
        "content-type": "application/json",
        "mcp-session-id": "s",
        "retry-after": "3",
    }
