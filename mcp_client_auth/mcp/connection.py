"""A connection to one MCP server, over a client of httpx or httpx2 that brings the login."""

from __future__ import annotations

import math
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from typing import Any, Final, Self, TypeVar

from .. import __version__
from ..errors import AuthError, Unavailable
from ..origin import shown
from ..transport.faults import Place, fault
from ..transport.sender import SENDER, Wire
from .exchange import ENDED, Head, Plan, Read, Send, Server, Wait, call, exchange, farewell
from .messages import Message, is_request, reply_to

T = TypeVar("T")
_PATIENCE: Final = 300.0
_FAREWELL: Final = 2.0
_WITHOUT_END: Final = (30.0, None, _PATIENCE, None)  # to connect, read, write, and get a connection
_LATE: Final = "timeout"


class Stopped(Exception):
    """An exchange that was stopped from outside."""


class Connection:
    """Requests to the server at `url`. Safe from any thread.

    `client` sends them, with its own authorization, and is closed by whoever made it. `timeout`:
    seconds until the answer to a request must be there. `on_message` is called with each message
    that comes beside the answer. `fault_of` makes an error of ours of one of the client's.
    """

    def __init__(
        self,
        client: Any,
        url: str,
        *,
        timeout: float = _PATIENCE,
        on_message: Callable[[Message], None] = lambda message: None,
        fault_of: Callable[[Exception], AuthError] | None = None,
    ) -> None:
        self.server = Server(url, {"name": "mcp-client-auth", "version": __version__})
        self._client, self._timeout, self._on_message = client, timeout, on_message
        self._fault_of = fault_of or (lambda error: fault(error, Place(url, timeout)))
        roots = (kind.__module__.partition(".")[0] for kind in type(client).__mro__)
        library = sys.modules[next(root for root in roots if root in ("httpx", "httpx2"))]
        self._errors: tuple[type[Exception], ...] = (
            library.HTTPError,
            library.InvalidURL,
            UnicodeError,  # a host that is no name (RFC 5891)
            Unavailable,
        )

    def request(
        self, method: str, params: Message | None = None, headers: Mapping[str, str] | None = None
    ) -> Message:
        """The result of a request. Raises any `AuthError`; `ServerError` is the server's own."""
        return self.run(call(self.server, method, params or {}, headers))

    def run(
        self, plan: Plan[T], timeout: float | None = None, via: OpenExchange | None = None
    ) -> T:
        """Carry out a plan of `exchange`, blocking, until its end or that of the time.

        `via`: what carries its requests, where another thread may stop it; `Stopped` then.
        """
        patience = self._timeout if timeout is None else timeout
        until = time.monotonic() + patience
        via = via or OpenExchange(self._client, self.server.url)
        with closing(plan), closing(via) as open_exchange:
            try:
                step = next(plan)
                while True:
                    try:
                        left = until - time.monotonic()
                        if left <= 0 or (isinstance(step, Wait) and step.seconds >= left):
                            raise self._late(patience)
                        if isinstance(step, dict):
                            self._take(step, left)
                            given = None
                        else:
                            given = open_exchange.do(step, left)
                    except self._errors as error:
                        if open_exchange.stopped:
                            raise Stopped from None
                        if time.monotonic() >= until or getattr(error, "code", "") == _LATE:
                            raise self._late(patience) from None
                        step = plan.throw(self._ours(error))
                    else:
                        step = plan.send(given)
            except StopIteration as end:
                result: T = end.value
                return result

    def _ours(self, error: Exception) -> AuthError:
        """An error of the client as one of ours; what was sent may have been done all the same."""
        if isinstance(error, Unavailable):
            return error
        ours, connecting = self._fault_of(error), type(error).__name__.startswith("Connect")
        if ours.code == Unavailable.default_code and not connecting:
            ours.advised(ENDED)
        return ours

    def _late(self, patience: float) -> Unavailable:
        return Unavailable(
            f"no answer within {patience:g} s", url=self.server.url, code=_LATE, hint=ENDED
        )

    def _take(self, message: Message, left: float) -> None:
        """A message beside the answer. A request wants an answer, which may fail by itself; from
        2026-07-28 on there is none (transports, “Receiving Messages”)."""
        self._on_message(message)
        if is_request(message) and not self.server.stateless:
            with suppress(AuthError):
                self.run(exchange(self.server, reply_to(message)), left)

    def close(self) -> None:
        """End the session at the server, if there is one; a failure is no one's concern."""
        with suppress(AuthError):
            self.run(farewell(self.server), _FAREWELL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Connection({shown(self.server.url)!r}, version={self.server.version!r})"


class OpenExchange:
    """The request of a plan that is open, and its response. `auth` stands in for the client's."""

    def __init__(self, client: Any, url: str, auth: Any = None) -> None:
        self._client, self._url = client, url
        self._auth = {"auth": auth} if auth else {}
        self._response: Any = None
        self._pieces: Iterator[bytes] = iter(())
        self._wire: Wire | None = None
        self._stop = threading.Event()

    def do(self, step: Send | Read | Wait, left: float) -> Head | bytes | None:
        if self.stopped:
            raise Stopped
        if isinstance(step, Read):
            return next(self._pieces, b"")
        if isinstance(step, Wait):
            self._stop.wait(step.seconds)
            return None
        self.close()
        client, headers = self._client, {"accept-encoding": "identity", **step.headers}
        timeout = left if left < math.inf else _WITHOUT_END
        sent = client.build_request(
            step.method,
            self._url,
            headers=headers,
            content=step.body or None,
            timeout=timeout,
            extensions={SENDER: self},
        )
        self._response = response = client.send(
            sent, stream=True, follow_redirects=False, **self._auth
        )
        self._pieces = response.iter_bytes()
        return Head(response.status_code, {k.lower(): v for k, v in response.headers.items()})

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def writing(self, wire: Wire) -> None:
        """A request that was stopped while a person signed in is not sent."""
        self._wire = wire
        if self.stopped:
            raise Stopped

    def stop(self) -> None:
        """From any thread: to close a socket does not wake the thread that reads it."""
        self._stop.set()
        if self._wire:
            self._wire.end(self)
            return
        response = self._response
        if response is None or response.is_closed:
            return
        stream = response.extensions.get("network_stream")
        with suppress(OSError, AttributeError):  # it has ended by itself, or is no socket
            stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
