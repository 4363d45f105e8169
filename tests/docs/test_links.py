"""README.md is one short page, and every link between the pages leads somewhere."""

from __future__ import annotations

import re

import pytest

from mcp_client_auth.events import STEPS
from tests.support.documents import PAGES, Page, page

README = page("README.md")
MOST = 150


def test_the_readme_stays_short() -> None:
    assert len(README.text.splitlines()) <= MOST


@pytest.mark.parametrize("here", PAGES, ids=lambda here: here.name)
def test_each_link_leads_to_a_file_and_a_heading(here: Page) -> None:
    for link in here.links:
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        there = (here.path.parent / target).resolve() if target else here.path
        assert there.exists(), link
        if anchor:
            assert anchor in Page(there).anchors, link


def test_the_drawing_has_the_fifteen_steps_in_their_order() -> None:
    (drawing,) = README.blocks("mermaid")
    drawn = re.findall(r": (\d+) ([\w-]+)", drawing)
    assert [(int(number), name) for number, name in drawn] == list(enumerate(STEPS, 1))
