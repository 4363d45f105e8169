"""The short form of the figures: few hosts and logins, and nothing that a clock judges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mcp_client_auth.storage.sealed import new_key
from tests.slow.fleet.figures import FIGURES, SHORT, Figure
from tests.slow.fleet.scenes import Bed

PLAYED = [
    pytest.param(figure, kind, id=f"{figure.scene.__name__}-{kind}")
    for figure in FIGURES
    for kind in figure.short
]


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    with Bed(SHORT.hosts) as bed:
        yield bed


@pytest.mark.parametrize(("figure", "kind"), PLAYED)
def test_a_fleet_reaches_what_can_be_counted(
    figure: Figure, kind: str, bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", new_key().reveal())
    rows = list(figure.scene(bed, kind, SHORT))
    assert rows
    assert [row for row in rows if not (row.met or row.timed)] == []
