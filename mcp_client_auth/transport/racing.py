"""An httpx transport for a person's own requests, which connects as the requests of a login do.

httpx tries the addresses of a host one after the other, each for the whole time limit, so one
that drops packets costs a request that time (RFC 8305). Everything else is httpx's.
"""

from __future__ import annotations

import math
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import httpcore
import httpx

from .connect import Backend, Moment, Policy
from .pools import for_threads
from .sender import SENDER, Sender

MOST_IDLE: Final = 20  # this and the next two are httpx's own
_MOST: Final = 100
_IDLE: Final = 5.0


def limits(most: int | None = None) -> dict[str, Any]:
    """The limits of a pool of `most` connections, except `MOST_IDLE`: see `for_threads`."""
    return {"max_connections": most or _MOST, "keepalive_expiry": _IDLE}


class RacingTransport(httpx.BaseTransport):
    """Pass it as `transport=`; the httpx client then ignores the environment's proxies.

    `policy`: which addresses may be connected to, None for all. `most`: connections at a time.
    """

    def __init__(
        self, context: ssl.SSLContext, policy: Policy | None = None, most: int | None = None
    ) -> None:
        self._spans = _Spans(policy)
        pool = httpcore.ConnectionPool(
            ssl_context=context, network_backend=self._spans, **limits(most)
        )
        self._pool = for_threads(pool, MOST_IDLE)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with in_httpx_words(), self._spans.sending(request.extensions.get(SENDER)):
            answer = self._pool.handle_request(to_httpcore(request))
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        self._pool.close()


def to_httpcore(request: httpx.Request) -> httpcore.Request:
    url = request.url
    where = httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )
    return httpcore.Request(
        request.method,
        where,
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with in_httpx_words():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _Spans(httpcore.NetworkBackend):
    """httpx says how long each step may take; our back end wants to know until when."""

    def __init__(self, policy: Policy | None) -> None:
        self._backend = Backend(policy)
        self._of_thread = threading.local()

    @contextmanager
    def sending(self, sender: Sender | None) -> Iterator[None]:
        """Attribute to this sender what this thread writes meanwhile."""
        self._of_thread.sender = sender
        try:
            yield
        finally:
            self._of_thread.sender = None

    @property
    def sender(self) -> Sender | None:
        return getattr(self._of_thread, "sender", None)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _Spanned(self._backend.connect_tcp(host, port, _moment(timeout)), self)


class _Spanned(httpcore.NetworkStream):
    """A stream that converts spans to moments; it is a `Wire`, too."""

    def __init__(self, stream: httpcore.NetworkStream, spans: _Spans) -> None:
        self._stream, self._spans = stream, spans
        self._turn = threading.Lock()
        self._sender: Sender | None = None

    def end(self, sender: Sender) -> None:
        with self._turn, suppress(OSError):  # it has ended by itself
            if self._sender is sender:
                self._stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _moment(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        sender = self._spans.sender
        with self._turn:
            self._sender = sender
        if sender:
            sender.writing(self)
        self._stream.write(buffer, _moment(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        until = _moment(timeout)
        return _Spanned(self._stream.start_tls(ssl_context, server_hostname, until), self._spans)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _moment(span: float | None) -> Moment:
    return math.inf if span is None else time.monotonic() + span


@contextmanager
def in_httpx_words() -> Iterator[None]:
    """Raise httpx's errors for httpcore's, which have the same names."""
    try:
        yield
    except socket.gaierror as error:
        raise httpx.ConnectError(str(error)) from error
    except (
        httpcore.NetworkError,
        httpcore.TimeoutException,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        kind = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error)) from error
