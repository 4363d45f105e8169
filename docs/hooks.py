"""What the site takes from outside of `docs`: the pages at the root, and the examples.

A page links to them where they are, so that its links work in a clone; on the site they are pages.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
EXAMPLES = "examples.md"
_OUTSIDE = re.compile(r"\]\((?:\.\./)*(examples/?[\w.]*|[A-Z]+\.md)")
_TESTS = re.compile(r"\[[^\]]*\]\((tests/[\w./]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, there in PAGES.items():
        text = (ROOT / name).read_text("utf-8").replace("](docs/", "](")
        files.append(File.generated(config, there, content=text))
    files.append(File.generated(config, EXAMPLES, content=_examples()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    markdown = _TESTS.sub(lambda found: f"`{found[1]}`", markdown)  # no page: its place in a clone
    return _OUTSIDE.sub(lambda found: f"]({_up(page)}{_page_of(found[1])}", markdown)


def _up(page: Page) -> str:
    depth: int = page.file.src_uri.count("/")
    return "../" * depth


def _page_of(target: str) -> str:
    if target in PAGES:
        return PAGES[target]
    name = Path(target).stem
    return EXAMPLES + (f"#{name}" if target.endswith(".py") else "")


def _examples() -> str:
    parts = ["# Examples\n\nEach calls a tool. Without arguments it says what it wants.\n"]
    for file in sorted((ROOT / "examples").iterdir()):
        if file.suffix == ".py":
            parts.append(f"## {file.stem}\n\n```python\n{file.read_text('utf-8')}```\n")
    return "\n".join(parts)
