"""The picture in README.md shows what the command says today, and both pictures show the same."""

from __future__ import annotations

import re
from html import unescape

from mcp_client_auth.testing import DemoServer
from tests.docs.record_login import PICTURES
from tests.support.inside import Inside

WAITS = ("Waiting for", "If at the end")  # only without a terminal, and only at one


def shown(name: str) -> str:
    """The rows as one text, because a long address fills several."""
    svg = (PICTURES / f"login-{name}.svg").read_text("utf-8")
    rows = re.findall(r"<text [^>]*>(.*?)</text>", svg)
    return "".join(unescape(re.sub(r"<[^>]*>", "", row)) for row in rows)


def same(text: str) -> str:
    """The text without what differs from one run to the next, and without whitespace."""
    text = re.sub(r"http://127\.0\.0\.1:\d+/oauth2/authorize\S*?S256", "ADDRESS", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "HOST", text)
    text = re.sub(r"demo-[0-9a-f]{16}", "CLIENT", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", text)
    text = re.sub(r"only you can read, in \S*?(?=\$|\n|$)", "only you can read, in HOME", text)
    return re.sub(r"\s", "", text)


def test_the_recording_is_what_the_command_says(inside: Inside) -> None:
    with DemoServer() as server:
        login = inside(server.url, "--name", "notes").err
        result = inside("call", "notes", "whoami").out
    lines = [line for line in login.splitlines() if line and not line.startswith(WAITS)]
    picture = same(shown("light"))
    for line in [*lines, *result.splitlines()]:
        assert same(line) in picture, "run: python -m tests.docs.record_login"


def test_both_pictures_show_the_same() -> None:
    assert shown("light") == shown("dark")
