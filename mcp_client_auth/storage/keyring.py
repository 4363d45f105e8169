"""Credentials in the OS keyring itself, one item each.

Only a backend that keeps secrets counts, and every call has a time limit: a locked keyring
with a prompt that nobody sees blocks for ever.
"""

from __future__ import annotations

import importlib
import os
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from ..errors import StorageError
from .directory import Directory
from .keyring_thread import SHARED, Stuck
from .records import Records

T = TypeVar("T")
SERVICE: Final = "mcp-client-auth"
_USER: Final = "mcp-client-auth"
_WEAK: Final = ("keyring.backends.fail", "keyring.backends.null", "keyrings.alt")
_AT_TERMINAL: Final = 60.0
_ALONE: Final = 3.0
_LEFT_ALONE: Final = "it did not answer before and is left alone in this process"
_REMEDY: Final = (
    "Either unlock or install a keyring, or keep the credential in a file that only you can"
    " read (--store file, MCP_CLIENT_AUTH_STORAGE=file), or for this process only"
    " (--store memory)"
)


class KeyringStorage(Records):
    """Items of the service `mcp-client-auth:ID` in the keyring that `keyring` finds.

    `timeout`: seconds for one call; by default 60 at a terminal, where a person may be
    unlocking the keyring, and 3 elsewhere.
    """

    name = "keyring"

    def __init__(self, directory: Directory | None = None, timeout: float | None = None) -> None:
        super().__init__(directory)
        self._timeout = timeout

    @property
    def where(self) -> str:
        return f"the OS keyring ({_label(SHARED.backend)})" if SHARED.backend else "the OS keyring"

    def check(self) -> None:
        """Write, read back and delete a canary, once a process."""
        if SHARED.checked:
            return
        canary = secrets.token_hex(8)
        item = f"canary-{canary}"
        self.write(item, canary)
        try:
            kept = self.read(item)
        except StorageError:
            with suppress(StorageError):
                self.remove(item)
            raise
        self.remove(item)
        if kept != canary:
            raise self._failure("it does not keep what is written to it")
        SHARED.checked = True

    def read(self, item: str) -> str | None:
        value: str | None = self._call(lambda k: k.get_password(_service(item), _USER))
        return value

    def write(self, item: str, text: str) -> None:
        def keep(backend: Any) -> None:
            try:
                backend.set_password(_service(item), _USER, text)
            except Exception as error:
                raise self._failure(_why_not_kept(error)) from None

        self._call(keep)

    def remove(self, item: str) -> None:
        def delete(backend: Any) -> None:
            if backend.get_password(_service(item), _USER) is not None:
                backend.delete_password(_service(item), _USER)

        self._call(delete)

    def _call(self, action: Callable[[Any], T]) -> T:
        if SHARED.backend is None:
            _load()
        limit = self._limit()
        known = SHARED.stuck
        try:
            return SHARED.call(usable_backend, action, limit)
        except Stuck:
            late = f"it did not answer within {limit:.0f} s; a prompt to unlock it may be waiting"
            raise self._failure(_LEFT_ALONE if known else late) from None
        except StorageError:
            raise
        except Exception as error:  # backends raise whatever their platform does
            raise self._failure(_why(error)) from None

    def _limit(self) -> float:
        if self._timeout is not None:
            return self._timeout
        stdin = sys.stdin
        person = stdin is not None and not stdin.closed and stdin.isatty()
        return _AT_TERMINAL if person else _ALONE

    def _failure(self, why: str) -> StorageError:
        return StorageError(f"{self.where} cannot be used: {why}", code="keyring", hint=_REMEDY)


def _load() -> None:
    """Import what most of the time goes into: in a crowd it takes longer than any keyring may."""
    with suppress(ImportError):
        importlib.import_module("keyring.backends.SecretService")


def usable_backend() -> Any:
    """The backend that `keyring` finds, if it keeps secrets; else `StorageError`."""
    import keyring

    found = keyring.get_keyring()
    named = bool(os.environ.get("PYTHON_KEYRING_BACKEND")) or keyring.core.load_config() is not None
    for backend in _inside(found):
        if not _weak(backend) and (named or backend.priority >= 1):
            return backend
    raise StorageError(
        f"no OS keyring is usable here: keyring offers {_label(found)}",
        code="no_keyring",
        hint=_REMEDY,
    )


def _inside(backend: Any) -> list[Any]:
    """A chainer stands for several; each is looked at by itself."""
    if type(backend).__module__ == "keyring.backends.chainer":
        return list(backend.backends)
    return [backend]


def _weak(backend: Any) -> bool:
    kind = type(backend)
    return kind.__module__.startswith(_WEAK) or "plaintext" in kind.__name__.lower()


def _label(backend: Any) -> str:
    module = type(backend).__module__.rpartition(".")[2]
    return {
        "SecretService": "Secret Service",
        "libsecret": "libsecret",
        "kwallet": "KWallet",
        "macOS": "macOS Keychain",
        "Windows": "Windows Credential Manager",
        "fail": "none",
        "null": "the null backend",
    }.get(module, module)


def _service(item: str) -> str:
    return f"{SERVICE}:{item}"


def _why(error: Exception) -> str:
    name = type(error).__name__
    known = {
        "KeyringLocked": "it is locked",
        "InitError": "it has no collection to write to, or its prompt was dismissed",
        "NoKeyringError": "there is none on this machine",
    }
    return known.get(name) or f"{name}: {str(error)[:200]}"


def _why_not_kept(error: Exception) -> str:
    """A bridge or a program behind the backend may quote what it was given to keep."""
    from keyring.errors import KeyringError

    if isinstance(error, KeyringError | OSError):
        return _why(error)
    numbers = [str(part) for part in error.args if isinstance(part, int)]
    return " ".join([type(error).__name__, *numbers])
