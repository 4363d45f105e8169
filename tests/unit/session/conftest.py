"""A world of its own for each test: no network, no thread but where one is named.

The world's clock stands still unless a test moves it or the session sleeps.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.session_world import World, without_threads


@pytest.fixture
def here_and_now() -> Iterator[None]:
    """What would run on a thread of its own runs before its caller goes on."""
    with without_threads():
        yield


@pytest.fixture
def world() -> World:
    return World()
