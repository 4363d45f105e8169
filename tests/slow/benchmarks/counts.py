"""What is counted and not timed: requests of a login, refreshes of a crowd.

The person's own POST of the consent page is no request of ours and is left out.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from mcp_client_auth import (
    BrowserPrompt,
    ClientMetadataDocument,
    FileStorage,
    MCPAuth,
)
from mcp_client_auth.credential import key_for
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HEADERS = {"Accept": "application/json, text/event-stream"}
DOCUMENT = "https://app.example.com/client.json"

PROCESS = """
import sys, httpx
from mcp_client_auth import FileStorage, MCPAuth
url, home = sys.argv[1:]
auth = MCPAuth(url, storage=FileStorage(home), prompt=None)
with httpx.Client(auth=auth, trust_env=False, timeout=60) as client:
    print("ready", flush=True)
    sys.stdin.readline()
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = client.post(url, json=body, headers={"Accept": "application/json, text/event-stream"})
    print(answer.status_code)
"""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What one expiry cost."""

    size: int
    refreshes: int
    failures: int
    logins: int


class OpenBrowser(ScriptedBrowser):
    """A browser that runs already when it is asked to open a page."""

    def __init__(self) -> None:
        super().__init__()
        self._http = httpx.Client(trust_env=False, follow_redirects=True, timeout=20)

    def close(self) -> None:
        self.join(5)
        self._http.close()

    def visit(self, url: str) -> None:
        self.visits += 1
        try:
            self._play(self._http, url)
        except Exception as error:
            self.error = error


class Scene:
    """A server, a home, and somebody who has logged in there."""

    def __init__(self, server: DemoServer, home: Path) -> None:
        self.server, self.home, self.browser = server, home, OpenBrowser()

    def auth(self, **arguments: Any) -> MCPAuth:
        prompt = BrowserPrompt(open_url=self.browser)
        return MCPAuth(self.server.url, storage=FileStorage(self.home), prompt=prompt, **arguments)

    def request(self, auth: MCPAuth | None = None) -> int:
        """The requests that one call of a tool list takes, in a program that has made none."""
        self.browser.join(5)
        self.server.clear_requests()
        with self.client(auth) as client:
            client.post(self.server.url, json=LIST, headers=HEADERS).raise_for_status()
        self.browser.join(5)
        consents = [r for r in self.server.requests if r.method == "POST" and authorize(r.path)]
        return len(self.server.requests) - len(consents)

    def client(self, auth: MCPAuth | None = None) -> httpx.Client:
        return httpx.Client(auth=auth or self.auth(), trust_env=False, timeout=30)

    def expire(self, ago: float = 1.0) -> None:
        """Let the stored access token have ended; the server forgets it too."""
        now = time.time()
        self._rewrite(lambda tokens: replace(tokens, expires_at=now - ago, issued_at=now - 3600))
        self.server.expire_access_tokens()

    def revoke_early(self) -> None:
        """The stored token, got a minute ago, is valid for all that its holder knows."""
        now = time.time()
        self._rewrite(lambda tokens: replace(tokens, issued_at=now - 60))
        self.server.expire_access_tokens()

    def _rewrite(self, change: Callable[[TokenSet], TokenSet]) -> None:
        storage = FileStorage(self.home)
        stored = storage.load(key_for(self.server.url))
        assert stored is not None
        storage.save(replace(stored, tokens=change(stored.tokens)))


def authorize(path: str) -> bool:
    return path.endswith("/authorize")


@contextmanager
def scene(home: Path, **settings: Any) -> Iterator[Scene]:
    with DemoServer(Settings(**settings)) as server:
        made = Scene(server, home)
        yield made
        made.browser.close()


def requests_of_logins(home: Path) -> dict[str, int]:
    """By situation: how many requests the servers saw before the first answer was there."""
    counted = {}
    with scene(home / "dynamic") as here:
        counted["first login"] = here.request()
        counted["new process, valid token"] = here.request()
        here.expire()
        counted["new process, expired token"] = here.request()
        here.revoke_early()
        counted["new process, token revoked early"] = here.request()
        FileStorage(here.home).delete(key_for(here.server.url))  # a logout forgets the client
        counted["login with a stored client"] = here.request()
    with scene(home / "document", client_id_metadata_documents=True) as here:
        document = ClientMetadataDocument(DOCUMENT, ("http://127.0.0.1/callback",))
        counted["login with a metadata document"] = here.request(here.auth(client=document))
    return counted


NEEDED = {
    "first login": 7,
    "login with a stored client": 6,
    "login with a metadata document": 6,
    "new process, valid token": 1,
    "new process, expired token": 2,
    "new process, token revoked early": 3,
}


def crowds(home: Path, tasks: int, objects: int, processes: int) -> dict[str, Crowd]:
    """Refreshes at one expiry, by kind of crowd."""
    with scene(home) as here:
        here.request()
        return {
            "tasks": _measured(here, tasks, _tasks),
            "objects": _measured(here, objects, _objects),
            "processes": _measured(here, processes, _processes),
        }


def _measured(here: Scene, size: int, run: Any) -> Crowd:
    here.expire()
    here.server.clear_requests()
    before = here.browser.visits
    statuses = run(here, size)
    return Crowd(
        size,
        here.server.token_requests("refresh_token"),
        size - sum(status == 200 for status in statuses),
        here.browser.visits - before,
    )


def _tasks(here: Scene, size: int) -> list[int]:
    async def main() -> list[int]:
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(
            auth=here.auth(), trust_env=False, timeout=60, limits=limits
        ) as client:

            async def one() -> int:
                return (await client.post(here.server.url, json=LIST, headers=HEADERS)).status_code

            return list(await asyncio.gather(*(one() for _ in range(size))))

    return asyncio.run(main())


def _objects(here: Scene, size: int) -> list[int]:
    """Each an `MCPAuth` of its own on a thread of its own."""
    together, statuses = threading.Barrier(size), []

    def one() -> None:
        with httpx.Client(auth=here.auth(), trust_env=False, timeout=60) as client:
            together.wait(30)
            statuses.append(client.post(here.server.url, json=LIST, headers=HEADERS).status_code)

    threads = [threading.Thread(target=one) for _ in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return statuses


def _processes(here: Scene, size: int) -> list[int]:
    """All are up and wait; then all of them begin."""
    command = [sys.executable, "-c", PROCESS, here.server.url, str(here.home)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "MCP_CLIENT_AUTH_HOME": str(here.home)}
    running = [subprocess.Popen(command, env=environment, **pipes) for _ in range(size)]
    for process in running:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].strip() for process in running]
    return [int(text) if text.isdecimal() else 0 for text in said]
