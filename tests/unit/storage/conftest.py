"""A home of its own for each test, the storages, and other processes that use them."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from own_backend import SqliteBackend

from mcp_client_auth.credential import Key, key_for
from mcp_client_auth.storage import Store, storage_named
from mcp_client_auth.storage.memory import MemoryBackend
from mcp_client_auth.storage.sealed import SealedBackend, new_key
from tests.support.python_path import LEAN, ROOT, search_path

SCRIPT = ROOT / "tests" / "support" / "storage_process.py"
PATIENCE = 600  # a crowd of processes on a busy machine


class Elsewhere:
    """Other processes, with the same home and the same keyring."""

    def __init__(self, storage: str, key: Key) -> None:
        self._storage = storage
        self._key = key

    def __call__(self, action: str, argument: str = "") -> Any:
        """Run one to its end and hand back what it printed."""
        with self.start(action, argument) as process:
            return self.answer(process)

    def answer(self, process: subprocess.Popen[str]) -> Any:
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        return json.loads(out)

    @contextmanager
    def start(
        self, action: str, argument: str = "", **environment: str
    ) -> Iterator[subprocess.Popen[str]]:
        arguments = [action, self._storage, self._key.server, argument]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            env={**os.environ, **environment},
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def killed(self, process: subprocess.Popen[str]) -> bool:
        return process.wait(PATIENCE) == -signal.SIGKILL


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this package keeps its files; not made yet."""
    place = tmp_path / "home"
    monkeypatch.setenv("MCP_CLIENT_AUTH_HOME", str(place))
    monkeypatch.setenv("PYTHONPATH", search_path(LEAN))
    monkeypatch.delenv("MCP_CLIENT_AUTH_STORAGE", raising=False)
    monkeypatch.delenv("PYTHON_KEYRING_BACKEND", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))  # no keyringrc.cfg
    return place


@pytest.fixture
def key(tmp_path: Path) -> Key:
    """A server that no other test knows: the keyring is the same for all."""
    return key_for(f"https://mcp.example.com/{tmp_path.name}/{tmp_path.stat().st_ino}")


OWN = ("sqlite", "sealed sqlite", "sealed memory")


@pytest.fixture(params=["keyring", "file", "memory", *OWN])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each that comes with the package, and places of a caller's own."""
    if request.param == "keyring":
        request.getfixturevalue("secret_service")
    if request.param not in OWN:
        return storage_named(request.param)
    own = SqliteBackend(tmp_path / "logins.db") if "sqlite" in request.param else MemoryBackend()
    key = new_key()
    return Store("own", SealedBackend(own, lambda: key) if "sealed" in request.param else own)


@pytest.fixture(params=["keyring", "file"])
def lasting(request: pytest.FixtureRequest) -> Store:
    """A storage that another process shares."""
    if request.param == "keyring":
        request.getfixturevalue("secret_service")
    return storage_named(request.param)


@pytest.fixture
def kind(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One of `storage_samples.KINDS`, which is then what is at hand."""
    kind: str = request.param
    if kind == "keyring":
        request.getfixturevalue("secret_service")
    elif kind == "sealed keyring":
        from keyring.core import load_keyring

        monkeypatch.setenv("PYTHONPATH", search_path())
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.support.small_vault.Vault")
        monkeypatch.setenv("SMALL_VAULT", str(tmp_path / "vault.json"))
        monkeypatch.setattr(
            "keyring.core._keyring_backend", load_keyring("tests.support.small_vault.Vault")
        )
    elif kind == "sealed file":
        monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", base64.b64encode(os.urandom(32)).decode())
    return kind


@pytest.fixture
def make_elsewhere(key: Key) -> Callable[[str], Elsewhere]:
    return lambda storage: Elsewhere(storage, key)


@pytest.fixture
def elsewhere(lasting: Store, key: Key) -> Elsewhere:
    return Elsewhere(lasting.name, key)
