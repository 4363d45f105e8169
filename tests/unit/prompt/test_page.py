from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from mcp_client_auth.prompt.page import HEADERS, Kind, Page, aside, neutral, render

SERVER = "https://mcp.example.com/mcp"
KINDS: tuple[Kind, ...] = ("signed-in", "denied", "failed", "again")
ALL = [
    *(pytest.param(render(Page(kind, SERVER, "work")), id=kind) for kind in KINDS),
    *(pytest.param(aside(status), id=str(status)) for status in (200, 400, 404, 410, 503)),
]


class Document(HTMLParser):
    """Tags, attributes and the text that a person reads."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words += "" if self.tags[-1:] == ["style"] else f"{data}\n"


@pytest.mark.parametrize("page", ALL)
def test_a_page_asks_for_nothing_and_runs_nothing(page: bytes) -> None:
    document = Document(page)
    assert not {"script", "link", "img", "iframe", "form", "a", "base"} & set(document.tags)
    assert not [n for n, _ in document.attributes if n.startswith("on") or n in ("src", "href")]
    assert "style" not in dict(document.attributes)
    assert b"url(" not in page
    assert b"@import" not in page


@pytest.mark.parametrize("page", ALL)
def test_a_page_can_be_read_by_everyone(page: bytes) -> None:
    document = Document(page)
    attributes = dict(document.attributes)
    assert attributes["lang"] == "en"
    assert attributes["content"] is not None
    assert "width=device-width" in page.decode()
    assert document.tags.count("h1") == document.tags.count("title") == 1
    assert document.tags.count("main") == 1
    assert attributes["aria-hidden"] == "true"
    assert "prefers-color-scheme:dark" in page.decode()
    assert "You can close this window." in document.words


@pytest.mark.parametrize("page", ALL)
def test_the_style_is_the_one_that_the_header_allows(page: bytes) -> None:
    style = re.search(rb"<style>(.*)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_names_the_server_and_the_account_label_and_no_person(kind: Kind) -> None:
    words = Document(render(Page(kind, SERVER, "work"))).words
    assert SERVER in words
    assert "Account label\n“work”" in words
    assert "signed in as" not in words.lower()


def test_each_end_has_words_of_its_own() -> None:
    said = {kind: Document(render(Page(kind, SERVER, "work"))).words for kind in KINDS}
    assert "can now use the server" in said["signed-in"]
    assert "granted no access" in said["denied"]
    assert "it says what went wrong" in said["failed"]
    assert "Go back to the program that started the login" in said["failed"]
    assert "did not accept this first answer" in said["again"]
    assert len(set(said.values())) == len(KINDS)


def test_names_that_are_not_known_are_left_out() -> None:
    document = Document(render(Page("failed", "", " ")))
    assert "dl" not in document.tags
    assert "Account" not in document.words


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "&lt;b>"])
def test_markup_in_a_name_is_text(text: str) -> None:
    plain = Document(render(Page("failed", "s", "a"))).tags
    document = Document(render(Page("failed", text, text)))
    assert document.tags == plain
    assert document.words.count(text) == 2
    assert Document(neutral(text, text)).tags == Document(neutral("a", "b")).tags


@pytest.mark.parametrize("control", ["\x00", "\x1b", "\n", "\u202e", "\u200b", "\x85", "\ufeff"])
def test_what_cannot_be_seen_is_made_visible(control: str) -> None:
    page = render(Page("signed-in", f"https://a{control}b", f"c{control}d")).decode()
    assert f"a{control}b" not in page
    assert f"c{control}d" not in page
    assert "https://a\ufffdb" in page
    assert "c\ufffdd" in page


def test_a_whole_host_name_is_seen_and_the_rest_is_cut() -> None:
    host = ".".join(["x" * 62] * 4)
    page = render(Page("signed-in", f"https://{host}/" + "p" * 5000, "l" * 5000))
    assert host in page.decode()
    assert page.decode().count("…") == 2
    assert len(page) < 8000


def test_a_lone_surrogate_does_not_cost_the_page() -> None:
    assert b"Signed in" in render(Page("signed-in", "https://a\ud800b", "\udfff"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("text", ["ink", "soft"])
def test_the_contrast_is_enough(scheme: str, text: str) -> None:
    style = render(Page("failed", "", "")).decode()
    rules = style.partition("@media(prefers-color-scheme:dark)")[0 if scheme == "light" else 2]
    colour = dict(re.findall(r"--(\w+):#(\w+)", rules.partition("}")[0]))
    light, dark = sorted((luminance(colour[text]), luminance(colour["card"])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2 §1.4.3


def luminance(colour: str) -> float:
    colour = "".join(c * 2 for c in colour) if len(colour) == 3 else colour
    parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
