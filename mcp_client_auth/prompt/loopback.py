"""The loopback redirect endpoint: it passes on what may be the answer, and tells the truth.

It knows requests, not OAuth: `offer` decides whether a query is the answer. Nothing of a query
is logged or shown.
"""

from __future__ import annotations

import errno
import io
import selectors
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Final, Self
from urllib.parse import parse_qsl

from ..errors import LoginFailed, UsageError
from ..events import logger
from .page import HEADERS, Page, aside, neutral, render
from .short_address import OFF, OPENED, ShortAddress

_LINE: Final = 16 * 1024
_REQUEST: Final = 256 * 1024
_ONCE: Final = ("code", "state", "iss", "error")
_BOUND: Final = {
    "127.0.0.1": ("127.0.0.1",),
    "::1": ("::1",),
    "[::1]": ("::1",),
    "localhost": ("127.0.0.1", "::1"),
}


class Listener:
    """The loopback redirect endpoint (RFC 8252 §7.3): bound when made, before the URL exists.

    In seconds: an answer waits up to `hold` for the end of the login, a request may take
    `patience` to arrive, and closing waits `linger` for pages. `most`: connections at a time.
    """

    hold = 15.0
    patience = 10.0
    linger = 2.0
    most = 32

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, path: str = "/callback") -> None:
        if host not in _BOUND:
            raise UsageError("the callback host must be 127.0.0.1, ::1 or localhost")
        if not 0 <= port <= 65535:
            raise UsageError(f"{port} is not a port")
        plain = not any(c in "?#%" or not "!" <= c <= "~" for c in path)
        if path and not (plain and path.startswith("/")):
            raise UsageError("the callback path must be a plain path that starts with /")
        self._servers = _bind(self, host, port)
        self.port: int = self._servers[0].server_address[1]
        self.path = path or "/"  # what a browser requests of a URI without one
        name = "[::1]" if ":" in host else host
        self.redirect_uri = f"http://{name}:{self.port}{path}"
        names = {name, *(server.name for server in self._servers)}
        self.hosts = {f"{n}:{self.port}" for n in names} | (names if self.port == 80 else set())
        self.short: ShortAddress | None = None
        self._taken = b""  # the digest of the answer: an error code in it is not a secret to mask
        self._page: Page | None = None
        self._over = threading.Event()
        self._turn = threading.Lock()
        self._count = threading.Condition()
        self._answering = 0
        self._open: dict[socket.socket, None] = {}  # the oldest first
        self._held: set[socket.socket] = set()  # those that wait for the page
        self._closed = False
        self._wake, self._woken = socket.socketpair()
        self._thread: threading.Thread | None = None

    def start(
        self, offer: Callable[[str], bool], posted: Callable[[], None] = lambda: None
    ) -> None:
        """Serve from daemon threads; `offer(query)` returns whether a callback is the answer, and
        `posted()` is called for each form that came instead."""
        self._offer, self._posted = offer, posted
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def shorten(self, url: str, say: Callable[[str], None]) -> str:
        """An address here that leads to `url` once; `say` tells the person what went wrong."""
        self.short = ShortAddress(url, say)
        return self.redirect_uri.removesuffix(self.path) + self.short.path

    @property
    def answered(self) -> bool:
        return self._over.is_set() or bool(self._taken)

    def finish(self, page: Page) -> None:
        """Show `page` to the browsers that wait; any later callback is too late."""
        self._page = self._page or page
        self._over.set()

    def close(self) -> None:
        """Free the port at once, then let the waiting pages be written."""
        with self._count:
            if self._closed:
                return
            self._closed = True
        self._wake.send(b".")
        if self._thread:
            self._thread.join(self.linger)
        for server in self._servers:
            server.server_close()
        self._wake.close()
        self._woken.close()
        self.finish(Page("failed", "", ""))
        with self._count:
            self._count.wait_for(lambda: not self._answering, self.linger)
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        # Not serve_forever(): it polls, and closing would wait for the next poll.
        with selectors.DefaultSelector() as ready:
            ready.register(self._woken, selectors.EVENT_READ)
            for server in self._servers:
                ready.register(server, selectors.EVENT_READ, server)
            while not self._closed:
                for key, _ in ready.select():
                    if key.data:
                        key.data.handle_request()

    def admit(self, connection: socket.socket) -> bool:
        with self._count:
            room = len(self._open) < self.most or self._make_room()
            if room:
                self._open[connection] = None
            return room

    def _make_room(self) -> bool:
        """Close the oldest connection that waits for no page: otherwise anyone could open many,
        send nothing, and lock the callback out."""
        oldest = next((each for each in self._open if each not in self._held), None)
        if oldest is None:
            return False
        del self._open[oldest]
        with suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)
        return True

    def forget(self, connection: socket.socket) -> None:
        with self._count:
            self._open.pop(connection, None)
            self._held.discard(connection)

    @contextmanager
    def answer(self, query: str, connection: socket.socket) -> Iterator[tuple[int, bytes]]:
        """The response to a callback; `close()` waits until it is written."""
        # Counted before it is offered: the login may end before `offer` has returned.
        with self._count:
            self._answering += 1
            self._held.add(connection)
        try:
            status = self._judge(query)
            if status == 200:
                self._over.wait(self.hold)
            else:
                self._held.discard(connection)
            yield status, render(self._page) if self._page and status == 200 else aside(status)
        finally:
            with self._count:
                self._answering -= 1
                self._count.notify_all()

    def refuse_form(self) -> None:
        with self._turn:
            if not self.answered:
                self._posted()

    def _judge(self, query: str) -> int:
        # One at a time: of two answers that arrive together, only one wins.
        with self._turn:
            if self._over.is_set():
                return 410
            if self._taken:
                # A reload, or a scanner that was here first: the same answer, the same page.
                return 200 if compare_digest(self._taken, _digest(query)) else 410
            try:
                if not self._offer(query):
                    return 400
            except Exception as error:
                logger.debug("a callback could not be judged: %s", type(error).__name__)
                return 400
            self._taken = _digest(query)
            return 200


def _digest(query: str) -> bytes:
    return sha256(query.encode()).digest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # a full queue costs the next client a second or more
    # POSIX: a port in TIME_WAIT can be bound again, but not one that listens. On Windows the same
    # option would let another program listen beside us.
    allow_reuse_address = sys.platform != "win32"
    allow_reuse_port = False
    timeout = 0

    def __init__(self, listener: Listener, address: str, port: int) -> None:
        self.listener = listener
        self.name = f"[{address}]" if ":" in address else address
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Callback)
        self.socket.settimeout(1)  # a client that left before accept() must not block it

    def server_bind(self) -> None:
        if sys.platform == "win32":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        TCPServer.server_bind(self)  # HTTPServer's would ask the DNS for a name

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.listener.admit(request):
            super().process_request(request, client_address)
        else:
            self.close_request(request)

    def shutdown_request(self, request: Any) -> None:
        # Closing with data unread would reset the connection, and the page would be lost.
        with suppress(OSError):
            request.shutdown(socket.SHUT_WR)
            rest = _Timed(request, 1)
            while rest.read(65536):
                pass
        self.listener.forget(request)
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a callback connection broke off")


class _Callback(BaseHTTPRequestHandler):
    server: _Server
    raw_requestline: bytes
    _is_short = False

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Timed(self.connection, self.server.listener.patience))

    def parse_request(self) -> bool:
        if len(self.raw_requestline) > _LINE:
            self.command = self.requestline = self.request_version = ""
            status = 414
        elif super().parse_request():
            status = self._objection()
        else:
            return False
        if status:
            self.send_error(status)
        return not status

    def _objection(self) -> int:
        """The status that refuses this request, or 0."""
        listener = self.server.listener
        hosts = [host.lower() for host in self.headers.get_all("Host", [])]
        if self.command == "POST" and self._target()[0] == listener.path:
            listener.refuse_form()  # a sign-in page's form has an Origin of its own
            return 405
        origin = self.headers.get("Origin")
        if len(hosts) != 1 or hosts[0] not in listener.hosts:
            return 421  # DNS rebinding: a foreign name for our address
        if origin is not None and origin.lower().removeprefix("http://") not in listener.hosts:
            return 403
        if self._target()[0] != listener.path:
            target = self.requestline.split()[1]
            self._is_short = listener.short is not None and listener.short.is_at(target)
            if not self._is_short:
                return 404
        if self.command != "GET":
            return 405
        ahead = [self.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Moz")]
        # Prefetched or prerendered: perhaps no person will ever see the page.
        return 503 if any("pre" in value.lower() for value in ahead) else 0

    def _target(self) -> tuple[str, str]:
        # Not self.path, which the base class tidies up.
        path, _, query = self.requestline.split()[1].partition("?")
        return path, query

    def do_GET(self) -> None:
        if self._is_short:
            self._lead_on()
            return
        query = self._target()[1]
        times = Counter(name for name, _ in parse_qsl(query, keep_blank_values=True))
        if any(times[name] > 1 for name in _ONCE):  # RFC 6749 §3.1
            self.send_error(400)
            return
        with self.server.listener.answer(query, self.connection) as (status, body):
            self._show(status, body)

    def _lead_on(self) -> None:
        listener = self.server.listener
        if listener.short is None or listener.answered:
            self.send_error(410)
        elif url := listener.short.open():
            self._show(303, b"", url)
        else:
            self._show(410, neutral(*OPENED))

    def _show(self, status: int, body: bytes, location: str = "") -> None:
        self.connection.settimeout(5)
        self.send_response(status)
        allow = {"Allow": "GET"} if status == 405 else {}
        allow |= {"Location": location} if location else {}
        length = {"Content-Length": str(len(body)), "Connection": "close"}
        for name, value in (HEADERS | allow | length).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        short = self.server.listener.short
        off = code == 404 and short is not None and short.off
        # the base class would quote the request
        self._show(code, neutral(*OFF) if off else aside(code))

    def version_string(self) -> str:
        return "mcp-login"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        logger.debug("callback answered %d", code)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: the request line holds the code."""


class _Timed(io.RawIOBase):
    """Reads a socket up to a deadline: with a timeout for each read, a drip would never end."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._end = time.monotonic() + seconds
        self._left = _REQUEST

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        seconds = self._end - time.monotonic()
        if seconds <= 0 or self._left <= 0:
            raise TimeoutError
        self._connection.settimeout(seconds)
        count = self._connection.recv_into(buffer)
        self._left -= count
        return count


def _bind(listener: Listener, host: str, port: int) -> list[_Server]:
    """Bind every address of `host` on one port; for an ephemeral port, try again on failure."""
    for more in range(0 if port else 9, -1, -1):
        try:
            return _bind_once(listener, _BOUND[host], port)
        except OSError as error:
            if more:
                continue
            why = error.strerror or type(error).__name__
            if not port:
                refused = f"no callback can arrive on {host}: {why}"
                raise LoginFailed(refused, code="no_listener") from None
            raise LoginFailed(
                f"the callback port {port} on {host} cannot be used: {why}",
                code="port_in_use",
                hint="End the program that listens there (perhaps another login),"
                " or choose another port that the client is registered for",
            ) from None
    raise AssertionError


def _bind_once(listener: Listener, addresses: tuple[str, ...], port: int) -> list[_Server]:
    servers: list[_Server] = []
    for address in addresses:
        try:
            servers.append(_Server(listener, address, port))
        except OSError as error:
            # A machine without ::1 listens on 127.0.0.1 only.
            if servers and error.errno not in (errno.EADDRINUSE, errno.EACCES):
                continue
            for server in servers:
                server.server_close()
            raise
        port = servers[0].server_address[1]
    return servers
