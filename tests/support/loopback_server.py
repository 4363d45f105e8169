"""A server on 127.0.0.1 that says exactly the bytes that it is told to, and what it was sent."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeAlias

Behaviour: TypeAlias = Callable[["LoopbackServer", socket.socket], None]
_PATIENCE = 20.0


class LoopbackServer:
    """`requests` are the heads and bodies received; `over` is set when the test has ended.

    `listens`: whether it waits for a request before it behaves.
    """

    def __init__(
        self, behaviour: Behaviour, tls: ssl.SSLContext | None = None, *, listens: bool = True
    ) -> None:
        self.behaviour = behaviour
        self._listens = listens
        self.requests: list[str] = []
        self.connections = 0
        self.over = threading.Event()
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        with suppress(OSError), connection:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                received = _received(connection) if self._listens else "nothing yet"
                if received:
                    self.requests.append(received)
                    self.behaviour(self, connection)


def _received(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return ""
        data += more
        if data.startswith(b"\x16"):
            return "a TLS handshake"
    head, _, body = data.partition(b"\r\n\r\n")
    fields = [line.partition(b":") for line in head.lower().split(b"\r\n")]
    length = next((int(value) for name, _, value in fields if name == b"content-length"), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return (head + b"\r\n\r\n" + body).decode("latin-1")


def says(body: bytes = b"{}", status: str = "200 OK", *headers: str) -> Behaviour:
    """A whole answer with its length."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return raw("\r\n".join(lines).encode() + body)


def raw(data: bytes) -> Behaviour:
    return lambda server, connection: connection.sendall(data)


def endless(head: bytes, block: bytes, times: int = 100_000) -> Behaviour:
    """The head, then a block again and again, until the other side hangs up."""

    def behaviour(server: LoopbackServer, connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(times):
            connection.sendall(block)

    return behaviour


def drips(head: bytes, drop: bytes = b" ") -> Behaviour:
    """The head, then a drop every 20 ms: each arrives within any timeout for one read."""

    def behaviour(server: LoopbackServer, connection: socket.socket) -> None:
        connection.sendall(head)
        while not server.over.wait(0.02):
            connection.sendall(drop)

    return behaviour


def hangs(server: LoopbackServer, connection: socket.socket) -> None:
    server.over.wait(_PATIENCE)


def resets(server: LoopbackServer, connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
