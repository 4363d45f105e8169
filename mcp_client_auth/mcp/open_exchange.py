"""An open request to a server, its response, and a way to stop it from another thread."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Final

from ..threads import done_within
from ..transport.sender import FIRST_URL, SENDER, Wire
from .exchange import Head, Read, Send, Wait

# to connect, read, write, and get a connection
_WITHOUT_END: Final = (30.0, None, 300.0, None)


class Stopped(Exception):
    """An exchange that was stopped from outside."""


class OpenExchange:
    """The open request of a plan, and its response. `auth` is used instead of the client's."""

    def __init__(self, client: Any, url: str, auth: Any = None) -> None:
        self._client, self._url, self._first_url = client, url, ""
        self._auth = {"auth": auth} if auth else {}
        self._response: Any = None
        self._pieces: Iterator[bytes] = iter(())
        self._wire: Wire | None = None
        self._stop = threading.Event()
        self._waiting: Future[Any] | None = None
        self._waited, self._idle_since, self._sending = 0.0, math.inf, False

    @property
    def waited(self) -> float:
        """The seconds spent waiting not for the server, but for a login or for its person."""
        return self._waited + max(0.0, time.monotonic() - self._idle_since)

    @property
    def idle(self) -> bool:
        """Whether it is the turn of a login now."""
        return self._idle_since < math.inf

    def excuse(self, seconds: float) -> None:
        """Add to the seconds of `waited`."""
        self._waited += seconds

    @property
    def url(self) -> str:
        return self._url

    def another(self) -> OpenExchange:
        """Another exchange beside it, to the same place."""
        return OpenExchange(self._client, self._url, self._auth.get("auth"))

    def do(self, step: Send | Read | Wait, left: float) -> Head | bytes | None:
        if self.stopped:
            raise Stopped
        if isinstance(step, Read):
            piece = next(self._pieces, b"")
            if not piece and self.stopped:  # a body without a length ends that way, too
                raise Stopped
            return piece
        if isinstance(step, Wait):
            self._stop.wait(step.seconds)
            return None
        self.close()
        self._idle_since, self._sending = time.monotonic(), True
        try:
            self._response = response = self._send(step, step.url or self._where(), left)
        finally:
            self._sending = False
            self._resume()
        self._pieces = response.iter_bytes()
        return Head(response.status_code, {k.lower(): v for k, v in response.headers.items()})

    def _where(self) -> str:
        return self._url

    def _send(self, step: Send, url: str, left: float) -> Any:
        client, headers = self._client, {"accept-encoding": "identity", **step.headers}
        timeout = left if left < math.inf else _WITHOUT_END
        sent = client.build_request(
            step.method,
            url,
            headers=[
                (k.encode(), v.encode("utf-8", "surrogateescape")) for k, v in headers.items()
            ],
            content=step.body or None,
            timeout=timeout,
            extensions={SENDER: self, FIRST_URL: self._first_url, "trace": self._trace},
        )
        return client.send(sent, stream=True, follow_redirects=False, **self._auth)

    def _trace(self, name: str, _: object) -> None:
        """Called by httpcore for each step on the wire. A login is between two of them."""
        if self._sending:
            self._resume()
            if not name.endswith(".started"):
                self._idle_since = time.monotonic()

    def _resume(self) -> None:
        self._waited, self._idle_since = self.waited, math.inf

    def wait_for(self, future: Future[Any], left: float) -> bool:
        """Whether the result that another thread brings has come in time."""
        self._waiting = future
        if self.stopped:
            raise Stopped
        with suppress(CancelledError):
            if not done_within(future, left if left < math.inf else None):
                return False
        if self.stopped:
            raise Stopped
        return True

    def give(self, body: bytes) -> None:
        """Make `body` all that is read next."""
        self._pieces = iter([body] if body else [])

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def writing(self, wire: Wire) -> None:
        """A request that was stopped while a person signed in is not sent."""
        self._wire = wire
        if self.stopped:
            raise Stopped

    def stop(self) -> None:
        """Stop it, from any thread: closing a socket would not wake the thread that reads it."""
        self._stop.set()
        if self._waiting is not None:
            self._waiting.cancel()
        if self._wire:
            self._wire.end(self)
            return
        response = self._response
        if response is None or response.is_closed:
            return
        stream = response.extensions.get("network_stream")
        with suppress(OSError, AttributeError):  # it has ended by itself, or is not a socket
            stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
