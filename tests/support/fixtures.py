"""The fixtures for tests of every room; a room's own fixture of the same name wins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_client_auth.credential import key_for
from mcp_client_auth.doctor import Report, Subject, examine
from mcp_client_auth.prompt import loopback
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.storage.memory import MemoryStorage
from mcp_client_auth.testing import DemoServer, Settings
from mcp_client_auth.testing.secret_service import INSTALL, SecretService
from tests.support.findings import Examine
from tests.support.hostile import World
from tests.support.inside import Inside
from tests.support.ports import free_port
from tests.support.report_schema import require_published_shape
from tests.support.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """`mcp-login` as a process; a test that uses it is slow."""
    return Terminal(tmp_path)


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """The command, run in this process."""
    return Inside(tmp_path, monkeypatch)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[DemoServer]:
    """A running server; `parametrize("server", [Settings(…)], indirect=True)` sets it up."""
    settings: Settings = getattr(request, "param", Settings())
    with DemoServer(settings) as server:
        yield server


@pytest.fixture(scope="module")
def module_server() -> Iterator[DemoServer]:
    with DemoServer() as server:
        yield server


@pytest.fixture
def shared(module_server: DemoServer) -> DemoServer:
    """A server for a whole file of tests; a test that stops or changes it needs its own."""
    module_server.clear_requests()
    return module_server


@pytest.fixture
def ports_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a login's port free for the next login: a port that the system chose may go to another
    program in between, and then a client is registered for another port."""
    bind = loopback._bind_once
    monkeypatch.setattr(
        loopback,
        "_bind_once",
        lambda listener, addresses, port: bind(listener, addresses, port or free_port()),
    )


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session's second attempt follows at once."""
    for module in ("knowledge", "acceptance"):
        monkeypatch.setattr(f"mcp_client_auth.session.{module}.SECOND_CHANCE", 0.01)


@pytest.fixture
def world() -> Iterator[World]:
    """An MCP server and its authorization server that misbehave where a test says so."""
    with World() as world:
        yield world


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def examined(storage: MemoryStorage) -> Examine:
    """`examined(url, register=…, options=…)`: the report of one examination."""

    def look(url: str, **asked: object) -> Report:
        usual = Subject(storage, url, key_for(url), Options(http_timeout=30.0))
        report = examine(replace(usual, **asked))  # type: ignore[arg-type]
        require_published_shape(report.as_json(0))
        return report

    return look


@pytest.fixture(scope="session")
def running_secret_service() -> Iterator[SecretService]:
    """A Secret Service for the whole run; tests use `secret_service`."""
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
    # keyring looks once per process, perhaps before this bus existed
    backend = load_keyring("keyring.backends.SecretService.Keyring")
    monkeypatch.setattr("keyring.core._keyring_backend", backend)
    return running_secret_service
