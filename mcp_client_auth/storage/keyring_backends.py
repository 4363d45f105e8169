"""Which keyring backends keep secrets, and what a person can do if none does."""

from __future__ import annotations

import os
from typing import Any, Final

from ..environment import Machine
from ..errors import Remedy, StorageError
from ..events import logger
from ..secret import quoted

_NEVER: Final = ("keyring.backends.fail", "keyring.backends.null")
_CLEAR: Final = ("plaintext", "basickeyring", "unencrypted")
# These accept a record of any size. Any other is assumed to accept no more than Windows does: it
# may be a bridge to the credentials there.
_ROOMY: Final = tuple(
    f"keyring.backends.{n}" for n in ("SecretService", "libsecret", "kwallet", "macOS")
)
_NAMES: Final = {
    "SecretService": "Secret Service",
    "kwallet": "KWallet",
    "macOS": "macOS Keychain",
    "Windows": "Windows Credential Manager",
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
_VARIABLE: Final = "PYTHON_KEYRING_BACKEND"
_FILE: Final = "keyring's configuration (keyringrc.cfg)"
_PERSIST: Final = "KEYRING_PROPERTY_PERSIST"
_ELSEWHERE: Final = Remedy(
    "or keep the credential in a file that only you can read ({storage=file} or"
    " MCP_CLIENT_AUTH_STORAGE=file); a program may also keep it for as long as it runs"
    " (MCP_CLIENT_AUTH_STORAGE=memory)"
)


def usable() -> tuple[Any, ...]:
    """The backends that keep secrets, in keyring's order of preference. `StorageError` for none.

    If the user or the application has named one, only that one counts. A plug-in that cannot
    tell its priority is left out, and does not hide those that can.
    """
    import keyring

    named = _named()
    chosen = None
    try:
        chosen = keyring.get_keyring()
    except (Exception, SystemExit) as error:
        if named:
            raise _unloadable(named, error) from None
        logger.warning("keyring itself finds none: %s", type(error).__name__)
    ranked = [
        (priority, backend)
        for backend in _offered(chosen, named=bool(named))
        if not _weak(backend) and (priority := 1.0 if named else _priority(backend)) >= 1
    ]
    if ranked:
        ranked.sort(key=lambda pair: -pair[0])
        return tuple(_at_home(backend) for _, backend in ranked)
    what = "the keyring library found no backend"
    if not (chosen is None or _is_chain(chosen) or type(chosen).__module__ == _NEVER[0]):
        what = f"the keyring library offers {label(chosen)}, which keeps no secrets"
    raise StorageError(
        f"no OS keyring is usable here: {what}", code="no_keyring", hint=remedy(None)
    )


def roomy(backend: Any) -> bool:
    """Whether a backend accepts a record of any size."""
    return type(backend).__module__ in _ROOMY


def label(backend: Any) -> str:
    """The name of a backend that people know."""
    module = type(backend).__module__.rpartition(".")[2]
    return _NAMES.get(module, module)


def why(error: Exception) -> str:
    """What a backend's error means."""
    name, text = type(error).__name__, quoted(_text(error), 200)[1:-1]
    for number, meaning in _NUMBERS.items():
        if _mentions(error, text, number):
            return meaning
    return _KNOWN.get(name) or f"{name}: {text}"


def why_not_kept(error: Exception) -> str:
    """The same for a write, mostly without the error's text: a bridge or a program behind the
    backend may quote what it was given to keep."""
    from keyring.errors import KeyringError

    if isinstance(error, KeyringError | OSError):
        return why(error)
    numbers = [str(part) for part in error.args if isinstance(part, int)]
    known = [_NUMBERS[number] for number in numbers if number in _NUMBERS]
    return known[0] if known else " ".join([type(error).__name__, *numbers])


def remedy(error: Exception | None) -> Remedy:
    """What helps on this machine (see `why` for what is wrong)."""
    return Remedy("Either {}, {}", _first(error), _ELSEWHERE)


def _first(error: Exception | None) -> str:
    machine = Machine()
    if machine.platform == "darwin":
        unlock = "run “security unlock-keychain” in this session"
        return (
            unlock
            if machine.ssh or _mentions(error, _text(error), "-25308")
            else ("unlock the login keychain in Keychain Access")
        )
    if machine.platform == "win32":
        return "log on to Windows itself instead of a remote or service session"
    if machine.wsl:
        return "install a Secret Service in WSL (gnome-keyring) or a keyring bridge to Windows"
    if machine.container:
        return "mount a key and set MCP_CLIENT_AUTH_KEY_FILE to it, which seals the file storage"
    if machine.ssh or not machine.display:
        return (
            "start and unlock a Secret Service in this session (dbus-run-session,"
            " gnome-keyring-daemon)"
        )
    return "unlock or install a keyring (gnome-keyring, KWallet, KeePassXC)"


def _at_home(backend: Any) -> Any:
    """Keep credentials on this machine: Windows copies them to all machines of a domain account.

    The result is not the application's own object, whose items are the application's business.
    """
    if type(backend).__module__ != "keyring.backends.Windows" or _PERSIST in os.environ:
        return backend
    ours = type(backend)()
    ours.persist = "local machine"
    return ours


def _named() -> str:
    """Where the user has named a backend: a variable, a file, or empty for nowhere."""
    import keyring.core

    if os.environ.get(_VARIABLE):
        return _VARIABLE
    try:
        return _FILE if keyring.core.load_config() is not None else ""
    except Exception as error:
        raise _unloadable(_FILE, error) from None


def _unloadable(named: str, error: BaseException) -> StorageError:
    what = why(error) if isinstance(error, Exception) else type(error).__name__
    return StorageError(
        f"the keyring backend that {named} names cannot be loaded: {what}",
        code="keyring",
        hint=Remedy("Correct {} or remove it, {}", named, _ELSEWHERE),
    )


def _offered(chosen: Any, *, named: bool) -> list[Any]:
    """All backends that keyring knows and that can be made, or the one that the user or the
    application has set."""
    from keyring.backend import KeyringBackend, get_all_keyring

    known = []
    try:
        known = list(get_all_keyring())
    except (Exception, SystemExit):
        for kind in KeyringBackend.get_viable_backends():
            try:
                known.append(kind())
            except Exception as error:
                logger.warning("%s.%s: %s", kind.__module__, kind.__name__, type(error).__name__)
    if named or not (chosen is None or any(chosen is backend for backend in known)):
        return list(chosen.backends) if _is_chain(chosen) else [chosen]
    return [backend for backend in known if not _is_chain(backend)]


def _priority(backend: Any) -> float:
    """The priority of a backend; 0 if it cannot tell."""
    try:
        return float(backend.priority)
    except Exception as error:
        kind = type(backend)
        logger.warning("%s.%s has no priority: %s", kind.__module__, kind.__name__, error)
        return 0.0


def _is_chain(backend: Any) -> bool:
    return type(backend).__module__ == "keyring.backends.chainer"


def _weak(backend: Any) -> bool:
    """Whether it keeps nothing, or keeps it for everyone to read, even if the user named it."""
    kind = type(backend)
    return kind.__module__.startswith(_NEVER) or any(w in kind.__name__.lower() for w in _CLEAR)


def _text(value: object) -> str:
    """`str(value)`; empty if that fails, as it may for errors in other people's code."""
    try:
        return str(value)
    except Exception:
        return ""


def _mentions(error: Exception | None, text: str, number: str) -> bool:
    args = error.args if error else ()
    return any(_text(part) == number for part in args) or f"({number}," in text
