"""The asynchronous sibling of `racing`, for a server that must be at a public address.

Each connection is judged by the address that it goes to; everything else is httpx's.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Any

import anyio
import httpcore
import httpx

from .addresses import admitted
from .connect import Policy
from .racing import MOST_IDLE, in_httpx_words, limits, to_httpcore


class GuardedTransport(httpx.AsyncBaseTransport):
    """Pass it as `transport=` of an `AsyncClient`."""

    def __init__(self, context: ssl.SSLContext, policy: Policy) -> None:
        backend = _Judged(policy)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            network_backend=backend,
            max_keepalive_connections=MOST_IDLE,
            **limits(),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with in_httpx_words():
            answer = await self._pool.handle_async_request(to_httpcore(request))
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with in_httpx_words():
            async for chunk in self._answer.aiter_stream():
                yield chunk

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Judged(httpcore.AsyncNetworkBackend):
    def __init__(self, policy: Policy) -> None:
        self._policy, self._inner = policy, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            with anyio.fail_after(timeout):
                entries = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"no address of {host}") from None
        found = dict.fromkeys(str(entry[4][0]) for entry in entries)
        trouble: Exception = httpcore.ConnectError(f"{host} has no address")
        # a name is looked up once: the addresses that were judged are those connected to
        for address in list(admitted(found, lambda each: self._policy.admit(host, each))):
            try:
                stream = await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                trouble = error
            else:
                return stream
        raise trouble

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)
