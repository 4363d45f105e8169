"""The remedies are for who runs the server, whole sentences, and for every client."""

from __future__ import annotations

import re
import shlex

import pytest

from mcp_client_auth.doctor.faults import places
from mcp_client_auth.doctor.products import product_of
from mcp_client_auth.doctor.remedies import FIXES, fix
from mcp_client_auth.protocol.flow import HttpResponse

URL = "https://mcp.example.com/api/mcp"
# what makes a client forgive, in any spelling
FORGIVING = re.compile(
    r"--(?:issuer|resource|assume|allow|insecure)|allow_insecure|assume_pkce|verify=False"
)


@pytest.mark.parametrize("fault", FIXES)
def test_a_row_says_why_and_what_to_change_and_weakens_no_client(fault: str) -> None:
    products = ("", *FIXES[fault].products)
    for product in products:
        why, change, paste = fix(fault, product, places(URL))
        assert why
        assert change
        assert not change.endswith(".")
        assert "{" not in why + change
        assert not FORGIVING.search(why + change + paste)


def test_a_line_to_paste_has_the_values_of_the_server() -> None:
    _, _, paste = fix("no-challenge", "", places(URL))
    where = "https://mcp.example.com/.well-known/oauth-protected-resource/api/mcp"
    assert paste == f'WWW-Authenticate: Bearer resource_metadata="{where}"'


@pytest.mark.parametrize("fault", ["document-broken", "document-compression", "issuer-absent"])
def test_a_url_of_a_server_is_one_word_of_a_command(fault: str) -> None:
    url = "https://as.example/$(touch${IFS}x);'"
    _, _, paste = fix(fault, "", {**places(URL), "url": url, "expected": url})
    assert url in shlex.split(paste)


def test_the_product_in_front_has_lines_of_its_own() -> None:
    assert "proxy_pass_header" in fix("no-challenge", "nginx", places(URL))[2]
    assert "x-amzn-Remapped" in fix("challenge-renamed", "AWS API Gateway", places(URL))[2]


@pytest.mark.parametrize("fault", FIXES)
def test_a_location_of_nginx_still_leads_to_the_application(fault: str) -> None:
    _, _, paste = fix(fault, "nginx", places(URL))
    assert paste.count("location ") <= paste.count("proxy_pass http")  # or nginx looks for a file


def test_a_mount_prefix_is_in_base_url_alone() -> None:
    _, _, paste = fix("metadata-mounted", "", {**places(URL), "mount": "/api", "below": "/mcp"})
    assert 'base_url="https://mcp.example.com/api"' in paste
    assert "mcp_path='/mcp'" in paste
    assert "Mount('/api'" in paste


def test_lines_for_the_token_endpoint_name_no_path_of_the_mcp_server() -> None:
    for product in ("", *FIXES["token-blocked"].products):
        assert "/api/mcp" not in fix("token-blocked", product, places(URL))[2]


def test_no_line_trusts_every_proxy() -> None:
    for product in ("", *FIXES["http-urls"].products):
        paste = fix("http-urls", product, places(URL))[2]
        assert 'base_url="https://mcp.example.com"' in paste
        assert "*" not in paste


def test_braces_of_a_server_are_no_places() -> None:
    why, _, _ = fix("unknown-host", "", {"host": "{0.__class__}"})
    assert "{0.__class__}" in why


@pytest.mark.parametrize(
    ("header", "product"),
    [
        (("Server", "nginx/1.25"), "nginx"),
        (("CF-RAY", "8a1"), "Cloudflare"),
        (("x-vercel-id", "fra1"), "Vercel"),
        (("x-amzn-Remapped-WWW-Authenticate", "Bearer"), "AWS API Gateway"),
        (("Via", "1.1 Caddy"), "Caddy"),
        (("ngrok-error-code", "ERR_NGROK_3200"), "ngrok"),
        (("Via", "kong/3.4"), "Kong"),
        (("Server", "uvicorn"), ""),
    ],
)
def test_a_product_is_known_by_its_headers(header: tuple[str, str], product: str) -> None:
    assert product_of(HttpResponse(401, URL, (header,))) == product
