"""Write the drawing of docs/architecture.md: `python -m tests.docs.write_architecture`.

It is made from the imports that `test_storeys` guards. An arrow that others imply is left out.
"""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import Final

from tests.docs.test_storeys import OURS, ROOMS, imported, module_of, place_of
from tests.support.python_path import ROOT

PAGE: Final = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- drawing: write_architecture -->\n", "<!-- end of drawing -->\n"
STOREYS: Final = {
    "front": "__main__ web api extending cli adapters doctor mcp testing",
    "session": "session",
    "grants": "grants",
    "edges": "keys storage prompt transport",
    "record": "credential",
    "protocol": "protocol",
    "ground": "paths threads events errors origin environment secret",
}


def drawing() -> str:
    lines = ["```mermaid", "flowchart TD"]
    for storey, rooms in STOREYS.items():
        lines.append(f"    subgraph storey_{storey} [{storey}]")
        lines += [f"        {_name(room)}" for room in rooms.split()]
        lines.append("    end")
    lines += [f"    {_name(room)} --> {_name(there)}" for room, there in arrows()]
    return "\n".join([*lines, "```", ""])


def arrows() -> list[tuple[str, str]]:
    """Which room imports which, without the arrows that others imply."""
    uses: dict[str, set[str]] = {room: set() for room in ROOMS.split()}
    for file in OURS:
        room = place_of(module_of(file))[0]
        uses[room] |= {place_of(module)[0] for module in imported(file)} - {room}
    reached: dict[str, set[str]] = {}
    for room in TopologicalSorter(uses).static_order():
        reached[room] = uses[room].union(*(reached[there] for there in uses[room]))
    return [
        (room, there)
        for room in ROOMS.split()
        for there in sorted(uses[room])
        if not any(there in reached[other] for other in uses[room] - {there})
    ]


def _name(room: str) -> str:
    return {"__main__": "main[__main__]"}.get(room, room)


def page(text: str) -> str:
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + drawing() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
