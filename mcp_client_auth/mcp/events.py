"""Server-sent events from the bytes of a stream (HTML Living Standard §9.2.5, §9.2.6).

The pieces of the stream may be of any size; of a stream without end only one event is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ..errors import BadResponse

_END: Final = re.compile(rb"\r\n|\n|\r")
_BOM: Final = b"\xef\xbb\xbf"


class EventReader:
    """Reads the data of each event of the type `message`.

    `last_id` and `retry` (seconds) are what the server has said in case the connection breaks;
    they outlive `restart`, which forgets an event that was cut off. `endpoint` is what the event
    of that name said (2024-11-05, transports, “HTTP with SSE”).
    """

    def __init__(self, limit: int) -> None:
        self.last_id = ""
        self.retry: float | None = None
        self.endpoint = ""
        self._limit = limit
        self._id = ""
        self.restart()

    def restart(self) -> None:
        """Prepare for the next connection of the same stream."""
        self._line = bytearray()
        self._begun = self._after_return = False
        self._id = self.last_id
        self._forget()

    def _forget(self) -> None:
        self._data, self._type = bytearray(), b""

    def feed(self, piece: bytes) -> Iterator[str]:
        """Raises `BadResponse` for an event beyond the limit, or one that is not UTF-8."""
        if self._after_return and piece:  # the CR before has ended the line
            piece, self._after_return = piece.removeprefix(b"\n"), False
        self._after_return = piece.endswith(b"\r") or (self._after_return and not piece)
        *ended, rest = _END.split(piece)
        for line in ended:
            whole, self._line = bytes(self._line + line), bytearray()
            if not self._begun:
                whole, self._begun = whole.removeprefix(_BOM), True
            if whole:
                self._field(whole)
                continue
            self.last_id = self._id
            data, kind = bytes(self._data[:-1]), self._type
            self._forget()
            if data and kind in (b"", b"message"):
                try:
                    yield data.decode()
                except UnicodeDecodeError:
                    raise BadResponse("an event of the stream is not UTF-8") from None
            elif kind == b"endpoint":
                self.endpoint = data.decode("utf-8", "replace")
        self._line += rest
        if len(self._line) + len(self._data) > self._limit:
            raise BadResponse(
                f"an event of the stream is larger than {self._limit >> 20} MiB", code="too_large"
            )

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data += value + b"\n"
        elif name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) < 10:
            self.retry = int(value) / 1000
