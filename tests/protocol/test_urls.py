from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_client_auth.errors import InsecureUrl, UsageError
from mcp_client_auth.protocol.urls import (
    canonical,
    covers,
    is_loopback,
    issuer_places,
    origin,
    origin_url,
    require_issuer,
    require_secure,
    resource_matches,
    same_issuer,
    same_origin,
    shown,
    split,
    well_known,
)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mcp.example.com",
        "/mcp",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https:///mcp",
        "https://a b/",
        "https://a/\n",
        "https://a/\x00",
        "https://a/\u202e",
        "https://bücher.example/",
        "https://a\\@b/",
        "https://a:port/",
        "https://a:99999/",
        "https://a:0/",
        "https://[::1/",
        "https://[v1.evil.example]/",
        "https://[::1%25lo]/",
        "https://a%2eb/",
        "https://a,b/",
        "https://a{b/",
        "https://a..b/",
        "https://.a/",
        "https://" + "a" * 64 + ".example/",
    ],
)
def test_what_is_no_plain_http_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its words are for people
        split(url)


@given(st.text())
def test_no_text_breaks_the_questions_about_urls(text: str) -> None:
    shown(text)
    assert not same_origin(text, "https://a/") or "a" in text.lower()
    resource_matches("https://a/mcp", text)
    same_issuer(text, "https://a")
    assert not covers("https://a/", text) or "a" in text.lower()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://A.Example", ("https", "a.example", 443)),
        ("http://a:80/x?y", ("http", "a", 80)),
        ("HTTPS://a:8443", ("https", "a", 8443)),
        ("https://[::1]:443/", ("https", "::1", 443)),
    ],
)
def test_an_origin_has_its_default_port_filled_in(url: str, expected: tuple[str, str, int]) -> None:
    assert origin(url) == expected


def test_an_origin_is_spelled_without_its_default_port() -> None:
    urls = ["https://A:443/x", "http://a:80", "https://a:8443/x", "https://[::1]/x"]
    assert [origin_url(url) for url in urls] == [
        "https://a",
        "http://a",
        "https://a:8443",
        "https://[::1]",
    ]


@pytest.mark.parametrize("other", ["http://a", "https://a:444", "https://b", "https://a.b", "x"])
def test_scheme_host_and_port_make_the_origin(other: str) -> None:
    assert same_origin("https://a/x", "https://A:443/y?z")
    assert not same_origin("https://a", other)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:pw@a.example/x?token=t#access_token=t", "https://a.example/x"),
        ("https://user:pw@a b/x?token=t", "“https://a b/x”"),
        ("https://a b/#access_token=t", "“https://a b/”"),
        ("https://a/\x1b[31m", "“https://a/ [31m”"),
    ],
)
def test_what_is_shown_of_a_url_holds_no_secret(url: str, expected: str) -> None:
    assert shown(url) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("[::1]", True),
        ("localhost.example.com", False),
        ("notlocalhost", False),
        ("127.0.0.1.example.com", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
    ],
)
def test_loopback_is_a_literal_or_a_name_that_means_it(host: str, expected: bool) -> None:
    assert is_loopback(f"http://{host}/") is expected


@pytest.mark.parametrize(
    "url", ["https://a/x", "http://localhost/x", "http://127.0.0.1:8080", "http://[::1]/"]
)
def test_https_and_loopback_are_secure(url: str) -> None:
    assert require_secure(url, "it") is url


@pytest.mark.parametrize(
    "url", ["http://a/x", "http://10.0.0.1/", "ftp://a/", "", "https://u@a/", "https://:@a/"]
)
def test_anything_else_is_not(url: str) -> None:
    with pytest.raises(InsecureUrl):
        require_secure(url, "it")


def test_http_is_accepted_where_the_caller_said_so_loudly() -> None:
    assert require_secure("http://a/", "it", allow_insecure_http=True)
    with pytest.raises(InsecureUrl):
        require_secure("ftp://a/", "it", allow_insecure_http=True)


def test_user_info_is_not_repeated() -> None:
    for url in ("https://user:planted@a/", "https://user:planted@a b/?q=planted#planted"):
        with pytest.raises(InsecureUrl) as caught:
            require_secure(url, "it")
        assert "planted" not in str(caught.value)
        with pytest.raises(UsageError) as usage:
            canonical(url)
        assert "planted" not in str(usage.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://A.Example:443/Mcp/", "https://a.example/Mcp"),
        ("https://a.example/", "https://a.example"),
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
    assert resource_matches(server, resource)


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
    assert not resource_matches(server, resource)


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
        ("https://a/t/sse", "https://a/t/a..b", True),
    ],
)
def test_a_token_goes_at_or_below_the_servers_directory(
    server: str, request_url: str, expected: bool
) -> None:
    assert covers(server, request_url) is expected


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
        assert issuer_places(issuer) == [
            "https://a/.well-known/oauth-authorization-server/realms/one",
            "https://a/.well-known/openid-configuration/realms/one",
            "https://a/realms/one/.well-known/openid-configuration",
        ]


@pytest.mark.parametrize("issuer", ["https://a", "https://a/", "https://A:443"])
def test_an_issuer_without_a_path_has_two(issuer: str) -> None:
    assert issuer_places(issuer) == [
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
        require_issuer(issuer, "the issuer")
