"""The page: whole by itself, and able to do nothing."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from mcp_client_auth.doctor.formats.html import html
from tests.support.doctor_reports import HOSTILE, URL, told

TOLD = dict(told())
VOID = {"meta"}


class Reader(HTMLParser):
    """The tags in order, whether each is closed, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("name", TOLD)
def test_a_page_is_well_formed_and_fetches_nothing(name: str) -> None:
    page = read(html([TOLD[name]], "2026-11-29"))
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "form", "base"}
    assert not [attrs for _, attrs in page.tags if {"src", "style", "onclick"} & attrs.keys()]
    assert all((attrs.get("href") or "#").startswith("#") for _, attrs in page.tags)
    said = " ".join(page.text)
    assert TOLD[name]["verdict"]["sentence"] in said
    for finding in TOLD[name]["findings"]:
        assert finding["came"] in said


def test_the_policy_of_the_page_allows_its_style_and_nothing_else() -> None:
    page = html([TOLD["well"]])
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    (policy,) = [a["content"] or "" for _, a in read(page).tags if "http-equiv" in a]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "url(" not in style
    assert "@import" not in style


def test_words_of_a_server_are_words() -> None:
    page = html([TOLD["hostile"]])
    assert "<script" not in page
    assert HOSTILE in " ".join(read(page).text)


def test_several_servers_have_contents() -> None:
    page = read(html([TOLD["broken"], TOLD["this machine"]]))
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert links == [f"#{each}" for each in ids]
    assert "2 MCP servers examined" in page.text


def test_what_a_client_would_meet_has_its_sources() -> None:
    said = " ".join(read(html([TOLD["others"]])).text)
    assert "step 4, resource-metadata" in said
    assert "vendor, 2026-11-28: claude.com docs" in said
    assert URL in said
