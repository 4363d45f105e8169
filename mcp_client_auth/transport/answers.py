"""What is read from an answer: its body within limits, and where it redirects to."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from typing import Final
from urllib.parse import urljoin

from ..errors import BadResponse
from ..origin import same_origin
from ..protocol.flow import HttpRequest, HttpResponse

_LIMIT: Final = 1024 * 1024
_OF_STREAM: Final = 64 * 1024
_BLANK_LINE: Final = re.compile(rb"(?>\r\n|\r|\n){2}")
_BOM: Final = b"\xef\xbb\xbf"
_REDIRECTS: Final = (301, 302, 303, 307, 308)


def redirect_target(request: HttpRequest, response: HttpResponse) -> str | None:
    """The URL that a GET is redirected to, within its origin only (RFC 9110 §15.4)."""
    target = response.header("location")
    followed = request.method == "GET" and request.redirects
    if not followed or response.status not in _REDIRECTS or not target:
        return None
    try:
        joined = urljoin(response.url, target)
    except ValueError:
        return None
    return joined if same_origin(response.url, joined) else None


def body_of(chunks: Iterable[bytes], encoding: str, url: str) -> bytes:
    """The body, decompressed piece by piece: a small one must not become a huge one."""
    body, began, machine = bytearray(), False, None
    if encoding.strip().lower() in ("gzip", "x-gzip", "deflate"):
        machine = zlib.decompressobj(47)  # 47: gzip or zlib, whichever the header says
    for chunk in chunks:
        began = began or bool(chunk)
        body += machine.decompress(chunk, _LIMIT + 1) if machine else chunk
        if len(body) > _LIMIT:
            raise BadResponse("the answer is larger than 1 MiB", url=url)
    if machine and began and not machine.eof:
        raise zlib.error("the end is missing")
    return bytes(body)


def first_message(chunks: Iterable[bytes]) -> bytes:
    """The data of a stream's first message (HTML Living Standard §9.2.6), empty if none comes
    soon. What comes after it is not read, because it may have no end."""
    rest, read = bytearray(), 0
    for chunk in chunks:
        rest += chunk
        read += len(chunk)
        if _BLANK_LINE.search(rest, max(len(rest) - len(chunk) - 3, 0)):
            if len(rest) == read:
                rest = rest.removeprefix(_BOM)
            *events, last = _BLANK_LINE.split(bytes(rest))
            if message := next(filter(None, map(_message, events)), b""):
                return message
            rest = bytearray(last)
        if read > _OF_STREAM:
            break
    return b""


def _message(event: bytes) -> bytes:
    lines = [line.partition(b":") for line in event.splitlines()]
    fields = [(name, value.removeprefix(b" ")) for name, _, value in lines]
    if dict(fields).get(b"event", b"") not in (b"", b"message"):
        return b""
    return b"\n".join(value for name, value in fields if name == b"data")
