"""Sealed texts: AES-256-GCM, bound to what they are about (NIST SP 800-38D).

A sealed text that is copied to another place, or under another version, does not open there.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from ..credential import VERSION, damaged, record
from ..errors import StorageError, UsageError
from ..paths import read_named
from ..secret import Secret, quoted
from .backend import Backend, Item, Vault

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VARIABLE: Final = "MCP_CLIENT_AUTH_KEY"
FILE_VARIABLE: Final = "MCP_CLIENT_AUTH_KEY_FILE"
_ALGORITHM: Final = "A256GCM"
_BYTES: Final = 32
_NONCE: Final = 12
_KEYS: Final = 8  # those in use, with some that are being replaced


SealingKeys = Callable[[], Secret | Sequence[Secret] | None]


class Sealed(Vault):
    """Seals what another vault keeps, with the key that `key` returns; in clear text without one.

    Of several keys the first one seals, and all of them open. A clear text is read even if there
    is a key, which may be newer than the text.
    """

    def __init__(self, inner: Vault, key: SealingKeys) -> None:
        self._inner, self._given = inner, key

    def _keys(self) -> Sequence[Secret]:
        given = self._given()
        return given if isinstance(given, Sequence) else [given] if given else ()

    def where(self, item: Item | None = None) -> str:
        place = self._inner.where(item)
        return place if item or not self._keys() else f"{place}, sealed"

    def place_of(self, item: Item) -> str:
        text = self._inner.read(item)
        return self._inner.where() + (", sealed" if text and is_sealed(text) else "")

    def look(self, item: Item | None = None) -> None:
        text = self._inner.read(item) if item else None
        if item and text and is_sealed(text):
            place = self.where(item)
            require_key(sealed_record(text, place), self._keys(), place)

    def read(self, item: Item) -> str | None:
        text = self._inner.read(item)
        if text is None or not is_sealed(text):
            return text
        place = self.where(item)
        raw = sealed_record(text, place)
        return opened(raw, require_key(raw, self._keys(), place), _bound_to(item), place)

    def write(self, item: Item, text: str) -> None:
        keys = self._keys()
        self._inner.write(item, seal(text, keys[0], _bound_to(item)) if keys else text)

    def delete(self, item: Item) -> None:
        self._inner.delete(item)

    def set_aside(self, item: Item) -> None:
        self._inner.set_aside(item)

    def inspect(self, canary: Item) -> None:
        if not self._keys():  # a sealed text may be read by others
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

    def __init__(self, inner: Backend, key: SealingKeys) -> None:
        super().__init__(inner, key)
        self._backend = inner

    def names(self) -> Iterable[str]:
        return self._backend.names()

    def lock(self, id: str, purpose: str, timeout: float) -> AbstractContextManager[object]:  # noqa: A002
        return self._backend.lock(id, purpose, timeout)


def _bound_to(item: Item) -> Sequence[str]:
    """Secrets are bound to what they are about; what has only its name is bound to that."""
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
    nonce = os.urandom(_NONCE)
    data = _cipher(key).encrypt(nonce, text.encode(), _associated(VERSION, about))
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
    """Whether a text is a key that `seal` accepts."""
    try:
        return bool(_bytes(Secret(text)))
    except UsageError:
        return False


def is_sealed(text: str) -> bool:
    return text.startswith("{") and f'"sealed": "{_ALGORITHM}"' in text[:100]


def unseal(text: str, key: Secret | None, about: Sequence[str], place: str) -> str:
    """The original text. Raises `StorageError`: `no_key`, `wrong_key`, or a damaged record."""
    raw = sealed_record(text, place)
    return opened(raw, require_key(raw, [key] if key else [], place), about, place)


def opened(raw: dict[str, Any], key: Secret, about: Sequence[str], place: str) -> str:
    """Return the text of a sealed record, opened with the key that sealed it."""
    from cryptography.exceptions import InvalidTag

    try:
        nonce, data = b64decode(raw["nonce"]), b64decode(raw["data"])
        return _cipher(key).decrypt(nonce, data, _associated(raw["version"], about)).decode()
    except (InvalidTag, KeyError, TypeError, ValueError):
        raise damaged(place) from None


def sealed_record(text: str, place: str) -> dict[str, Any]:
    """Parse a sealed record; its `key` is the fingerprint of the key that sealed it."""
    raw = record(text, place)
    if not isinstance(raw.get("key"), str):
        raise damaged(place)
    return raw


def require_key(raw: dict[str, Any], keys: Sequence[Secret], place: str) -> Secret:
    """Return the one of the given keys that sealed a record."""
    for key in keys:
        if fingerprint(key) == raw["key"]:
            return key
    if not keys:
        raise StorageError(
            f"the record in {place} is sealed",
            code="no_key",
            hint=f"Set {VARIABLE} or {FILE_VARIABLE} to the key that it was sealed with",
        )
    raise StorageError(
        f"the record in {place} was sealed with another key",
        code="wrong_key",
        hint=f"It was left alone; set {VARIABLE} or {FILE_VARIABLE} to that key, or log out"
        " and log in again",
    )


def _associated(version: Any, about: Sequence[str]) -> bytes:
    return json.dumps([version, *about]).encode()


@lru_cache(_KEYS)
def _cipher(key: Secret) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(_bytes(key))


@lru_cache(_KEYS)
def fingerprint(key: Secret) -> str:
    """What a record says about its key, to tell a wrong key from a damaged record."""
    return hashlib.sha256(b"mcp-client-auth" + _bytes(key)).hexdigest()[:16]


def named(key: Secret, *words: str) -> str:
    """The name that a key derives from these words: an HMAC, which no one can guess."""
    own = hashlib.sha256(b"mcp-client-auth names" + key.reveal().encode()).digest()
    return hmac.digest(own, json.dumps(words).encode(), "sha256").hex()[:32]


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
