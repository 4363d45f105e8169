"""A server, a person who has logged in to it, and other processes that share the login."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mcp_client_auth.storage import choose_storage
from mcp_client_auth.testing import Settings
from tests.slow.crowd.crowd_scene import Crowd, Scene, scene_of


@pytest.fixture(autouse=True)
def due_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """The margin before the end is drawn; here it is always the whole one."""
    monkeypatch.setattr("mcp_client_auth.session.renewal.draw", lambda: 1.0)


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
