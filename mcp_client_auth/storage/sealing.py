"""Sealed texts: AES-256-GCM, bound to what they are about (NIST SP 800-38D).

A sealed text that is copied to another place, or under another version, does not open there.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ..credential import VERSION, damaged, record
from ..errors import StorageError, UsageError, quoted
from ..secret import Secret

VARIABLE: Final = "MCP_CLIENT_AUTH_KEY"
FILE_VARIABLE: Final = "MCP_CLIENT_AUTH_KEY_FILE"
_ALGORITHM: Final = "A256GCM"
_BYTES: Final = 32
_NONCE: Final = 12


def new_key() -> Secret:
    """32 random bytes in base64."""
    return Secret(b64encode(os.urandom(_BYTES)).decode())


def given_key() -> Secret | None:
    """The key that the environment names for the file storage, or None.

    Raises `UsageError` for one that is not 32 bytes in base64.
    """
    text, path = os.environ.get(VARIABLE, ""), os.environ.get(FILE_VARIABLE, "")
    if text and path:
        raise UsageError(f"{VARIABLE} and {FILE_VARIABLE} exclude each other")
    if path:
        text = _file(path)
    if not text:
        return None
    key = Secret(text.strip())
    _bytes(key)
    return key


def seal(text: str, key: Secret, about: Sequence[str]) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE)
    data = AESGCM(_bytes(key)).encrypt(nonce, text.encode(), _associated(VERSION, about))
    return json.dumps(
        {
            "version": VERSION,
            "sealed": _ALGORITHM,
            "key": _fingerprint(key),
            "nonce": b64encode(nonce).decode(),
            "data": b64encode(data).decode(),
        }
    )


def is_sealed(text: str) -> bool:
    return text.startswith("{") and f'"sealed": "{_ALGORITHM}"' in text[:100]


def unseal(text: str, key: Secret | None, about: Sequence[str], place: str) -> str:
    """The text again. Raises `StorageError`: `no_key`, `wrong_key`, or a damaged record."""
    raw = record(text, place)
    if key is None or raw.get("key") != _fingerprint(key):
        raise _not_ours(key, place)
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        nonce, data = b64decode(raw["nonce"]), b64decode(raw["data"])
        return AESGCM(_bytes(key)).decrypt(nonce, data, _associated(raw["version"], about)).decode()
    except (InvalidTag, KeyError, TypeError, ValueError):
        raise damaged(place) from None


def _associated(version: Any, about: Sequence[str]) -> bytes:
    return json.dumps([version, *about]).encode()


def _fingerprint(key: Secret) -> str:
    """Which key it was, so that a wrong one is told from a damaged record."""
    return hashlib.sha256(b"mcp-client-auth" + _bytes(key)).hexdigest()[:16]


def _bytes(key: Secret) -> bytes:
    try:
        value = b64decode(key.reveal(), validate=True)
    except (NotBase64, ValueError):
        value = b""
    if len(value) != _BYTES:
        raise UsageError(
            f"the key of the file storage must be {_BYTES} bytes in base64",
            hint=f"Make one with: openssl rand -base64 {_BYTES}",
        )
    return value


def _file(path: str) -> str:
    try:
        text = Path(path).expanduser().read_text("utf-8")
    except (OSError, ValueError):
        raise UsageError(
            f"{FILE_VARIABLE} names {quoted(path, 200)}, which cannot be read as text"
        ) from None
    if not text.strip():
        raise UsageError(f"{FILE_VARIABLE} names {quoted(path, 200)}, which is empty")
    return text


def _not_ours(key: Secret | None, place: str) -> StorageError:
    if key is None:
        return StorageError(
            f"the record in {place} is sealed",
            code="no_key",
            hint=f"Set {VARIABLE} or {FILE_VARIABLE} to the key that it was sealed with",
        )
    return StorageError(
        f"the record in {place} was sealed with another key",
        code="wrong_key",
        hint=f"It was left alone; set {VARIABLE} or {FILE_VARIABLE} to that key, or log out"
        " and log in again",
    )
