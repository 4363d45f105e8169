"""A string that must not be seen: it shows itself only where `.reveal()` is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NoReturn, final
from urllib.parse import quote_plus

_MASK = "****"
# an assertion or a proof: it begins with the base64 of `{"`, and may have been cut short
_SIGNED = re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}")


@final
class Secret:
    """A token, code, verifier, client secret or assertion on its way from reader to sender.

    `repr`, `str`, `format` and f-strings give `****`; pickling and JSON raise `TypeError`;
    there is no `__dict__`. Two secrets compare in constant time.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        return self.__value

    def __repr__(self) -> str:
        return f"Secret({_MASK})"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        from hmac import compare_digest

        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self.__value.encode(), other.__value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled; keep it in a storage")


def masked(text: str, secrets: Iterable[Secret | None]) -> str:
    """A server's text without the secrets that were sent to it: some echo what they refuse."""
    for secret in secrets:
        if secret:
            text = text.replace(secret.reveal(), _MASK).replace(quote_plus(secret.reveal()), _MASK)
    return _SIGNED.sub(_MASK, text)
