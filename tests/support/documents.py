"""The pages that people read: README.md and docs/, their code blocks, links and headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.support.python_path import ROOT

EXAMPLE = "https://mcp.example.com/mcp"  # the server of every snippet
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")


@dataclass(frozen=True)
class Page:
    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    def blocks(self, language: str) -> list[str]:
        return [text for kind, text in _BLOCK.findall(self.text) if kind == language]

    @property
    def prose(self) -> str:
        return _BLOCK.sub("", self.text)

    @property
    def links(self) -> list[str]:
        return [there or picture for there, picture in _LINK.findall(self.prose)]

    @property
    def anchors(self) -> set[str]:
        """The anchors of its headings, as GitHub and the site make them."""
        titles = re.findall(r"^#+ (.*)$", self.prose, re.MULTILINE)
        plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
        return {title.strip().replace(" ", "-") for title in plain}


def page(name: str) -> Page:
    return Page(ROOT / name)


PAGES = [
    Page(path)
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        ROOT / "CHANGELOG.md",
        *sorted(DOCS.rglob("*.md")),
    )
]
