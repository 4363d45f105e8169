"""A socket on loopback that serves each connection on a thread, until its test has ended."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

PATIENCE: Final = 90.0


class Listening:
    """A subclass handles each connection in `_serve`; a connection that breaks is ignored."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.connections = 0
        self._socket = socket.create_server((host, 0))
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._served, args=(connection,), daemon=True).start()

    def _served(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        with suppress(OSError), connection:
            self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        raise NotImplementedError


def head(connection: socket.socket) -> bytes:
    """Read up to the end of a request's head, or a little further."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += some(connection)
    return data


def some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("it has gone")
    return data


def relay(client: socket.socket, onward: socket.socket) -> None:
    """Copies both ways, until both sides have ended.

    One thread does both: two that read and write one TLS connection at once break it.
    """
    other = {client: onward, onward: client}
    sources = {client, onward}
    while sources:
        full = [each for each in sources if isinstance(each, ssl.SSLSocket) and each.pending()]
        ready = full or select.select(sources, [], [], PATIENCE)[0]
        if not ready:
            return
        for source in ready:
            try:
                data = source.recv(65536)
                if data:
                    other[source].sendall(data)
                    continue
            except OSError:
                pass
            sources.discard(source)
            with suppress(OSError):
                other[source].shutdown(socket.SHUT_WR)
