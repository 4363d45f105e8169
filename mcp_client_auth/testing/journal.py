"""The layer in front of both servers: records requests; delays, fails or alters answers if told.

A record holds no query, no header and no body, so that it never holds a secret.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .changed_answers import changing

Side: TypeAlias = Literal["mcp", "as"]
Pause: TypeAlias = Callable[[float], Awaitable[None]]
TOKEN_PATH = "/oauth2/token"
_GRANTS = (
    "", "authorization_code", "refresh_token", "client_credentials", "jwt-bearer", "device_code",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that was answered.

    `grant_type` is without its URN prefix, and empty except at the token endpoint.

    Example:
        ```python
        from mcp_client_auth.testing import DemoServer, RequestRecord


        def paths(server: DemoServer) -> list[str]:
            requests: list[RequestRecord] = server.requests
            return [f"{record.method} {record.path} {record.status}" for record in requests]
        ```
    """

    side: Side
    method: str
    path: str
    status: int
    grant_type: str = ""


@dataclass(slots=True)
class _Failure:
    path_suffix: str
    status: int
    times: int
    body: bytes
    headers: tuple[tuple[str, str], ...]

    def response(self) -> Response:
        return Response(self.body, self.status, headers=dict(self.headers))


class Held:
    """One request that a test holds: before it is processed, or before its answer is sent.

    `reached` is set once it is held; then call `release()`, or `lose()` for an answer that never
    arrives complete.

    Example:
        ```python
        import threading

        import httpx
        from mcp_client_auth.testing import DemoServer

        with DemoServer() as server:
            held = server.hold_next("/mcp")
            thread = threading.Thread(target=httpx.get, args=(server.url,))
            thread.start()
            held.wait()  # the request is there, and waits
            held.release()
            thread.join()
        ```
    """

    def __init__(self, path_suffix: str, *, processed: bool) -> None:
        self.path_suffix, self.processed = path_suffix, processed
        self.reached = threading.Event()
        self.lost = False
        self._over = threading.Event()

    def wait(self, timeout: float = 20.0) -> None:
        if not self.reached.wait(timeout):
            raise TimeoutError(f"no request to {self.path_suffix} came within {timeout:.0f} s")

    def release(self) -> None:
        self._over.set()

    def lose(self) -> None:
        self.lost = True
        self._over.set()

    async def stand(self) -> None:
        """Hold the server's request here; polled, because the test is on another thread."""
        self.reached.set()
        while not self._over.is_set():
            await asyncio.sleep(0.005)

    def sending(self, send: Send) -> Send:
        """Return a `send` that holds the answer first if asked to; a lost one is cut off."""

        async def late(message: Message) -> None:
            first = message["type"] == "http.response.start"
            if first and self.processed:
                await self.stand()
            if first or not self.lost:
                await send(message)

        return late


class Journal:
    """The requests so far and the failures to come; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[RequestRecord] = []
        self._failures: list[_Failure] = []
        self._held: list[Held] = []
        self._changes: dict[str, dict[str, Any]] = {}

    def note(self, record: RequestRecord) -> None:
        with self._lock:
            self._records.append(record)

    @property
    def records(self) -> list[RequestRecord]:
        with self._lock:
            return list(self._records)

    def clear(self) -> None:
        with self._lock:
            self._records.clear()

    def plan(
        self,
        path_suffix: str,
        status: int,
        times: int,
        body: bytes,
        headers: Iterable[tuple[str, str]],
    ) -> None:
        with self._lock:
            self._failures.append(_Failure(path_suffix, status, times, body, tuple(headers)))

    def hold(self, held: Held) -> None:
        with self._lock:
            self._held.append(held)

    def held(self, path: str) -> Held | None:
        """The hold for the next request on this path, used up by this call."""
        with self._lock:
            found = next((h for h in self._held if path.endswith(h.path_suffix)), None)
            if found:
                self._held.remove(found)
            return found

    def change(self, path_suffix: str, fields: dict[str, Any]) -> None:
        with self._lock:
            self._changes[path_suffix] = fields

    def changes(self, path: str) -> dict[str, Any]:
        """The wrong fields of answers on this path."""
        with self._lock:
            found = [fields for suffix, fields in self._changes.items() if path.endswith(suffix)]
        return {name: value for fields in found for name, value in fields.items()}

    def planned(self, path: str) -> Response | None:
        """The failure for the next request on this path, used up by this call."""
        with self._lock:
            for failure in self._failures:
                if failure.times > 0 and path.endswith(failure.path_suffix):
                    failure.times -= 1
                    return failure.response()
        return None


class Gate:
    """The ASGI application in front of a server's own."""

    def __init__(
        self, app: ASGIApp, *, side: Side, journal: Journal, pause: Pause, latency: float
    ) -> None:
        self._app = app
        self._side: Side = side
        self._journal = journal
        self._pause = pause
        self._latency = latency

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        grant_type = ""
        if scope["path"].endswith(TOKEN_PATH):
            body = await Request(scope, receive).body()
            grant_type, receive = _grant_type(body), _again(body, receive)
        if self._latency:
            await self._pause(self._latency)
        if changes := self._journal.changes(scope["path"]):
            send = changing(changes, send)
        held = self._journal.held(scope["path"])
        if held:
            send = held.sending(send)
            if not held.processed:
                await held.stand()
        app = self._journal.planned(scope["path"]) or self._app
        await app(scope, receive, self._noting(scope, grant_type, send))

    def _noting(self, scope: Scope, grant_type: str, send: Send) -> Send:
        # recorded before it is sent: once an answer has arrived, its record is there
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._journal.note(
                    RequestRecord(
                        side=self._side,
                        method=scope["method"],
                        path=scope["path"],
                        status=message["status"],
                        grant_type=grant_type,
                    )
                )
            await send(message)

        return noting


def _grant_type(body: bytes) -> str:
    """A known grant type, or `other`: a client may send anything here, even a secret."""
    asked = parse_qs(body.decode("utf-8", "replace")).get("grant_type", [""])[0]
    short = asked.removeprefix("urn:ietf:params:oauth:grant-type:")
    return short if short in _GRANTS else "other"


def _again(body: bytes, receive: Receive) -> Receive:
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again
