"""Sealed texts: AES-256-GCM, bound to what they are about (NIST SP 800-38D).

A sealed text that is copied to another place, or under another version, does not open there.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from ..credential import VERSION, damaged, record
from ..errors import StorageError, UsageError
from ..paths import read_named
from ..secret import Secret, quoted
from .backend import Backend, Item, Vault

VARIABLE: Final = "MCP_CLIENT_AUTH_KEY"
FILE_VARIABLE: Final = "MCP_CLIENT_AUTH_KEY_FILE"
_ALGORITHM: Final = "A256GCM"
_BYTES: Final = 32
_NONCE: Final = 12


class Sealed(Vault):
    """Seals what another vault keeps, with the key that `key` gives; in clear text without one.

    A clear text is read also if there is a key, which may have come later than the text.
    """

    def __init__(self, inner: Vault, key: Callable[[], Secret | None]) -> None:
        self._inner, self._key = inner, key

    def where(self, item: Item | None = None) -> str:
        place = self._inner.where(item)
        return place if item or not self._key() else f"{place}, sealed"

    def place_of(self, item: Item) -> str:
        text = self._inner.read(item)
        return self._inner.where() + (", sealed" if text and is_sealed(text) else "")

    def look(self, item: Item | None = None) -> None:
        text = self._inner.read(item) if item else None
        if item and text and is_sealed(text):
            _require_key(text, self._key(), self.where(item))

    def read(self, item: Item) -> str | None:
        text = self._inner.read(item)
        if text is None or not is_sealed(text):
            return text
        return unseal(text, self._key(), _bound_to(item), self.where(item))

    def write(self, item: Item, text: str) -> None:
        key = self._key()
        self._inner.write(item, seal(text, key, _bound_to(item)) if key else text)

    def delete(self, item: Item) -> None:
        self._inner.delete(item)

    def set_aside(self, item: Item) -> None:
        self._inner.set_aside(item)

    def inspect(self, canary: Item) -> None:
        if not self._key():  # a sealed text may be read by others
            self._inner.inspect(canary)


class SealedBackend(Sealed, Backend):
    """The same over a backend that others can read: entries and notes are sealed too.

    Example:
        ```python
        import base64
        import os

        from mcp_client_auth import Secret, Store
        from mcp_client_auth.extending import SealedBackend
        from own_backend import SqliteBackend  # examples/own_backend.py

        key = Secret(base64.b64encode(os.urandom(32)).decode())
        storage = Store("sealed", SealedBackend(SqliteBackend("logins.db"), lambda: key))
        storage.check()
        ```
    """

    def __init__(self, inner: Backend, key: Callable[[], Secret | None]) -> None:
        super().__init__(inner, key)
        self._backend = inner

    def names(self) -> Iterable[str]:
        return self._backend.names()

    def lock(self, id: str, purpose: str, timeout: float) -> AbstractContextManager[object]:  # noqa: A002
        return self._backend.lock(id, purpose, timeout)


def _bound_to(item: Item) -> Sequence[str]:
    """Secrets are bound to what they are about; what has no more than its name is bound to that."""
    return item.about or (item.kind, item.id)


def new_key() -> Secret:
    """32 random bytes in base64."""
    return Secret(b64encode(os.urandom(_BYTES)).decode())


def given_key() -> Secret | None:
    """The key that the environment names, the first of several, or None.

    Raises `UsageError` for one that is not 32 bytes in base64.
    """
    keys = given_keys()
    return keys[0] if keys else None


def given_keys() -> list[Secret]:
    """All keys that the environment names, one a line, the newest first."""
    text, path = os.environ.get(VARIABLE, ""), os.environ.get(FILE_VARIABLE, "")
    if text and path:
        raise UsageError(f"{VARIABLE} and {FILE_VARIABLE} exclude each other")
    if path:
        try:
            text = read_named(path, pipe=True)
        except OSError:
            raise UsageError(
                f"{FILE_VARIABLE} names {quoted(path, 200)}, which cannot be read as text"
            ) from None
        if not text.strip():
            raise UsageError(f"{FILE_VARIABLE} names {quoted(path, 200)}, which is empty")
    keys = [Secret(line) for line in text.split()]
    if text and not keys:
        keys = [Secret("")]
    for key in keys:
        _bytes(key)
    return keys


def seal(text: str, key: Secret, about: Sequence[str]) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE)
    data = AESGCM(_bytes(key)).encrypt(nonce, text.encode(), _associated(VERSION, about))
    return json.dumps(
        {
            "version": VERSION,
            "sealed": _ALGORITHM,
            "key": fingerprint(key),
            "nonce": b64encode(nonce).decode(),
            "data": b64encode(data).decode(),
        }
    )


def is_key(text: str) -> bool:
    """Whether it is a key that `seal` takes."""
    try:
        return bool(_bytes(Secret(text)))
    except UsageError:
        return False


def is_sealed(text: str) -> bool:
    return text.startswith("{") and f'"sealed": "{_ALGORITHM}"' in text[:100]


def unseal(text: str, key: Secret | None, about: Sequence[str], place: str) -> str:
    """The text again. Raises `StorageError`: `no_key`, `wrong_key`, or a damaged record."""
    raw, key = _require_key(text, key, place)
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        nonce, data = b64decode(raw["nonce"]), b64decode(raw["data"])
        return AESGCM(_bytes(key)).decrypt(nonce, data, _associated(raw["version"], about)).decode()
    except (InvalidTag, KeyError, TypeError, ValueError):
        raise damaged(place) from None


def _require_key(text: str, key: Secret | None, place: str) -> tuple[dict[str, Any], Secret]:
    """A sealed record as it lies there, and its key if it is the given one."""
    raw = record(text, place)
    if not isinstance(raw.get("key"), str):
        raise damaged(place)
    if key is None:
        raise StorageError(
            f"the record in {place} is sealed",
            code="no_key",
            hint=f"Set {VARIABLE} or {FILE_VARIABLE} to the key that it was sealed with",
        )
    if raw["key"] != fingerprint(key):
        raise StorageError(
            f"the record in {place} was sealed with another key",
            code="wrong_key",
            hint=f"It was left alone; set {VARIABLE} or {FILE_VARIABLE} to that key, or log out"
            " and log in again",
        )
    return raw, key


def _associated(version: Any, about: Sequence[str]) -> bytes:
    return json.dumps([version, *about]).encode()


def sealed_with(text: str, place: str) -> str:
    """The fingerprint of the key that has sealed a text."""
    name = record(text, place).get("key")
    if not isinstance(name, str):
        raise damaged(place)
    return name


def fingerprint(key: Secret) -> str:
    """Which key it was, to tell a wrong one from a damaged record."""
    return hashlib.sha256(b"mcp-client-auth" + _bytes(key)).hexdigest()[:16]


def _bytes(key: Secret) -> bytes:
    try:
        value = b64decode(key.reveal(), validate=True)
    except (NotBase64, ValueError):
        value = b""
    if len(value) != _BYTES:
        raise UsageError(
            f"a sealing key must be {_BYTES} bytes in base64",
            hint=f"Make one with: openssl rand -base64 {_BYTES}",
        )
    return value
