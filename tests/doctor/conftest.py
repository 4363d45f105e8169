"""Servers that misbehave, and an examination of them in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

# Helpers beside the tests: they are not installed, and no package.
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from findings import Examine
from hostile import World

from mcp_client_auth.credential import key_for
from mcp_client_auth.doctor import Asked, Report, examine
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.storage.memory import MemoryStorage


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def examined(storage: MemoryStorage) -> Examine:
    """`examined(url, register=…, options=…)`: the report of one examination."""

    def look(url: str, **asked: object) -> Report:
        usual = Asked(storage, url, key_for(url), Options(http_timeout=5.0))
        return examine(replace(usual, **asked))  # type: ignore[arg-type]

    return look
