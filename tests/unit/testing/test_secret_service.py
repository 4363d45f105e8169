"""The Secret Service that the tests of this package, and of its users, run on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mcp_client_auth.testing.secret_service import INSTALL, SecretService

NEEDED = pytest.mark.skipif(
    not SecretService.installed(), reason=f"a Secret Service is needed: {INSTALL}"
)


@NEEDED
@pytest.mark.parametrize("frozen", [False, True])
def test_nothing_is_left_behind(frozen: bool) -> None:
    with SecretService() as service:
        home = service.home
        assert processes_of(home)
        if frozen:
            service.freeze()
    assert not home.exists()
    assert not processes_of(home)


@NEEDED
def test_nothing_is_left_behind_when_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    service = SecretService()
    monkeypatch.setattr(service, "_wait", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError), service:
        pass
    assert not service.home.exists()
    assert not processes_of(service.home)


@NEEDED
def test_two_of_them_know_nothing_of_each_other() -> None:
    with SecretService() as one, SecretService() as other:
        assert one.environment != other.environment
        assert one.home != other.home


def test_where_it_cannot_run_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(RuntimeError, match="apt-get install gnome-keyring dbus"), SecretService():
        pass


def processes_of(home: Path) -> list[str]:
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "args"],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    return [line for line in listed.stdout.splitlines() if str(home) in line]
