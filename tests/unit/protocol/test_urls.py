from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_client_auth.errors import InsecureUrl, UsageError
from mcp_client_auth.origin import same_origin, shown
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.urls import (
    Endpoint,
    Issuer,
    ServerUrl,
    canonical,
    same_issuer,
    well_known,
)


@given(st.text())
def test_no_text_breaks_the_questions_about_urls(text: str) -> None:
    shown(text)
    assert not same_origin(text, "https://a/") or "a" in text.lower()
    ServerUrl("https://a/mcp").is_described_by(text)
    same_issuer(text, "https://a")
    assert not ServerUrl("https://a/").covers(text) or "a" in text.lower()


@pytest.mark.parametrize(
    "url", ["https://a/x", "http://localhost/x", "http://127.0.0.1:8080", "http://[::1]/"]
)
def test_https_and_loopback_are_secure(url: str) -> None:
    assert Endpoint.checked(url, "it") == url


@pytest.mark.parametrize(
    "url", ["http://a/x", "http://10.0.0.1/", "ftp://a/", "", "https://u@a/", "https://:@a/"]
)
def test_anything_else_is_not(url: str) -> None:
    with pytest.raises(InsecureUrl):
        Endpoint.checked(url, "it")


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_where_a_server_listens_is_not_where_it_is_reached(host: str) -> None:
    """What a development server prints, and what its metadata is made of."""
    with pytest.raises(InsecureUrl, match="where a server listens") as caught:
        ServerUrl.checked(f"http://{host}:8000/mcp")
    assert "127.0.0.1" in caught.value.hint
    assert "insecure" not in caught.value.hint


def test_http_is_accepted_where_the_caller_said_so_loudly() -> None:
    assert Endpoint.checked("http://a/", "it", Options(allow_insecure_http=True))
    with pytest.raises(InsecureUrl):
        Endpoint.checked("ftp://a/", "it", Options(allow_insecure_http=True))


def test_user_info_is_not_repeated() -> None:
    for url in ("https://user:planted@a/", "https://user:planted@a b/?q=planted#planted"):
        with pytest.raises(InsecureUrl) as caught:
            Endpoint.checked(url, "it")
        assert "planted" not in str(caught.value)
        with pytest.raises(UsageError) as usage:
            canonical(url)
        assert "planted" not in str(usage.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://A.Example:443/Mcp/", "https://a.example/Mcp"),
        ("https://a.example/", "https://a.example"),
        ("https://a.example//", "https://a.example"),
        ("https://a.example/mcp///?x", "https://a.example/mcp?x"),
        (" https://a.example/mcp#part ", "https://a.example/mcp"),
        ("http://localhost:8000/mcp?tenant=A", "http://localhost:8000/mcp?tenant=A"),
        ("https://a/mcp/?x=1", "https://a/mcp?x=1"),
    ],
)
def test_a_server_has_one_spelling(url: str, expected: str) -> None:
    assert canonical(url) == expected
    assert canonical(expected) == expected


@pytest.mark.parametrize(
    ("server", "resource"),
    [
        ("https://a/mcp", "https://a/mcp"),
        ("https://a/mcp", "https://a/mcp/"),
        ("https://a/mcp/", "https://a/mcp"),
        ("https://a/mcp", "https://A:443/mcp"),
        ("https://a/mcp/v1", "https://a/mcp"),
        ("https://a/mcp", "https://a"),
        ("https://a/mcp", "https://a/"),
        ("https://a", "https://a/"),
        ("https://a/mcp?tenant=1", "https://a/mcp"),
        ("https://a/mcp?tenant=1", "https://a/mcp?tenant=1"),
    ],
)
def test_a_resource_is_the_server_or_a_parent_of_it(server: str, resource: str) -> None:
    assert ServerUrl(server).is_described_by(resource)


@pytest.mark.parametrize(
    ("server", "resource"),
    [
        ("https://a/mcp", "https://b/mcp"),
        ("https://a/mcp", "http://a/mcp"),
        ("https://a/mcp", "https://a:8443/mcp"),
        ("https://a/mcp", "https://a/mc"),
        ("https://a/mcp", "https://a/mcp/v1"),
        ("https://a/mcp", "https://a/MCP"),
        ("https://a/mcp", "https://a/mcp#part"),
        ("https://a/mcp", "https://a/mcp?tenant=1"),
        ("https://a/mcp?tenant=1", "https://a/mcp?tenant=2"),
        ("https://a/mcp", "https://user@a/mcp"),
        ("https://a/mcp?x=1", "https://user@a/mcp?x=1"),
        ("https://a/mcp", "https://a.evil.example/mcp"),
        ("https://a/mcp", "nonsense"),
        ("https://a/mcp", "https://a/mcp//"),
    ],
)
def test_nothing_else_may_speak_for_it(server: str, resource: str) -> None:
    assert not ServerUrl(server).is_described_by(resource)


@pytest.mark.parametrize(
    ("server", "request_url", "expected"),
    [
        ("https://a/mcp", "https://a/mcp", True),
        ("https://a/mcp", "https://a/messages?session=1", True),
        ("https://a/mcp", "https://a", True),
        ("https://a", "https://a/anything", True),
        ("https://a/tenant-a/sse", "https://a/tenant-a/messages/", True),
        ("https://a/tenant-a/sse", "https://a/tenant-b/", False),
        ("https://a/tenant-a/sse", "https://a/tenant-a", False),
        ("https://a/tenant-a/", "https://a/tenant-a/x", True),
        ("https://a/tenant-a/", "https://a/tenant-a", True),
        ("https://a/mcp/", "https://a/mcp", True),
        ("https://a/mcp/", "https://a/other", False),
        ("https://a/t/mcp/", "https://a/t", False),
        ("https://a/tenant-a/", "https://a/tenant-ab", False),
        ("https://a/mcp", "https://b/mcp", False),
        ("https://a/mcp", "http://a/mcp", False),
        ("https://a/mcp", "https://a:8443/mcp", False),
        ("https://a/mcp", "https://A:443/mcp", True),
        ("https://a/mcp", "nonsense", False),
        ("https://a/t/sse", "https://a/t/../u", False),
        ("https://a/t/sse", "https://a/t/%2e%2e/u", False),
        ("https://a/t/sse", "https://a/t/.%2E/u", False),
        ("https://a/t/sse", "https://a/t/..%2fu", False),
        ("https://a/t/sse", "https://a/t/%2e%2e%5cu", False),
        ("https://a/t/sse", "https://a/t/..", False),
        ("https://a/t/sse", "https://a/t/..;/u", False),
        ("https://a/t/sse", "https://a/t/..;x=1/u", False),
        ("https://a/t/sse", "https://a/t/%2e%2e%3bx/u", False),
        ("https://a/t/sse", "https://a/t/x;..", True),
        ("https://a/t/sse", "https://a/t/a..b", True),
    ],
)
def test_a_token_goes_at_or_below_the_servers_directory(
    server: str, request_url: str, expected: bool
) -> None:
    assert ServerUrl(server).covers(request_url) is expected


@pytest.mark.parametrize(
    ("server", "request_url", "expected"),
    [
        ("https://a/mcp", "https://a/mcp", []),
        ("https://a/mcp", "https://A:443/mcp/", []),
        ("https://a/mcp", "https://a/mcp/b/c", ["https://a/mcp/b", "https://a/mcp/b/c"]),
        ("https://a/mcp", "https://a/mcp?x=1", ["https://a/mcp?x=1"]),
        ("https://a/mcp?x=1", "https://a/mcp", ["https://a/mcp"]),
        ("https://a", "https://a/b/c?x", ["https://a/b", "https://a/b/c", "https://a/b/c?x"]),
        ("https://a/long", "https://a/b/c", ["https://a/b/c"]),
        ("https://a/b//", "https://a/b//c/", ["https://a/b//c"]),
    ],
)
def test_the_logins_that_would_be_nearer_to_a_request(
    server: str, request_url: str, expected: list[str]
) -> None:
    assert ServerUrl(server).below(request_url) == expected


LONG = [piece * (60_000 // len(piece)) for piece in ("/", "a/", "%2e/", "a..b/", "..", "%41")]


@pytest.mark.parametrize("path", LONG, ids=[path[:4] for path in LONG])
def test_a_long_path_is_not_looked_up_piece_by_piece(path: str) -> None:
    deeper = ServerUrl("https://a/mcp").below(f"https://a/{path}?{path}")
    assert len(deeper) < 40
    assert all(canonical(url) == url for url in deeper)


def test_the_deepest_server_that_is_allowed_is_found_above_any_request() -> None:
    deepest = "https://a" + "/b" * 32
    assert canonical(deepest) == deepest
    assert deepest in ServerUrl("https://a/b").below(deepest + "/c" * 20_000)
    longest = "https://a/" + "b" * 2038
    assert canonical(longest) == longest
    assert longest in ServerUrl("https://a/b").below(longest + "/c" * 20_000)


@pytest.mark.parametrize(
    "path",
    ["/b" * 33, "/" + "b" * 2039, "/b?" + "q" * 2037],
    ids=["too deep", "too long", "too long a query"],
)
def test_a_server_url_that_no_request_would_find_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="longer than 2048 characters"):
        canonical("https://a" + path)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a", "https://a/.well-known/x"),
        ("https://a/", "https://a/.well-known/x"),
        ("https://A:443/mcp", "https://a/.well-known/x/mcp"),
        ("https://a/mcp/", "https://a/.well-known/x/mcp"),
        ("https://a/t/mcp?tenant=1", "https://a/.well-known/x/t/mcp?tenant=1"),
        ("https://a:8443/mcp#part", "https://a:8443/.well-known/x/mcp"),
    ],
)
def test_a_well_known_place_is_inserted_after_the_host(url: str, expected: str) -> None:
    assert well_known(url, "x") == expected


def test_an_issuer_with_a_path_has_three_places() -> None:
    for issuer in ("https://a/realms/one", "https://a/realms/one/"):
        assert Issuer(issuer).metadata_places() == [
            "https://a/.well-known/oauth-authorization-server/realms/one",
            "https://a/.well-known/openid-configuration/realms/one",
            "https://a/realms/one/.well-known/openid-configuration",
        ]


@pytest.mark.parametrize("issuer", ["https://a", "https://a/", "https://A:443"])
def test_an_issuer_without_a_path_has_two(issuer: str) -> None:
    assert Issuer(issuer).metadata_places() == [
        "https://a/.well-known/oauth-authorization-server",
        "https://a/.well-known/openid-configuration",
    ]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("https://a", "https://a", True),
        ("https://a", "https://a/", True),
        ("https://a/", "https://a", True),
        ("https://a/x", "https://a/x/", False),
        ("https://a", "https://A", False),
        ("https://a", "https://a:443", False),
        ("https://a", "https://a//", False),
        ("https://a", "http://a", False),
        ("https://a", "https://a/x", False),
        ("nonsense", "nonsense/", False),
    ],
)
def test_the_one_tolerance_is_the_slash_of_a_pathless_issuer(
    one: str, other: str, expected: bool
) -> None:
    assert same_issuer(one, other) is expected


@pytest.mark.parametrize("issuer", ["https://a?x", "https://a/#x", "https://a#", "https://u@a"])
def test_an_issuer_has_no_query_fragment_or_user_info(issuer: str) -> None:
    with pytest.raises(InsecureUrl):
        Issuer.checked(issuer, "the issuer")
