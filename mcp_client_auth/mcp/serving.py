"""HTTP/1.1 for clients on this machine: a thread for each connection, and a limit on everything
that a client may send, keep open, or leave unread. It knows nothing of MCP.

h11 judges what a connection may say. No request is logged.
"""

from __future__ import annotations

import queue
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, NamedTuple, Self

import h11

from ..errors import UsageError
from ..events import logger
from ..threads import Cancel
from .gate import Headers, Refusal
from .upstream import MOST_HELD, Budget, once

_MOST: Final = 500  # connections; the selector of Windows knows 512
_HEAD: Final = 64 * 1024
_HEAD_SECONDS: Final = 10.0  # that the head of a request may take to arrive
_BODY_SECONDS: Final = 60.0
_IDLE: Final = 300.0  # between two requests
_UNREAD: Final = 300.0  # that a client may read nothing of its answer
_LINGER: Final = 1.0
_PIECE: Final = 1 << 16
_NO_SNIFFING: Final = ("X-Content-Type-Options", "nosniff")
_NAMES: Final = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1", "::1": "[::1]"}


class Request(NamedTuple):
    """Names of headers are in lower case."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""


class Reply:
    """The answer to one request, written as it comes. `gone` is cancelled if the client hangs up
    before its end; `taken` is to be called once the body of the request is no longer needed."""

    def __init__(self, connection: _Connection, taken: Callable[[], None] = lambda: None) -> None:
        self._connection, self.gone, self.taken = connection, Cancel(), taken
        self.begun = False

    def begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        self.begun = True
        self._connection.send(
            h11.Response(
                status_code=status,
                headers=[*headers, ("Cache-Control", "no-store"), _NO_SNIFFING],
                reason=b"",
            )
        )

    def write(self, piece: bytes) -> None:
        if piece:
            self._connection.send(h11.Data(data=piece))

    def end(self) -> None:
        self._connection.send(h11.EndOfMessage())

    def whole(self, status: int, kind: str, body: bytes, *headers: tuple[str, str]) -> None:
        length = ("Content-Length", str(len(body)))
        self.begin(status, [("Content-Type", kind), length, *headers])
        self.write(body)
        self.end()


class Serving:
    """`judge` says from the head of a request why it may not pass; `answer` answers one that may.

    `largest`: bytes of a body; `budget`: for the bodies of all requests not sent on yet. The port
    is bound when this is made; `hosts` is what the header `Host` may say.
    """

    def __init__(self, host: str, port: int, *, largest: int, budget: Budget) -> None:
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.name = f"{_NAMES[host]}:{self.port}"
        names = (_NAMES[host], "localhost")
        self.hosts = {f"{name}:{self.port}" for name in names}
        if self.port == 80:
            self.hosts |= {*names}
        self.largest, self.budget, self.held = largest, budget, Budget(MOST_HELD)
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._changes: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._turn = threading.Condition()
        self._open: dict[_Connection, None] = {}  # the oldest first
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(
        self,
        judge: Callable[[str, str, Headers], Refusal | None],
        answer: Callable[[Request, Reply], None],
    ) -> None:
        self.judge, self.answer = judge, answer
        self._thread.start()

    def close(self, seconds: float = 2.0) -> None:
        """Free the port, and end what is under way, within that many seconds."""
        until = time.monotonic() + seconds
        with self._turn:
            self._closed = True
        if self._thread.is_alive():
            self._wake.send(b".")
            self._thread.join(seconds)
        self._selector.close()
        for each in (self._socket, self._wake, self._woken):
            each.close()
        with self._turn:
            for connection in self._open:
                connection.end()
            while self._open and (left := until - time.monotonic()) > 0:
                self._turn.wait(left)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def watched(
        self, raw: socket.socket, gone: Cancel, forgotten: threading.Event
    ) -> Iterator[None]:
        """Watch meanwhile whether the client hangs up. `raw` may be closed only once it is
        `forgotten`, which the answer need not wait for."""

        def forget() -> bool:
            try:
                self._selector.unregister(raw)
            except (KeyError, ValueError):
                return False
            return True

        def look() -> None:
            if forget():  # what it sends now is the next request
                with suppress(OSError):
                    if raw.recv(1, socket.MSG_PEEK):
                        return
                gone.cancel()

        forgotten.clear()
        self._do(lambda: self._selector.register(raw, selectors.EVENT_READ, look))
        try:
            yield
        finally:
            self._do(forget)
            self._do(forgotten.set)
            if self._closed:
                forgotten.set()

    def _do(self, change: Callable[[], object]) -> None:
        self._changes.put(change)
        if not self._closed:
            with suppress(OSError):  # the end
                self._wake.send(b".")

    def _run(self) -> None:
        """The one thread that touches the selector."""
        self._selector.register(self._woken, selectors.EVENT_READ, self._change)
        self._selector.register(self._socket, selectors.EVENT_READ, self._accept)
        while not self._closed:
            for key, _ in self._selector.select():
                try:
                    key.data()
                except Exception:  # of one connection; the others go on
                    logger.exception("the listener failed at a connection")
        self._do_all()

    def _change(self) -> None:
        self._woken.recv(4096)
        self._do_all()

    def _do_all(self) -> None:
        while not self._changes.empty():
            with suppress(OSError, ValueError, KeyError):  # it has ended meanwhile
                self._changes.get()()

    def _accept(self) -> None:
        try:
            raw, _ = self._socket.accept()
        except OSError:  # the client has left, or there are no more files
            time.sleep(0.01)
            return
        with suppress(OSError):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(raw, self)
        with self._turn:
            full = len(self._open) >= _MOST and not self._make_room()
            if not full:
                self._open[connection] = None
        if full:
            with suppress(OSError):
                raw.setblocking(False)
                raw.send(b"HTTP/1.1 503 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            raw.close()
            return
        try:
            threading.Thread(target=connection.run, name="listener", daemon=True).start()
        except RuntimeError:  # there are no more threads
            self.forget(connection)
            raw.close()

    def _make_room(self) -> bool:
        """End the oldest connection of which no request has passed yet, so that those who may not
        pass lock no one out."""
        stranger = next((each for each in self._open if not each.known), None)
        if stranger is None:
            return False
        del self._open[stranger]
        stranger.end()
        return True

    def forget(self, connection: _Connection) -> None:
        with self._turn:
            self._open.pop(connection, None)
            self._turn.notify_all()


class _Connection:
    """A client's connection, and its requests, one after the other."""

    def __init__(self, raw: socket.socket, serving: Serving) -> None:
        self._raw, self._serving = raw, serving
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD)
        self._gone: Cancel | None = None
        self._forgotten = threading.Event()
        self._forgotten.set()
        self.known = False  # whether a request of it has passed
        self._patience = _HEAD_SECONDS  # for the first byte of the next request

    def run(self) -> None:
        try:
            while self._serve():
                self._h11.start_next_cycle()
                self._patience = _IDLE
        except (OSError, h11.ProtocolError):
            pass  # the client has hung up, or has had its answer
        except Exception:
            logger.exception("the listener failed at a request")
        finally:
            self._close()
            self._serving.forget(self)

    def end(self) -> None:
        """End it, from another thread."""
        if self._gone:
            self._gone.cancel()
        with suppress(OSError):
            self._raw.shutdown(socket.SHUT_RDWR)

    def send(self, event: Any) -> None:
        data = memoryview(self._h11.send(event) or b"")
        try:
            while data:
                self._raw.settimeout(_UNREAD)
                data = data[self._raw.send(data[:_PIECE]) :]
        except OSError:
            self.end()  # what came next would be read as the rest of this
            raise

    def _serve(self) -> bool:
        """Serve one request; return whether another may follow."""
        try:
            request = self._head()
            if request is None:
                return False
            refusal = self._serving.judge(*request[:3])
            if refusal is None:
                self.known = True
                return self._answered(request)
        except h11.RemoteProtocolError as error:
            refusal = Refusal(error.error_status_hint, "This is not an HTTP request")
        self._refuse(refusal)
        return False

    def _head(self) -> Request | None:
        """The head of the next request; None if the client sends no more."""
        if not self._h11.trailing_data[0]:
            self._receive(time.monotonic() + self._patience)
        until = time.monotonic() + _HEAD_SECONDS
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            self._receive(until)
        if not isinstance(event, h11.Request):
            return None
        headers = [(name.decode("latin-1"), text.decode("latin-1")) for name, text in event.headers]
        return Request(event.method.decode(), event.target.decode("latin-1"), headers)

    def _answered(self, request: Request) -> bool:
        largest = self._serving.largest
        lengths = [int(text) for name, text in request.headers if name == "content-length"]
        chunked = any(name == "transfer-encoding" for name, _ in request.headers)
        size = largest if chunked else sum(lengths)
        if size > largest:
            self._refuse(Refusal(413, f"A message may be at most {largest >> 20} MiB"))
            return False
        budget, body = self._serving.budget, None
        budget.take(size)
        try:
            body = self._body(largest)
        finally:
            budget.give(size - len(body or b""))
        if body is None:
            self._refuse(Refusal(413, f"A message may be at most {largest >> 20} MiB"))
            return False
        reply, held = Reply(self, once(partial(budget.give, len(body)))), self._serving.held
        if not held.take_now(len(body)):
            reply.taken()
            self._refuse(Refusal(503, f"More than {MOST_HELD >> 20} MiB at once. Try again later"))
            return False
        try:
            self._gone = reply.gone
            with self._serving.watched(self._raw, reply.gone, self._forgotten):
                self._serving.answer(request._replace(body=body), reply)
        finally:
            self._gone = None
            reply.taken()
            held.give(len(body))
        return self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE

    def _body(self, largest: int) -> bytes | None:
        """The whole body; None if it is too large."""
        if self._h11.they_are_waiting_for_100_continue:
            self.send(h11.InformationalResponse(status_code=100, headers=[], reason=b""))
        until, body = time.monotonic() + _BODY_SECONDS, bytearray()
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                self._receive(until)
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > largest:
                    return None
            elif isinstance(event, h11.EndOfMessage):
                return bytes(body)
            else:
                raise OSError("it has hung up")

    def _receive(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._raw.settimeout(left)
        self._h11.receive_data(self._raw.recv(_PIECE))

    def _refuse(self, refusal: Refusal) -> None:
        if self._h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        status, text, headers = refusal
        close = ("Connection", "close")
        Reply(self).whole(status, "text/plain", f"{text}.\n".encode(), close, *headers)

    def _close(self) -> None:
        # if something is unread, the close would be a reset, and the answer would be lost
        with suppress(OSError):
            self._raw.shutdown(socket.SHUT_WR)
            until = time.monotonic() + _LINGER
            while (left := until - time.monotonic()) > 0:
                self._raw.settimeout(left)
                if not self._raw.recv(_PIECE):
                    break
        self._forgotten.wait(_LINGER)
        self._raw.close()


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens on loopback, which is all that `host` may name."""
    if host not in _NAMES:
        raise UsageError(
            "the listener must be on loopback",
            hint="Expected 127.0.0.1:PORT, [::1]:PORT or localhost:PORT",
        )
    address = _NAMES[host].strip("[]")
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        if sys.platform == "win32":  # another program could listen beside us there
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
        bound.listen(128)
    except (OSError, OverflowError) as error:
        bound.close()
        why = getattr(error, "strerror", "") or "it is not a port"
        raise UsageError(
            f"the port {port} on {host} cannot be used: {why}",
            hint="End the program that listens there, or choose another port",
        ) from None
    bound.setblocking(False)
    return bound
