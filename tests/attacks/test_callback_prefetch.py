"""A browser or scanner opens the link before the person does: the code is not used up."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from mcp_client_auth.prompt.loopback import Listener
from mcp_client_auth.prompt.page import Page


@pytest.fixture
def offered() -> list[str]:
    return []


@pytest.fixture
def callback(offered: list[str]) -> Iterator[str]:
    with Listener() as listener:

        def offer(query: str) -> bool:
            offered.append(query)
            listener.finish(Page("signed-in", "https://mcp.example.com/mcp", "work"))
            return True

        listener.start(offer)
        yield listener.redirect_uri + "?code=c&state=s"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Sec-Purpose", "Prefetch;anonymous-client-ip"),
        ("Purpose", "prefetch"),
        ("Purpose", "preview"),
        ("X-Moz", "prefetch"),
    ],
)
def test_a_prefetch_does_not_use_up_the_code(
    callback: str, offered: list[str], name: str, value: str
) -> None:
    ahead = httpx.get(callback, headers={name: value}, trust_env=False)
    assert ahead.status_code == 503
    assert ahead.headers["cache-control"] == "no-store"
    assert offered == []
    assert "Signed in" in httpx.get(callback, trust_env=False).text


def test_a_head_does_not_use_up_the_code(callback: str, offered: list[str]) -> None:
    ahead = httpx.head(callback, trust_env=False)
    assert (ahead.status_code, ahead.content, offered) == (405, b"", [])
    assert "Signed in" in httpx.get(callback, trust_env=False).text


def test_the_favicon_is_not_an_answer(callback: str, offered: list[str]) -> None:
    icon = httpx.get(httpx.URL(callback).join("/favicon.ico?code=c&state=s"), trust_env=False)
    assert icon.status_code == 404
    assert offered == []
    assert "Signed in" in httpx.get(callback, trust_env=False).text
