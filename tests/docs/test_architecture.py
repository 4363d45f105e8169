"""docs/architecture.md draws the imports as they are, and has a line for each room."""

from __future__ import annotations

import re

from tests.docs.test_storeys import ROOMS
from tests.docs.write_architecture import PAGE, STOREYS, page


def test_the_drawing_is_current() -> None:
    text = PAGE.read_text("utf-8")
    assert text == page(text), "run: python -m tests.docs.write_architecture"


def test_each_room_has_its_storey_and_its_line() -> None:
    rooms = sorted(" ".join(STOREYS.values()).split())
    assert rooms == sorted(ROOMS.split())
    table = re.findall(r"^\| (.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    named = {name.removesuffix(".py").rstrip("/") for name in re.findall(r"`([^`]+)`", str(table))}
    assert named == set(rooms)
