"""Every test has a home of its own and no browser but the one that it names."""

import os
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

# else each of the many processes that these tests start would compile the package anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

SETTINGS = ("MCP_CLIENT_AUTH_STORAGE", "MCP_CLIENT_AUTH_KEY", "MCP_CLIENT_AUTH_KEY_FILE")


@pytest.fixture(scope="session", autouse=True)
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Clients read all authorities of the web as they are made, and take long; none is met here."""
    every, end = Path(certifi.where()).read_text(), "-----END CERTIFICATE-----\n"
    one = tmp_path_factory.mktemp("authorities") / "one.pem"
    one.write_text(every.partition(end)[0] + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certifi, "where", lambda: str(one))
        yield


@pytest.fixture(autouse=True)
def isolated_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "mcp-client-auth"
    monkeypatch.setenv("MCP_CLIENT_AUTH_HOME", str(home))
    for name in ("BROWSER", "CI", "DISPLAY", "WAYLAND_DISPLAY", *SETTINGS):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """What lasts as long as a process lasts as long as a test."""
    yield
    from mcp_client_auth.flight import _wire
    from mcp_client_auth.storage.chosen import _warn_once
    from mcp_client_auth.storage.keyring_thread import SHARED
    from mcp_client_auth.storage.memory import process_memory

    _wire.ending = False  # a command that took the process's place would have ended it
    SHARED.reset()
    SHARED.waiting = None
    process_memory.cache_clear()
    _warn_once.cache_clear()
