"""A server on 127.0.0.1 that sends exactly the given bytes, and records what it was sent."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

from tests.support.listening import PATIENCE, Listening

Behaviour: TypeAlias = Callable[["LoopbackServer", socket.socket], None]


class LoopbackServer(Listening):
    """`requests` are the heads and bodies received; `over` is set when the test has ended.

    `listens`: whether it waits for a request before it behaves.
    """

    def __init__(
        self,
        behaviour: Behaviour,
        tls: ssl.SSLContext | None = None,
        *,
        listens: bool = True,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(host)
        self.behaviour = behaviour
        self._listens = listens
        self.requests: list[str] = []
        self.over = threading.Event()
        self._tls = tls
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"

    def __exit__(self, *ending: Any) -> None:
        self.over.set()
        super().__exit__(*ending)

    def _serve(self, connection: socket.socket) -> None:
        if self._tls:
            connection = self._tls.wrap_socket(connection, server_side=True)
        with connection:
            whole = received(connection) if self._listens else "nothing yet"
            if whole:
                self.requests.append(whole)
                self.behaviour(self, connection)


def received(connection: socket.socket) -> str:
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
        more = connection.recv(65536)
        if not more:  # otherwise this thread would loop until the end of the tests
            return ""
        body += more
    return (head + b"\r\n\r\n" + body).decode("latin-1")


def says(body: bytes = b"{}", status: str = "200 OK", *headers: str) -> Behaviour:
    """A complete answer with its length."""
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
    server.over.wait(PATIENCE)


def resets(server: LoopbackServer, connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextmanager
def silent(address: str, port: int) -> Iterator[None]:
    """An address that drops what is sent to it: a listener whose queue is full."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket(family))
            filler.setblocking(False)
            filler.connect_ex((address, port))
        time.sleep(0.05)
        yield
