"""pytest fixtures: `pytest_plugins = ["mcp_client_auth.testing.fixtures"]`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .browser import ScriptedBrowser
from .secret_service import INSTALL, SecretService
from .server import DemoServer
from .settings import Settings


@pytest.fixture
def mcp_server(request: pytest.FixtureRequest) -> Iterator[DemoServer]:
    """A running server; `parametrize("mcp_server", [Settings(…)], indirect=True)` sets it up."""
    settings: Settings = getattr(request, "param", Settings())
    with DemoServer(settings) as server:
        yield server


@pytest.fixture
def scripted_browser() -> Iterator[ScriptedBrowser]:
    """A person who allows everything."""
    browser = ScriptedBrowser()
    yield browser
    browser.join(5)


@pytest.fixture(scope="session")
def running_secret_service() -> Iterator[SecretService]:
    """One for the whole run; a test asks for `secret_service`."""
    if not SecretService.installed():
        pytest.skip(f"a Secret Service is needed: {INSTALL}")
    with SecretService() as service:
        yield service


@pytest.fixture
def secret_service(
    running_secret_service: SecretService, monkeypatch: pytest.MonkeyPatch
) -> SecretService:
    """An unlocked Secret Service is the OS keyring of the test and of what it starts."""
    from keyring.core import load_keyring

    for name, value in running_secret_service.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTHON_KEYRING_BACKEND", raising=False)
    # keyring looks once in a process, which may have been before this bus was there
    backend = load_keyring("keyring.backends.SecretService.Keyring")
    monkeypatch.setattr("keyring.core._keyring_backend", backend)
    return running_secret_service
