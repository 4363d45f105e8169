"""Forty-one ways in which a server fails to answer one request, byte for byte on its socket.

A fault is a function of the connection that has just brought the request; `answer` is what a
good server would have said, for faults that begin well. It returns True if the connection stays.
"""

from __future__ import annotations

import socket
import struct
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

_PATIENCE: Final = 60.0
_WALK: Final = 0.02


@dataclass(frozen=True)
class Wire:
    """One connection with a request on it; `url` is what was asked for, `elsewhere` is
    another origin, and `over` is set when nothing more will be sent."""

    socket: socket.socket
    url: str
    elsewhere: str
    answer: bytes
    over: threading.Event

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def whole(self, answer: bytes) -> bool:
        """Send a complete answer, after which the connection stays."""
        self.send(answer)
        return True

    def reset(self) -> None:
        """Reset the connection, as if the machine had disappeared."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Fault: TypeAlias = Callable[[Wire], bool | None]
_REASONS: Final = {200: "OK", 301: "Moved Permanently", 401: "Unauthorized"}
JSON: Final = "application/json"


def said(
    status: int, body: bytes = b"", kind: str = JSON, more: Mapping[str, str] | None = None
) -> bytes:
    """A complete answer; a header in `more` replaces the usual one."""
    fields = {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}
    lines = [f"{name}: {value}" for name, value in fields.items()]
    head = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Some Reason')}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def _says(
    status: int, body: bytes = b"", kind: str = JSON, more: Mapping[str, str] | None = None
) -> Fault:
    return lambda wire: wire.whole(said(status, body, kind, more))


def _after(value: str, status: int = 503) -> Fault:
    return _says(status, b"later", "text/plain", {"Retry-After": value})


def _moved(status: int, target: Callable[[Wire], str]) -> Fault:
    return lambda wire: wire.whole(said(status, more={"Location": target(wire)}))


def _silent(wire: Wire) -> None:
    wire.over.wait(_PATIENCE)


def _slow(wire: Wire) -> bool:
    """The whole answer, in time but a few bytes at once."""
    pace = max(1, len(wire.answer) // 20)
    for start in range(0, len(wire.answer), pace):
        wire.send(wire.answer[start : start + pace])
        wire.over.wait(_WALK)
    return True


def _dripped(wire: Wire, begun: bytes, drop: bytes) -> None:
    wire.send(begun)
    while not wire.over.wait(_WALK):
        wire.send(drop)


def _torn(wire: Wire, cut: int) -> None:
    wire.send(wire.answer[:cut])
    wire.over.wait(_WALK)  # it has arrived before the end comes
    wire.reset()


def _body_begins(answer: bytes) -> int:
    return answer.index(b"\r\n\r\n") + 4


def _huge(wire: Wire) -> None:
    wire.send(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"a": "')
    for _ in range(100):
        wire.send(b"a" * 1_000_000)


@cache
def _bomb() -> bytes:
    """A hundred megabytes of zeros, a hundred kilobytes on the wire."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"0" * 10_000_000
    return b"".join(packer.compress(block) for _ in range(10)) + packer.flush()


def _two_lengths(wire: Wire) -> None:
    head, _, body = wire.answer.partition(b"\r\n\r\n")
    wire.send(head + b"\r\nContent-Length: 3\r\n\r\n" + body)


def _endless_informational(wire: Wire) -> None:
    while not wire.over.is_set():
        wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")


def _huge_headers(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    for number in range(20_000):
        wire.send(f"X-{number}: ".encode() + b"a" * 1000 + b"\r\n")
    wire.send(b"\r\n{}")


_WRONG: Final = (
    b'{"resource": 1, "authorization_servers": {"a": 1}, "issuer": [], "token_endpoint": 0,'
    b' "authorization_endpoint": null, "code_challenge_methods_supported": "S256",'
    b' "client_id": 7, "redirect_uris": "x", "request_uri": [], "device_code": 1, "user_code": {},'
    b' "verification_uri": 3, "interval": "often", "access_token": ["x"], "token_type": 5,'
    b' "expires_in": "1e999", "refresh_token": true, "scope": 9, "jsonrpc": 2, "error": 12}'
)

# These end only at the client's own timeout; every other fault ends at once.
WAITED_FOR: Final = {"silent", "a dripping head", "a dripping body", "endless 1xx"}
IN_TIME: Final = "slow"
# `refused` is not an answer: the server that has this table stops listening beforehand.
REFUSED: Final = "refused"
FAULTS: Final[dict[str, Fault]] = {
    REFUSED: lambda wire: wire.reset(),
    "reset before the answer": lambda wire: wire.reset(),
    "reset inside the head": lambda wire: _torn(wire, 30),
    "reset inside the body": lambda wire: _torn(wire, _body_begins(wire.answer) + 1),
    "silent": _silent,
    "slow": _slow,
    "a dripping head": lambda wire: _dripped(wire, b"HTTP/1.1 200 OK\r\nX: ", b"a"),
    "a dripping body": lambda wire: _dripped(wire, b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    "301 to another origin": _moved(301, lambda wire: wire.elsewhere),
    "302 to itself": _moved(302, lambda wire: wire.url),
    "303 to nowhere": _moved(303, lambda wire: ""),
    "307 to another origin": _moved(307, lambda wire: wire.elsewhere),
    "308 without an end": _moved(308, lambda wire: wire.url + "/again"),
    "400": _says(400, b"no", "text/plain"),
    "401": _says(401),
    "403 as a page": _says(403, b"<!DOCTYPE html><title>No</title>", "text/html"),
    "404": _says(404, b"not found", "text/plain"),
    "405": _says(405),
    "429": _says(429),
    "429, again in a while": _after("120", 429),
    "429, again never": _after("9" * 400, 429),
    "500": _says(500, b"Internal Server Error", "text/plain"),
    "502 as a page": _says(502, b"<html><h1>502 Bad Gateway</h1></html>", "text/html"),
    "503": _says(503),
    "503, again at once": _after("0"),
    "503, again in the year 9999": _after("Fri, 31 Dec 9999 23:59:59 GMT"),
    "503, again at nonsense": _after("-1e999, next Tuesday\t\xff"),
    "empty": _says(200),
    "a page": _says(200, b"<!DOCTYPE html><title>Sign in to the network</title>", "text/html"),
    "less than was promised": lambda wire: wire.send(said(200, b"{", more={"Content-Length": "9"})),
    "JSON without its end": _says(200, b'{"issuer": "https://'),
    "wrong types": _says(200, _WRONG),
    "deep nesting": _says(200, b'{"a": ' * 50_000 + b"1" + b"}" * 50_000),
    "another charset": _says(200, '{"a": "ä"}'.encode("utf-16"), JSON + "; charset=utf-16"),
    "huge": _huge,
    "broken compression": _says(200, b"\x1f\x8b is no gzip", more={"Content-Encoding": "gzip"}),
    "huge when unpacked": lambda wire: wire.send(
        said(200, _bomb(), more={"Content-Encoding": "gzip"})
    ),
    "not HTTP": lambda wire: wire.send(b"\x16\x03\x01 SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "two lengths": _two_lengths,
    "endless 1xx": _endless_informational,
    "huge headers": _huge_headers,
}
