"""Proxies on loopback, which decide what any name resolves to, and record what was asked for."""

from __future__ import annotations

import socket
import ssl
import struct

from tests.support.listening import PATIENCE, Listening, head, relay, some


class Proxy(Listening):
    """Connects every request to one port of this machine; `asked` are the hosts and ports.

    A subclass speaks HTTP (CONNECT and plain requests) or SOCKS5.
    """

    scheme = "http"

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.asked: list[tuple[str, int]] = []
        self.heads: list[str] = []
        self._target, self._tls = target, tls
        self.url = f"{'https' if tls else self.scheme}://127.0.0.1:{self.port}"

    def _serve(self, connection: socket.socket) -> None:
        if self._tls is None:
            self._forward(connection)
            return
        with self._tls.wrap_socket(connection, server_side=True) as secured:
            self._forward(secured)

    def _forward(self, connection: socket.socket) -> None:
        first = self._greeted(connection)
        with socket.create_connection(("127.0.0.1", self._target), PATIENCE) as onward:
            onward.sendall(first)
            relay(connection, onward)

    def _greeted(self, connection: socket.socket) -> bytes:
        """Return what the client wants to send first; note in `asked` where it wants to go."""
        data = head(connection)
        self.heads.append(data.decode("latin-1"))
        method, target, _ = data.decode("latin-1").split(" ", 2)
        host, _, port = target.removeprefix("http://").partition("/")[0].partition(":")
        self.asked.append((host, int(port or 80)))
        if method != "CONNECT":
            return data
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        return b""


class SocksProxy(Proxy):
    scheme = "socks5"

    def _greeted(self, connection: socket.socket) -> bytes:
        some(connection)
        connection.sendall(b"\x05\x00")
        request = some(connection)
        length = request[4]
        host, (port,) = (
            request[5 : 5 + length],
            struct.unpack("!H", request[5 + length : 7 + length]),
        )
        self.asked.append((host.decode(), port))
        connection.sendall(b"\x05\x00\x00\x01" + bytes(6))
        return b""
