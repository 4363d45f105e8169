"""Strings that must not be seen, and texts with every repetition of them masked.

A `Secret` shows itself only where `.reveal()` is written. Servers quote what they refuse: a
whole header, a form, half a token. So any 12 characters in a row of a secret are hidden, in
whatever form it was written. Each form is cut into blocks of 6 characters, so that any 12 in a
row hold a whole block; a text is searched once for all blocks of all secrets.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False  # typing costs more than `mcp-login token` does
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Final, NoReturn, final
else:

    def final(kind):
        return kind


MASK: Final = "****"
LEAST: Final = 12
_BLOCK: Final = 6
_CONSIDERED: Final = 8192
_PASSWORD: Final = 512  # what is longer is not sent in a Basic header
_PLACES: Final = 8  # of one block: enough unless a secret is one character repeated
_KEPT: Final = 32
_QUOTED: Final = 200
_ESCAPE: Final = re.compile(r"%[0-9A-F]{2}")
_LONGEST: Final = 4096  # of a server's words; what is shown of them is shorter
# an assertion or a proof: it begins with the base64 of `{"`, and may have been cut short
_SIGNED: Final = re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}")


@final
class Secret:
    """A token, code, verifier, client secret or assertion on its way from reader to sender.

    `repr`, `str`, `format` and f-strings give `****`; pickling and JSON raise `TypeError`;
    there is no `__dict__`. Two secrets compare in constant time. No message repeats one that was
    made or revealed recently (`Known`).

    Example:
        ```python
        from mcp_client_auth import Secret

        token = Secret("what no log may show")
        print(token)  # ****
        token.reveal()  # only where it is sent
        ```
    """

    __slots__ = ("__noted", "__value")

    def __init__(self, value: str) -> None:
        self.__value = value
        KNOWN.note(value)
        self.__noted = KNOWN.number

    def reveal(self) -> str:
        if self.__noted != KNOWN.number:
            KNOWN.note(self.__value)
            self.__noted = KNOWN.number
        return self.__value

    def matches(self, text: str) -> bool:
        """Whether `text` is this secret, in constant time. It may come from anyone."""
        from hmac import compare_digest

        ours, theirs = (each.encode(errors="surrogatepass") for each in (self.__value, text))
        return compare_digest(ours, theirs)

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self.matches(other.__value)

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled; keep it in a storage")


class MaskedText(str):
    """A text to send whose repr is masked, because a notebook stores what a cell ends with."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


def masked(text: str, secrets: Iterable[Secret | None]) -> str:
    """A server's text without the secrets that were sent to it: some servers echo them."""
    text = _SIGNED.sub(MASK, text[:_LONGEST])
    values = [secret.reveal() for secret in secrets if secret]
    text = without(text, Parts(values).spans(text))
    for value in values:
        if len(value) < LEAST:  # too short for parts; a short form might be a piece of any word
            telling = {form for form in forms(value) if len(form) >= LEAST // 2}
            for form in sorted({value, *telling}, key=len, reverse=True):
                text = text.replace(form, MASK)
    return text


class Parts:
    """Some secrets, and where texts repeat them."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._new = list(values)
        self._blocks: dict[str, list[tuple[str, int]]] = {}
        self.values = set(self._new)

    def add(self, value: str) -> None:
        if value not in self.values:
            self.values.add(value)
            self._new.append(value)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the text repeats 12 characters or more of a secret, from left to right."""
        while self._new:
            try:
                value = self._new.pop()
            except IndexError:  # another thread has taken the last one
                break
            for form in forms(value[:_CONSIDERED]):
                for place in range(0, len(form) - _BLOCK + 1, _BLOCK):
                    places = self._blocks.setdefault(form[place : place + _BLOCK], [])
                    if len(places) < _PLACES:
                        places.append((form, place))
        known, last, over = self._blocks, len(text) - _BLOCK, 0
        for at in range(last + 1):
            block = text[at : at + _BLOCK]
            if block not in known or at < over:
                continue
            for form, place in known[block]:
                start, end = _extent(form, place, text, at)
                if end - start >= LEAST:
                    over = max(over, end)
                    yield start, end


def _extent(form: str, place: int, text: str, at: int) -> tuple[int, int]:
    """How far form and text are alike around a block that they share."""
    left, right = 0, _BLOCK
    while left < min(place, at) and form[place - left - 1] == text[at - left - 1]:
        left += 1
    most = min(len(form) - place, len(text) - at)
    while right < most and form[place + right] == text[at + right]:
        right += 1
    return at - left, at + right


def forms(value: str) -> set[str]:
    """The value as it is, in a URL or form, in JSON, and in a Basic header after any client id."""
    import json
    from urllib.parse import quote, quote_plus

    escaped = quote(value, safe="", errors="replace")
    spelled = {value, escaped, quote_plus(value, errors="replace")}
    spelled |= {_ESCAPE.sub(lambda escape: escape[0].lower(), form) for form in spelled}
    spelled |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    if len(value) <= _PASSWORD:
        for each in {value, escaped}:
            spelled.update(_in_base64(each.encode(errors="replace")))
    return spelled


def _in_base64(value: bytes) -> Iterator[str]:
    """The part of its base64 that is certain, wherever it begins in a group of three bytes."""
    from base64 import b64encode, urlsafe_b64encode

    for before, uncertain in enumerate((0, 2, 3)):
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(bytes(before) + value).decode()[uncertain:]


class Known:
    """The secrets that this process has handled most recently, at most twice `_KEPT`.

    `number` changes whenever the older half is dropped.
    """

    def __init__(self) -> None:
        self.number = 0
        self._older, self._newer = Parts(), Parts()

    def note(self, value: str) -> None:
        if len(value) < LEAST:
            return
        if len(self._newer.values) >= _KEPT:
            self._older, self._newer = self._newer, Parts()
            self.number += 1
        self._newer.add(value)

    def hidden(self, text: str) -> str:
        """The text with each part of these secrets masked."""
        older, newer = self._older, self._newer
        if len(text) < LEAST or not (older.values or newer.values):
            return text
        return without(text, [*older.spans(text), *newer.spans(text)])


def without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with a mask in the place of each span; they may overlap."""
    kept, at = [], 0
    for start, end in sorted(spans):
        if start >= at:
            kept += [text[at:start], MASK]
        at = max(at, end)
    return "".join(kept) + text[at:]


KNOWN: Final = Known()
hidden = KNOWN.hidden


def quoted(text: str, limit: int = _QUOTED) -> str:
    """A server's own text, made fit for a message: printable, short, in quotes."""
    return f"“{clean(text, limit)}”"


def clean(text: str, limit: int = _QUOTED) -> str:
    """The same without quotes."""
    text = hidden(text[: limit * 4])
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    if " " in text:  # the one space that is printable
        text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
