"""`Keys`: the newest key seals, all of them open, and each derives names that reveal nothing.

That way a key is replaced while everything runs: the new one goes first, the old one stays until
what it has sealed is sealed again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from ..errors import StorageError, UsageError
from ..events import logger
from ..secret import Secret
from .sealed import (
    FILE_VARIABLE,
    VARIABLE,
    fingerprint,
    given_keys,
    named,
    opened,
    require_key,
    seal,
    sealed_record,
)

_LASTS: Final = 3600.0  # how long the keys that a function returned are used
_AT_ONCE: Final = 5.0  # sooner for an unknown key, but not more often than this; so is a file


class Keys:
    """Sealing keys, 32 bytes in base64 each, the newest first.

    `given` are the keys, or a function that returns them: it is called again each hour, and when a
    record turns up that none of them opens. It may unwrap them with a KMS, and a new key needs no
    restart. None stands for those of the environment, whose file is read again every 5 s: what is
    sealed and named by a key that is about to be removed would be lost with it.

    Example:
        ```python
        import base64
        import os

        from mcp_client_auth import Keys

        new, old = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
        keys = Keys([new, old])  # `new` seals, both open
        ```
    """

    def __init__(
        self,
        given: Keys
        | Secret
        | str
        | Sequence[Secret | str]
        | Callable[[], Sequence[Secret | str]]
        | None = None,
    ) -> None:
        if isinstance(given, Keys):
            self._source: Callable[[], Sequence[Secret | str]] = given._source
        elif given is None:
            self._source = given_keys
        elif callable(given):
            self._source = given
        else:
            fixed = [given] if isinstance(given, Secret | str) else given
            self._source = lambda: fixed
        self._lasts = _AT_ONCE if self._source is given_keys else _LASTS
        self._asked = time.monotonic()
        self._keys: Sequence[Secret] = ()
        self._ask()  # raises before anything is connected

    def all(self) -> Sequence[Secret]:
        self._ask_again(self._lasts)
        return self._keys

    def seal(self, text: str, about: Sequence[str]) -> str:
        return seal(text, self.all()[0], about)

    def unseal(self, text: str, about: Sequence[str], place: str) -> str:
        """Raises `StorageError`: `wrong_key`, or a damaged record."""
        raw = sealed_record(text, place)
        if not self._knows(raw):
            self._ask_again(_AT_ONCE)
        try:
            key = require_key(raw, self.all(), place)
        except StorageError as error:
            raise error.advised(
                f"It was left alone; add that key to {VARIABLE} or {FILE_VARIABLE}, or to key=. If"
                " it is lost, or another application's, use another namespace or schema"
            ) from None
        return opened(raw, key, about, place)

    def is_newest(self, text: str) -> bool:
        """Whether a text was sealed by the newest key."""
        return bool(sealed_record(text, "")["key"] == fingerprint(self.all()[0]))

    def has_sealed(self, text: str) -> bool:
        """Whether a text was sealed by one of these keys."""
        return self._knows(sealed_record(text, ""))

    def _knows(self, raw: dict[str, Any]) -> bool:
        return any(fingerprint(key) == raw["key"] for key in self.all())

    def names(self, *words: str) -> list[str]:
        """The name that each of the keys derives from these words."""
        return [named(key, *words) for key in self.all()]

    def _ask(self) -> None:
        given: Any = self._source()
        if not (
            isinstance(given, Iterable) and all(isinstance(key, Secret | str) for key in given)
        ):
            raise UsageError(
                f"the sealing keys are of the type {type(given).__name__}",
                hint="Expected texts of 32 bytes in base64, the newest first",
            )
        keys = [key if isinstance(key, Secret) else Secret(key) for key in given if key]
        if not keys:
            raise UsageError(
                "a storage that many hosts share needs a key to seal what it keeps",
                code="no_key",
                hint=f"Set {VARIABLE} or {FILE_VARIABLE} to 32 bytes in base64, the same for all"
                " (openssl rand -base64 32)",
            )
        for key in keys:
            fingerprint(key)
        self._keys = keys

    def _ask_again(self, seconds: float) -> None:
        """Ask again after so many seconds; if that fails, the known keys stay in use."""
        now = time.monotonic()
        if now - self._asked < seconds or (self._source is given_keys and _is_pipe()):
            return
        self._asked = now
        try:
            self._ask()
        except Exception as error:  # a KMS may raise anything, which may repeat a key
            logger.warning("the sealing keys cannot be read again: %s", type(error).__name__)


def _is_pipe() -> bool:
    """Whether the keys come from a pipe, which gives them once: a second read would wait."""
    path = os.path.expanduser(os.environ.get(FILE_VARIABLE, ""))
    return os.path.exists(path) and not os.path.isfile(path)
