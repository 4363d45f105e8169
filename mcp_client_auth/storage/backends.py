"""Which keyring backends keep secrets, and what a person can do where none does."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

from ..errors import StorageError

_NEVER: Final = ("keyring.backends.fail", "keyring.backends.null")
_CLEAR: Final = ("plaintext", "basickeyring", "unencrypted")
# These take a record of any size; of every other it is assumed that it takes no more than
# Windows does, whose credentials a bridge may stand for.
_ROOMY: Final = tuple(
    f"keyring.backends.{n}" for n in ("SecretService", "libsecret", "kwallet", "macOS")
)
_NAMES: Final = {
    "SecretService": "Secret Service",
    "libsecret": "libsecret",
    "kwallet": "KWallet",
    "macOS": "macOS Keychain",
    "Windows": "Windows Credential Manager",
    "fail": "none",
    "null": "the null backend",
}
_KNOWN: Final = {
    "KeyringLocked": "it is locked",
    "InitError": "it has no collection to write to, or its prompt was dismissed",
    "NoKeyringError": "there is none on this machine",
}
# What keyring passes on as a bare number (Security.framework, wincred.h, winerror.h).
_NUMBERS: Final = {
    "-25308": "the keychain is locked, and no window can be shown to unlock it (-25308)",
    "-25293": "the keychain's password was wrong (-25293)",
    "-25244": "this program may not change the keychain item (-25244)",
    "-128": "the request was refused in the keychain's window (-128)",
    "1312": "this logon session has no credentials, as over SSH or in a service (1312)",
    "1783": "the record is too large for it (1783)",
}
_PERSIST: Final = "KEYRING_PROPERTY_PERSIST"
_ELSEWHERE: Final = (
    "or keep the credential in a file that only you can read (--store file,"
    " MCP_CLIENT_AUTH_STORAGE=file), or for this process only (--store memory)"
)


def usable() -> Any:
    """The backend that `keyring` finds, if it keeps secrets; else `StorageError`."""
    import keyring

    found = keyring.get_keyring()
    named = bool(os.environ.get("PYTHON_KEYRING_BACKEND")) or keyring.core.load_config() is not None
    for backend in _inside(found):
        if not _weak(backend) and (named or backend.priority >= 1):
            return _at_home(backend)
    raise StorageError(
        f"no OS keyring is usable here: keyring offers {label(found)}",
        code="no_keyring",
        hint=remedy(None),
    )


def roomy(backend: Any) -> bool:
    """Whether it takes a record of any size."""
    return type(backend).__module__ in _ROOMY


def label(backend: Any) -> str:
    """What a person calls it."""
    module = type(backend).__module__.rpartition(".")[2]
    return _NAMES.get(module, module)


def why(error: Exception) -> str:
    """What a backend's error means."""
    name, text = type(error).__name__, str(error)[:200]
    for number, meaning in _NUMBERS.items():
        if _mentions(error, text, number):
            return meaning
    return _KNOWN.get(name) or f"{name}: {text}"


def why_not_kept(error: Exception) -> str:
    """A bridge or a program behind the backend may quote what it was given to keep."""
    from keyring.errors import KeyringError

    if isinstance(error, KeyringError | OSError):
        return why(error)
    numbers = [str(part) for part in error.args if isinstance(part, int)]
    known = [_NUMBERS[number] for number in numbers if number in _NUMBERS]
    return known[0] if known else " ".join([type(error).__name__, *numbers])


def remedy(error: Exception | None) -> str:
    """What helps on this machine (see `why` for what is wrong)."""
    return f"Either {_first(error)}, {_ELSEWHERE}"


def _first(error: Exception | None) -> str:
    remote = bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))
    if sys.platform == "darwin":
        unlock = "run “security unlock-keychain” in this session"
        return (
            unlock
            if remote or _mentions(error, str(error), "-25308")
            else ("unlock the login keychain in Keychain Access")
        )
    if sys.platform == "win32":
        return "log on to Windows itself instead of a remote or service session"
    if _wsl():
        return "install a Secret Service in WSL (gnome-keyring) or a keyring bridge to Windows"
    if _container():
        return "mount a key and set MCP_CLIENT_AUTH_KEY_FILE to it, which seals the file storage"
    if remote or not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return (
            "start and unlock a Secret Service in this session (dbus-run-session,"
            " gnome-keyring-daemon --unlock)"
        )
    return "unlock or install a keyring (gnome-keyring, KWallet, KeePassXC)"


def _at_home(backend: Any) -> Any:
    """Windows would carry a credential to every machine of a domain account; ours stays here.

    It is another object than the application's, whose own items are its own matter.
    """
    if type(backend).__module__ != "keyring.backends.Windows" or _PERSIST in os.environ:
        return backend
    ours = type(backend)()
    ours.persist = "local machine"
    return ours


def _inside(backend: Any) -> list[Any]:
    """A chainer stands for several; each is looked at by itself."""
    if type(backend).__module__ == "keyring.backends.chainer":
        return list(backend.backends)
    return [backend]


def _weak(backend: Any) -> bool:
    """Whether it keeps nothing, or keeps it for everybody to read, whoever named it."""
    kind = type(backend)
    return kind.__module__.startswith(_NEVER) or any(w in kind.__name__.lower() for w in _CLEAR)


def _mentions(error: Exception | None, text: str, number: str) -> bool:
    args = error.args if error else ()
    return any(str(part) == number for part in args) or f"({number}," in text


def _wsl() -> bool:
    return bool(os.environ.get("WSL_DISTRO_NAME")) or "microsoft" in _read("/proc/version").lower()


def _container() -> bool:
    marks = ("/.dockerenv", "/run/.containerenv")
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) or any(Path(m).exists() for m in marks)


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""
