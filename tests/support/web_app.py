"""Two workers of an application of `examples/`, and people with browsers that keep cookies."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import httpx

from mcp_client_auth.testing import ScriptedBrowser
from mcp_client_auth.testing.html_forms import read_page
from tests.support.ports import free_port
from tests.support.python_path import ROOT

PATIENCE = 60.0


class WebApp:
    """Sign-ins return to the second worker. `host`: to be on another site than the server."""

    def __init__(
        self, name: str, url: str, environment: dict[str, str], host: str = "127.0.0.1"
    ) -> None:
        self._name, self._url, self._environment, self._host = name, url, environment, host
        self.ports = [free_port(), free_port()]
        self._open = ExitStack()

    def at(self, worker: int, path: str) -> str:
        return f"http://{self._host}:{self.ports[worker]}{path}"

    def __enter__(self) -> Self:
        for port in self.ports:
            words = [str(ROOT / "examples" / self._name), self._url, self.at(1, ""), str(port)]
            command = [sys.executable, *words]
            worker = self._open.enter_context(subprocess.Popen(command, env=self._environment))
            self._open.callback(worker.kill)
        for number in range(2):
            self._await(self.at(number, "/whoami"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def user(self, name: str) -> User:
        user = User(self, name)
        self._open.callback(user.http.close)
        return user

    def _await(self, url: str) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                httpx.get(url, trust_env=False, timeout=PATIENCE)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError(f"{self._name} does not listen")


class User(ScriptedBrowser):
    """A user who is signed in to the application, in their own browser."""

    def __init__(self, app: WebApp, name: str) -> None:
        super().__init__()
        self.app = app
        self.http = httpx.Client(trust_env=False, timeout=PATIENCE)
        self._addresses: list[str] = []
        self.post("/enter/" + name)

    def get(self, path: str, worker: int = 0) -> httpx.Response:
        return self.http.get(self.app.at(worker, path))

    def post(self, path: str, worker: int = 0) -> httpx.Response:
        """Post the hidden fields of the application's page, if it has a form."""
        page = read_page(self.get("/", worker).text, filler="")
        fields = dict(page.forms[0].fields) if page.forms else {}
        return self.http.post(self.app.at(worker, path), data=fields)

    def begin(self) -> str:
        """Where the application sends the browser."""
        return str(self.post("/connect").headers["Location"])

    def connect(self) -> str:
        """Sign in; return the address at which the browser ends, with its query."""
        self.visit(self.begin())
        if self.error:
            raise self.error
        assert self.last_page
        assert self.last_page.status == 200, self.last_page.text
        return self._addresses[-1]

    def _opened(self) -> httpx.Client:
        def noted(request: httpx.Request) -> None:
            if request.url.path == "/oauth/callback":
                self._addresses.append(str(request.url))

        return httpx.Client(
            trust_env=False,
            follow_redirects=True,
            timeout=PATIENCE,
            cookies=self.http.cookies.jar,
            event_hooks={"request": [noted]},
        )
