"""Connects to hosts: one look-up, each address judged before it is tried, RFC 8305, one deadline.

A network back end for httpcore (its public `network_backend=`). httpcore passes the numbers of a
request's `timeout` extension on unread. Here they are moments of `time.monotonic()`, so no
exchange outlives its deadline, however slowly the other side answers.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from itertools import zip_longest
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

import httpcore

from ..threads import done_within, shortest
from .addresses import admitted, literal_address

SILENT: Final = "no answer"  # the reason of an address that drops packets
_T = TypeVar("_T")
_APART: Final = 0.25  # RFC 8305 §8: Connection Attempt Delay
_AHEAD: Final = 4.0  # seconds that a connection made ahead may wait for its first request
_A_DAY: Final = 86_400.0
# A server with Nagle's algorithm on sends the rest of an answer once its head is acknowledged. On
# a kept connection that is 40 ms late unless we hurry. The option is not permanent.
_QUICK_ACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
# A peer that has silently gone, as after a laptop's sleep, is noticed within two minutes: a stream
# that waits for events has no time limit. macOS has another name for the first option.
_PROBES: Final = [
    (getattr(socket, name), value)
    for name, value in (
        ("TCP_KEEPIDLE", 60),
        ("TCP_KEEPALIVE", 60),
        ("TCP_KEEPINTVL", 15),
        ("TCP_KEEPCNT", 4),
    )
    if hasattr(socket, name)
]
_CHUNK: Final = 32 * 1024
_TICKETS: Final = 4  # a server sends one or two; OpenSSL two, each on its own
_UNDER_WAY: Final = (0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN)

Moment: TypeAlias = float | None


class Policy(Protocol):
    """Which addresses may be connected to."""

    def admit(self, host: str, address: str) -> None:
        """Raise `InsecureUrl` for an address that must not be connected to."""
        ...

    def connected(self, host: str, address: str) -> None:
        """Note the address of an established connection."""
        ...

    def failed(self, host: str, address: str, why: str) -> None:
        """Note an address that could not be connected to."""
        ...


class Entry(NamedTuple):
    """One address of a host, as `getaddrinfo` returns it."""

    family: int
    kind: int
    protocol: int
    name: str
    place: tuple[Any, ...]

    @property
    def address(self) -> str:
        return str(self.place[0])


class Backend(httpcore.NetworkBackend):
    """Connects to servers under a policy, or without one to a proxy that the user has chosen.

    `tls`: a connection counts as established once this context has verified its certificate.
    """

    def __init__(self, policy: Policy | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self._policy, self._tls = policy, tls
        self._worked: dict[str, str] = {}
        self._ahead: dict[tuple[str, int], Stream] = {}

    def connect_ahead(self, host: str, port: int, until: float) -> None:
        """Connect for the first request there; nothing is sent.

        Raises what connecting raises. A certificate that fails is reported by that request.
        """
        stream = self.connect_tcp(host, port, until)
        try:
            stream.secure_ahead(self._tls, host, until)
        except (httpcore.NetworkError, httpcore.TimeoutException):
            return
        if self._ahead.setdefault((host, port), stream) is not stream:
            stream.close()

    def close(self) -> None:
        """Close the connections that were made ahead and not used."""
        while self._ahead:
            self._ahead.popitem()[1].close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: Moment = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Stream:
        if ready := self._ahead.pop((host, port), None):
            if ready.usable():
                return ready
            ready.close()
        with _mapped(httpcore.ConnectTimeout, httpcore.ConnectError):
            entries = looked_up(host, port, timeout)
            if policy := self._policy:
                entries = list(admitted(entries, lambda entry: policy.admit(host, entry.address)))
            entries.sort(key=lambda entry: entry.address != self._worked.get(host))
            failed = partial(self._policy.failed, host) if self._policy else _nothing
            raw, address = _race(entries, timeout, failed)
        self._worked[host] = address  # tried first the next time
        stands = partial(self._policy.connected, host, address) if self._policy else _nothing
        if not self._tls:
            stands()
        return Stream(raw, timeout, stands)


def _nothing(*_: object) -> None:
    """Nothing is remembered about a proxy's addresses."""


class Stream(httpcore.NetworkStream):
    """A TCP connection. Each `timeout` is a moment, not a span.

    If it is None (httpcore passes none while it talks to a SOCKS proxy), the moment until which the
    connection had to be made counts.
    """

    def __init__(self, raw: socket.socket, until: Moment, stands: Callable[[], None]) -> None:
        self._raw, self._until, self._stands = raw, until, stands
        self._secured: TlsStream | None = None  # if made ahead
        self._idle_since = 0.0

    @property
    def ahead(self) -> bool:
        """Whether it was made before there was a request for it."""
        return self._idle_since > 0

    def secure_ahead(self, context: ssl.SSLContext | None, host: str, until: float) -> None:
        if context is not None:
            context.set_alpn_protocols(["http/1.1"])  # as httpcore does
            self._secured = self.start_tls(context, host, until)
        self._idle_since = time.monotonic()

    def usable(self) -> bool:
        """Whether one made ahead has waited only briefly, and the other side has not ended it."""
        young = time.monotonic() - self._idle_since < _AHEAD
        return young and not (self._secured or self).get_extra_info("is_readable")

    def read(self, max_bytes: int, timeout: Moment = None) -> bytes:
        with _mapped(httpcore.ReadTimeout, httpcore.ReadError):
            self._raw.settimeout(_left(timeout or self._until))
            if _QUICK_ACK is not None:
                self._raw.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
            return self._raw.recv(max_bytes)

    def write(self, buffer: bytes, timeout: Moment = None) -> None:
        rest = memoryview(buffer)
        with _mapped(httpcore.WriteTimeout, httpcore.WriteError):
            while rest:
                self._raw.settimeout(_left(timeout or self._until))
                rest = rest[self._raw.send(rest) :]

    def close(self) -> None:
        self._raw.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: Moment = None,
    ) -> TlsStream:
        secured, self._secured = self._secured, None
        if secured is None:
            secured = TlsStream(self, ssl_context, server_hostname, timeout)
            self._stands()
        return secured

    def get_extra_info(self, info: str) -> Any:
        """`is_readable`: whether the other side has ended an idle connection.

        It is asked under the pool's lock, while another thread may begin to use the connection, so
        this does not touch the socket's mode and does not wait.
        """
        if info != "is_readable":
            return self._raw if info == "socket" else None
        try:
            with selectors.DefaultSelector() as ready:
                ready.register(self._raw, selectors.EVENT_READ)
                return bool(ready.select(0))
        except (OSError, ValueError):  # it is closed
            return True


class TlsStream(httpcore.NetworkStream):
    """TLS over any stream, so that it works inside the TLS of a proxy too."""

    def __init__(
        self,
        inner: httpcore.NetworkStream,
        context: ssl.SSLContext,
        host: str | None,
        until: Moment,
    ) -> None:
        self._inner, self._in, self._out = inner, ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            with _mapped(httpcore.ConnectTimeout, httpcore.ConnectError):
                self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
                self._pump(self._tls.do_handshake, until)
        except BaseException:
            with suppress(httpcore.NetworkError, httpcore.TimeoutException):
                self._flush(until)  # the alert
            inner.close()
            raise

    def read(self, max_bytes: int, timeout: Moment = None) -> bytes:
        with _mapped(httpcore.ReadTimeout, httpcore.ReadError):
            try:
                return self._pump(partial(self._tls.read, max_bytes), timeout)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def write(self, buffer: bytes, timeout: Moment = None) -> None:
        rest = memoryview(buffer)
        with _mapped(httpcore.WriteTimeout, httpcore.WriteError):
            while rest:
                rest = rest[self._pump(partial(self._tls.write, rest), timeout) :]

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: Moment = None,
    ) -> TlsStream:
        return TlsStream(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        """`is_readable`: whether more than session tickets arrived (RFC 8446 §4.6.1): the end of
        the connection, or noise."""
        if info != "is_readable":
            return self._tls if info == "ssl_object" else self._inner.get_extra_info(info)
        try:
            for _ in range(_TICKETS):
                if self._in.pending or not self._inner.get_extra_info("is_readable"):
                    break
                self._in.write(self._inner.read(_CHUNK, time.monotonic() + 1))
                with suppress(ssl.SSLWantReadError):
                    self._tls.read(1)
                    return True
            return self._in.pending > 0 or self._inner.get_extra_info("is_readable")
        except (OSError, httpcore.NetworkError, httpcore.TimeoutException):
            return True

    def _pump(self, step: Callable[[], _T], until: Moment) -> _T:
        """Do one step of OpenSSL, with as much reading and writing as it needs."""
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._flush(until)
                if data := self._inner.read(_CHUNK, until):
                    self._in.write(data)
                else:
                    self._in.write_eof()
            else:
                self._flush(until)
                return done

    def _flush(self, until: Moment) -> None:
        if self._out.pending:
            self._inner.write(self._out.read(), until)


def looked_up(host: str, port: int, until: Moment) -> list[Entry]:
    """The addresses of a host, looked up on a thread, since a resolver accepts no deadline.

    They are in the resolver's order, but the families take turns (RFC 8305 §4).
    """
    answer: Future[list[Entry]] = Future()

    def look() -> None:
        try:
            entries = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
            answer.set_result([Entry(*entry) for entry in entries])
        except BaseException as error:
            answer.set_exception(error)

    try:
        if literal_address(host):  # nothing to wait for
            look()
        else:
            threading.Thread(target=look, daemon=True).start()
    except RuntimeError:  # no thread starts while the interpreter ends
        look()
    while True:
        if done_within(answer, _left(until)):
            break
    entries = answer.result()
    first = [entry for entry in entries if entry.family == entries[0].family]
    other = [entry for entry in entries if entry.family != entries[0].family]
    return [entry for pair in zip_longest(first, other) for entry in pair if entry]


def _race(
    waiting: list[Entry], until: Moment, failed: Callable[[str, str], None]
) -> tuple[socket.socket, str]:
    """The first connection that succeeds, and its address; the others are closed and reported.

    An attempt begins a quarter of a second after the last one, or as soon as that has failed
    (RFC 8305 §5).
    """
    trouble, begin_at = OSError("the name has no address"), 0.0
    with selectors.DefaultSelector() as attempts:
        try:
            while waiting or attempts.get_map():
                left = _left(until)
                pause = begin_at - time.monotonic() if waiting else None
                if pause is not None and (pause <= 0 or not attempts.get_map()):
                    begin_at = time.monotonic() + _APART
                    entry = waiting.pop(0)
                    try:
                        _begin(attempts, entry)
                    except OSError as error:
                        trouble, begin_at = error, 0.0
                        failed(entry.address, error.strerror or "")
                    continue
                for key, _ in attempts.select(shortest(left, pause)):
                    raw: Any = attempts.unregister(key.fileobj).fileobj
                    code = raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        _watch(raw)
                        return raw, key.data
                    raw.close()
                    trouble, begin_at = _system_error(code), 0.0
                    failed(key.data, trouble.strerror or "")
            raise trouble
        finally:
            for key in list(attempts.get_map().values()):
                failed(key.data, SILENT)
                unneeded: Any = key.fileobj
                unneeded.close()


def _watch(raw: socket.socket) -> None:
    with suppress(OSError):  # an old Windows
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _PROBES:
            raw.setsockopt(socket.IPPROTO_TCP, option, value)


def _begin(attempts: selectors.BaseSelector, entry: Entry) -> None:
    raw = socket.socket(entry.family, entry.kind, entry.protocol)
    try:
        raw.setblocking(False)
        if (code := raw.connect_ex(entry.place)) not in _UNDER_WAY:
            raise _system_error(code)
        attempts.register(raw, selectors.EVENT_WRITE, entry.address)
    except BaseException:
        raw.close()
        raise


def _system_error(code: int) -> OSError:
    words = getattr(socket, "errorTab", {}).get(code)  # Windows has no strerror for sockets
    return OSError(code, words or os.strerror(code))


def _left(until: Moment) -> float | None:
    if until is None:
        return None
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return min(left, _A_DAY)  # a socket accepts no longer time


@contextmanager
def _mapped(late: type[Exception], broken: type[Exception]) -> Iterator[None]:
    """Raise httpcore's errors. The policy's refusals and the resolver's errors pass unchanged."""
    try:
        yield
    except socket.gaierror:
        raise
    except TimeoutError as error:
        raise late(str(error)) from None
    except OSError as error:  # ssl.SSLError is one
        raise broken(str(error)) from None
