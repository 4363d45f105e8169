from __future__ import annotations

import pytest

from mcp_client_auth.origin import (
    is_loopback,
    origin,
    origin_url,
    same_origin,
    shown,
    spelled,
    split,
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
    "url",
    [
        "https://a:planted-secret/",
        "https://[planted-secret]/",
        "https://[::planted-secret]/",
        "https://[1:planted-secret]/",
        "https://a:" + "9" * 10_000,
        "https://[" + "1:" * 10_000 + "]/",
    ],
)
def test_why_a_url_is_refused_repeats_nothing_of_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"its host|port") as caught:
        split(url)
    assert "planted" not in str(caught.value)
    assert len(str(caught.value)) < 100


def test_a_url_without_end_is_shown_in_part() -> None:
    url = "https://a.example" + "/" * 100_000
    for told in (shown(url), spelled(url), spelled(url + "?x")):
        assert told.startswith("https://a.example///")
        assert len(told) < 400
