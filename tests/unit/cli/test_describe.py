"""A stored login as people read it."""

from __future__ import annotations

import pytest

from mcp_client_auth.cli.describe import all_plain, expiry, plain
from mcp_client_auth.secret import MASK, Secret

URL = "https://mcp.example.com/mcp"
NOW = 1_900_000_000.0


@pytest.mark.parametrize(
    "text",
    ["", "https://ö.example", "a b", " a", "a ", "a\nb", "\x1b[31mred", "a\u202eb", "x" * 301],
)
def test_many_texts_are_made_plain_as_each_alone(text: str) -> None:
    for texts in ([text], [URL, text], [text, URL], [URL] * 200 + [text]):
        assert list(all_plain(texts)) == [plain(each) for each in texts]


def test_a_secret_is_hidden_among_many_texts() -> None:
    secret = Secret("hidden-among-many-texts-1")
    url = f"{URL}/{secret.reveal()}"
    assert list(all_plain([URL, url, URL])) == [URL, f"{URL}/{MASK}", URL]


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (-1, "(expired), renews at the next use"),
        (0, "(expired), renews at the next use"),
        (0.4, "(in 0 s), renews automatically"),
        (59.4, "(in 59 s), renews automatically"),
        (60, "(in 1 min), renews automatically"),
        (7199, "(in 120 min), renews automatically"),
        (7200, "(in 2 h), renews automatically"),
        (172_799, "(in 48 h), renews automatically"),
        (172_800, "(in 2 d), renews automatically"),
    ],
)
def test_an_expiry_is_told_by_the_clock_and_by_what_is_left(left: float, words: str) -> None:
    told = expiry(NOW + left, renewable=True, now=NOW)
    assert told.endswith(words)
    once = words.partition(",")[0] + (", log in again" if left <= 0 else "")
    assert expiry(NOW + left, renewable=False, now=NOW).endswith(once)
    assert told[:16] == expiry(NOW + left, renewable=False, now=NOW)[:16]
