"""A server, a person who has logged in to it, and other processes that share the login."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Helpers beside the tests: they are not installed, and no package.
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from crowd_scene import Crowd, Scene, scene_of

from mcp_client_auth.storage import choose_storage
from mcp_client_auth.testing import Settings


@pytest.fixture
def settings() -> Settings:
    """Parametrise it to change the server."""
    return Settings()


@pytest.fixture(params=["file"])
def scene(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Scene]:
    """Logged in, nothing counted yet; `parametrize("scene", ["keyring"], indirect=True)`."""
    if request.param == "keyring":
        request.getfixturevalue("secret_service")
    with scene_of(choose_storage(request.param), settings) as scene:
        yield scene


@pytest.fixture
def crowd(scene: Scene) -> Iterator[Crowd]:
    with Crowd(scene) as crowd:
        yield crowd
