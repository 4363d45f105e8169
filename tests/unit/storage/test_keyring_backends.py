"""Which backends count, what their errors mean, and what helps on which machine."""

from __future__ import annotations

from typing import Any

import pytest
from keyring.errors import KeyringError, KeyringLocked, PasswordSetError

from mcp_client_auth.environment import Machine
from mcp_client_auth.errors import StorageError
from mcp_client_auth.storage.keyring_backends import remedy, usable, why, why_not_kept

ENVIRONMENT = (
    *("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "DISPLAY", "WAYLAND_DISPLAY"),
    *("WSL_DISTRO_NAME", "KUBERNETES_SERVICE_HOST", "KEYRING_PROPERTY_PERSIST"),
)


@pytest.fixture(autouse=True)
def a_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(Machine, "container", False)
    monkeypatch.setattr(Machine, "wsl", False)


def kind(module: str, name: str, **members: Any) -> Any:
    return type(name, (), {"__module__": module, "priority": 5, **members})


def offered(monkeypatch: pytest.MonkeyPatch, backend: Any, *, named: bool = False) -> None:
    monkeypatch.setattr("keyring.get_keyring", lambda: backend)
    if named:
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "it.is.named")


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (PasswordSetError("Can't store password on keychain: (-25308, 'Unknown Error')"), "-25308"),
        (
            KeyringError("Can't fetch password from system: (-25293, 'Unknown Error')"),
            "password was",
        ),
        (KeyringLocked("Can't get password from keychain: (-128, 'Unknown Error')"), "refused"),
        (KeyringLocked("Failed to unlock the collection!"), "it is locked"),
        (OSError(1312, "A specified logon session does not exist"), "no credentials"),
        (OSError(1783, "The stub received bad data"), "too large"),
        (ValueError("boom"), "ValueError: boom"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_backends_number_is_said_in_words(error: Exception, meaning: str) -> None:
    assert meaning in why(error)


def test_what_a_bridge_quotes_is_not_said_but_its_number_is() -> None:
    class WinError(Exception):
        pass

    said = why_not_kept(WinError(1783, "CredWrite", "planted"))
    assert said == "the record is too large for it (1783)"
    assert why_not_kept(WinError(77, "planted")) == "WinError 77"


@pytest.mark.parametrize(
    ("platform", "environment", "place", "words"),
    [
        ("darwin", {"SSH_CONNECTION": "a"}, "", "security unlock-keychain"),
        ("darwin", {}, "", "Keychain Access"),
        ("win32", {}, "", "Windows itself"),
        ("linux", {}, "wsl", "WSL"),
        ("linux", {}, "container", "MCP_CLIENT_AUTH_KEY_FILE"),
        ("linux", {"SSH_TTY": "/dev/pts/0"}, "", "dbus-run-session"),
        ("linux", {"DISPLAY": ""}, "", "dbus-run-session"),
        ("linux", {}, "", "gnome-keyring, KWallet"),
    ],
    ids=["mac over ssh", "mac", "windows", "wsl", "container", "ssh", "headless", "desktop"],
)
def test_what_helps_depends_on_the_machine(
    platform: str,
    environment: dict[str, str],
    place: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if place:
        monkeypatch.setattr(Machine, place, True)
    said = str(remedy(None))
    assert words in said
    for always in (
        'storage="file"',
        "MCP_CLIENT_AUTH_STORAGE=file",
        "MCP_CLIENT_AUTH_STORAGE=memory",
    ):
        assert always in said


def test_a_number_tells_of_a_session_without_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert "unlock-keychain" in str(remedy(PasswordSetError("(-25308, 'Unknown Error')")))


@pytest.mark.parametrize(
    ("module", "name", "counts"),
    [
        ("keyrings.alt.file", "PlaintextKeyring", False),
        ("keyrings.alt.pyfs", "BasicKeyring", False),
        ("keyrings.alt.file", "EncryptedKeyring", True),
        ("keyring.backends.null", "Keyring", False),
        ("keyring.backends.fail", "Keyring", False),
        ("somebody.elses", "Vault", True),
    ],
)
def test_a_name_helps_what_keeps_secrets_and_nothing_else(
    module: str, name: str, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = kind(module, name, priority=0.5)()
    offered(monkeypatch, backend, named=True)
    if counts:
        assert usable() == (backend,)
    else:
        with pytest.raises(StorageError, match="no OS keyring") as caught:
            usable()
        offers = "offers" in caught.value.summary
        assert offers == (module != "keyring.backends.fail"), "that one stands for none"


def test_on_windows_a_credential_does_not_roam_and_the_applications_backend_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = kind("keyring.backends.Windows", "WinVaultKeyring", persist="enterprise")()
    offered(monkeypatch, backend)
    assert usable()[0].persist == "local machine"
    assert backend.persist == "enterprise"
    monkeypatch.setenv("KEYRING_PROPERTY_PERSIST", "enterprise")
    assert usable() == (backend,)
