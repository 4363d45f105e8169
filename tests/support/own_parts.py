"""A custom prompt and a custom transport, written only with the names of `extending`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from mcp_client_auth import LoginFailed
from mcp_client_auth.extending import (
    Answer,
    AnswerSource,
    AuthorizationRequest,
    Callback,
    Ending,
    FirstAnswer,
    HttpRequest,
    HttpResponse,
)


class OwnVisit:
    """One listener for one sign-in; `show` brings the person to the address."""

    def __init__(self, callback: Callback, show: Callable[[str], object]) -> None:
        self._show, self._path = show, callback.path
        self._race: FirstAnswer | None = None
        self.endings: list[Ending] = []
        visit = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                known = path == visit._path and visit._race is not None
                accepted = known and visit._race is not None and visit._race.offer(query)
                self.send_response(200 if accepted else 404)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._listener = HTTPServer((callback.host, callback.port), Handler)
        self._thread = threading.Thread(target=self._listener.serve_forever, daemon=True)

    @property
    def redirect_uri(self) -> str:
        return f"http://127.0.0.1:{self._listener.server_port}{self._path}"

    def ask(self, request: AuthorizationRequest, timeout: float, *beside: AnswerSource) -> Answer:
        race = self._race = FirstAnswer(request)
        self._thread.start()
        self._show(request.url)
        return race.wait(timeout)

    def end(self, ending: Ending) -> None:
        self.endings.append(ending)

    def cancel(self) -> None:
        if self._race is not None:
            self._race.fail(LoginFailed("the login was cancelled"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread.is_alive():
            self._listener.shutdown()
        self._listener.server_close()


class OwnPrompt:
    def __init__(self, show: Callable[[str], object]) -> None:
        self._show = show
        self.visits: list[OwnVisit] = []

    def visit(self, callback: Callback, server: str, account: str) -> OwnVisit:
        self.visits.append(OwnVisit(callback, self._show))
        return self.visits[-1]


def own_transport(request: HttpRequest) -> HttpResponse:
    """One connection per request, by the standard library. A real one also checks addresses."""
    parts = urlsplit(request.url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=15)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(request.method, target, request.body, dict(request.headers))
        answer = connection.getresponse()
        return HttpResponse(
            answer.status, request.url, tuple(answer.getheaders()), answer.read(1 << 20)
        )
    finally:
        connection.close()
