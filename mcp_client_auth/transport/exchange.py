"""One request and its answer over httpcore, until a moment and within limits."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing, suppress
from typing import Any, Final

import httpcore
import httpx

from ..protocol.flow import HttpRequest, HttpResponse
from .answers import body_of, first_message
from .tls import OnTls

_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",  # servers send two kinds of deflate (RFC 9110 §8.4.1.2)
    "User-Agent": "mcp-client-auth",
}
_OF_STREAM: Final = 2.0  # seconds for its first message
_A_DAY: Final = 86_400.0
_SOCKS_SETUP: Final = "socks.setup_socks5_connection"
_TO_SOCKS: Final = ("socks.connect_tcp", _SOCKS_SETUP)


class Exchange:
    """One request and its answer, as httpcore reports it.

    `connecting`: it has not got beyond the first connection. `garbled`: what answered there is
    not a SOCKS proxy.
    """

    def __init__(self, request: HttpRequest, url: str, on_tls: OnTls, *, proxied: bool) -> None:
        self._request, self._url = request, url
        self._on_tls, self._proxied = on_tls, proxied
        self._began = False  # whether a connection was begun for this
        self._fresh: Any = None  # the connection that was made
        self.connecting = self.garbled = False

    def run(self, pool: httpcore.ConnectionPool, deadline: float) -> HttpResponse:
        request, headers = self._request, httpx.Headers(_HEADERS)
        headers.update(request.headers)
        if self._url == request.url:  # and not where a redirect has led
            headers.update(request.gateway)
        content = request.body or None
        sent = httpx.Request(request.method, self._url, headers=headers, content=content)
        self._url, url = str(sent.url), sent.url
        where = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        # moments, for our back end; only "pool" is read by httpcore itself, as seconds
        timeout = dict.fromkeys(("connect", "read", "write"), deadline)
        timeout["read"] += request.lasting
        timeout["pool"] = min(max(deadline - time.monotonic(), 0.01), _A_DAY)
        outgoing = httpcore.Request(
            sent.method,
            where,
            headers=sent.headers.raw,
            content=sent.stream,
            extensions={"timeout": timeout, "trace": self._trace},
        )
        try:
            with closing(pool.handle_request(outgoing)) as response:
                answered = httpx.Headers(response.headers)
                encoding = answered.get("content-encoding", "")
                if answered.get("content-type", "").startswith("text/event-stream"):
                    timeout["read"] = min(timeout["read"], time.monotonic() + _OF_STREAM)
                    body = b"" if encoding else self._message(response.iter_stream())
                else:
                    body = body_of(response.iter_stream(), encoding, self._url)
        except BaseException:
            if self._fresh is not None:  # httpcore leaves some open
                self._fresh.close()
            raise
        return HttpResponse(response.status, self._url, tuple(answered.multi_items()), body)

    def _message(self, chunks: Iterable[bytes]) -> bytes:
        """The first message of a stream that answers a POST; a GET's may be silent for long."""
        if self._request.method == "POST":
            with suppress(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
                return first_message(chunks)
        return b""

    def lost(self, error: Exception) -> bool:
        """Whether the connection that broke was kept or made ahead, not one that was never made."""
        broken = isinstance(error, httpcore.NetworkError | httpcore.RemoteProtocolError)
        return broken and not self._began

    def _trace(self, name: str, info: dict[str, Any]) -> None:
        what, _, state = name.rpartition(".")
        first = what.startswith("connection.") or what in _TO_SOCKS
        if first:
            self.connecting = state != "complete"
        if what == _SOCKS_SETUP:
            self.garbled = state == "failed"
        if what.endswith(".connect_tcp"):
            self._began = state != "complete" or not info["return_value"].ahead
        if state != "complete":
            return
        if what.endswith(".connect_tcp"):
            self._fresh = info["return_value"]
        elif what.endswith(".start_tls") and self._on_tls and not (first and self._proxied):
            self._on_tls(self._url, info["return_value"].get_extra_info("ssl_object"))
