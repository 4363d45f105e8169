"""A URL that our check and an HTTP library read as different hosts: the check looks at one, the
token goes to the other.
"""

from __future__ import annotations

import random
from typing import Any
from urllib.parse import urlsplit

import httpx
import httpx2
import pytest
import urllib3

from mcp_client_auth.errors import AuthError
from mcp_client_auth.origin import origin
from mcp_client_auth.protocol.urls import Endpoint, ServerUrl

GOOD, EVIL = "good.example", "evil.example"
TRICKS = [
    "https://good.example\\@evil.example/",
    "https://good.example#@evil.example/",
    "https://good.example?@evil.example/",
    "https://good.example;@evil.example/",
    "https://good.example%2f@evil.example/",
    "https://good.example%00.evil.example/",
    "https://good.example%2eevil.example/",
    "https://good.example:443@evil.example/",
    "https://good.example:@evil.example/",
    "https://@good.example@evil.example/",
    "https://good.example:443:80/",
    "https://good.example:80#:443/",
    "https://good.example:٤٤٣/",
    "https://good.example:+443/",
    "https://good.example: 443/",
    "https://good.example:0443/",
    "https://good.example。evil.example/",
    "https://good.example․evil.example/",
    "https://goòd.example/",
    "https://ⓖood.example/",
    "https://good.example\t.evil.example/",
    "https://good.example\n.evil.example/",
    "\thttps://good.example/",
    "https:/good.example/",
    "https:good.example/",
    "https:///good.example/",
    "https:\\\\good.example/",
    "https://good.example/\\..\\..\\@evil.example",
    "https://[::ffff:127.0.0.1]/",
    "https://[::1%25lo]/",
    "https://[::1%lo]/",
    "https://[v1.good]/",
    "https://[good.example]/",
    "https://good.example[::1]/",
    "https://[::1]good.example/",
    "https://[::1].good.example/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://2130706433/",
    "https://127.1/",
    "https://127.0.0.1./",
    "https://good.example../",
    "https://.good.example/",
    "https://good..example/",
    "https://GOOD.example/",
    "https://good.example./",
    "HTTPS://good.example/",
    "https://xn--good-.example/",
    "https://good.example/@evil.example/",
    "https://good.example/?u=https://evil.example",
    "https://good.example/#@evil.example",
    "https://good.example:443/",
    "https://good.example:65536/",
    "https://good.example:-1/",
]
PIECES = [*"/:@?#\\.%[];&= \t\n\r\0", "%2f", "%40", "%5c", "//", "443", "80", "[::1]", GOOD, EVIL]
LIBRARIES: dict[str, Any] = {"httpx": httpx, "httpx2": httpx2}


def random_urls(number: int) -> list[str]:
    chance = random.Random(20_790)
    return [
        "https://" + "".join(chance.choices([GOOD, EVIL, *PIECES], k=chance.randint(1, 9)))
        for _ in range(number)
    ]


def hosts(url: str) -> dict[str, tuple[str, int]]:
    """Where each library would connect to; one that refuses the URL is left out."""
    found: dict[str, tuple[str, int]] = {}
    for name, library in LIBRARIES.items():
        try:
            read = library.URL(url)
            found[name] = read.raw_host.decode("ascii").strip("[]").lower(), read.port or 443
        except (library.InvalidURL, UnicodeError):
            pass
    try:
        parsed = urllib3.util.parse_url(url)
        found["urllib3"] = (parsed.host or "").strip("[]").lower(), parsed.port or 443
    except urllib3.exceptions.LocationParseError:
        pass
    # a browser reads a backslash as a slash and drops tabs and line breaks
    plain = "".join(c for c in url if c not in "\t\r\n").replace("\\", "/")
    try:
        browsed = urlsplit(plain)
        found["a browser"] = (browsed.hostname or "").lower(), browsed.port or 443
    except ValueError:
        pass
    return found


def require_one_reading(url: str) -> bool:
    """Whether it passes a check of ours; if so, all libraries have to agree on its host."""
    passed = False
    for check in (lambda: Endpoint.checked(url, "the endpoint"), lambda: ServerUrl.checked(url)):
        try:
            checked = str(check())
        except AuthError:
            continue
        passed = True
        _, host, port = origin(checked)
        read = hosts(checked)
        assert "a browser" in read
        for who, there in read.items():
            assert there == (host, port), f"{who} reads {checked!r} otherwise"
    return passed


@pytest.mark.parametrize("url", TRICKS, ids=ascii)
def test_what_passes_our_check_is_one_host_to_all(url: str) -> None:
    require_one_reading(url)


def test_so_is_whatever_passes_it() -> None:
    assert sum(map(require_one_reading, random_urls(4000))) > 100
