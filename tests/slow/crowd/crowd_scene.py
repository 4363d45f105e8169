"""What the tests of this room share: a login that can age, and the processes that use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from mcp_client_auth import BrowserPrompt, MCPAuth, Options, login
from mcp_client_auth.credential import Credential, Key, key_for
from mcp_client_auth.storage import Storage, name_of
from mcp_client_auth.testing import DemoServer, Held, ScriptedBrowser, Settings
from tests.support.python_path import LEAN, search_path

HEADERS: Final = {"Accept": "application/json, text/event-stream"}
LIST: Final = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
SCRIPT: Final = Path(__file__).with_name("crowd_process.py")
BROWSER: Final = Path(__file__).with_name("counting_browser.py")
PATIENCE: Final = 60.0
HOUR: Final = 3600.0


def slow(seconds: float) -> dict[str, Any]:
    params = {"name": "slow", "arguments": {"seconds": seconds}}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def until(condition: Callable[[], object], timeout: float = 60.0) -> None:
    """Return when the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {timeout:.0f} s"
        time.sleep(0.005)


@dataclass(frozen=True)
class Scene:
    """A server, a storage, and a login of an hour in it."""

    server: DemoServer
    storage: Storage

    @property
    def key(self) -> Key:
        return key_for(self.server.url)

    def auth(self, *, storage: Storage | None = None, **arguments: Any) -> MCPAuth:
        """Of a program that can ask nobody, unless it brings a prompt."""
        return MCPAuth(
            self.server.url, storage=storage or self.storage, **{"prompt": None, **arguments}
        )

    @property
    def stored(self) -> Credential:
        found = self.storage.load(self.key)
        assert found is not None
        return found

    @property
    def refreshes(self) -> int:
        return self.server.token_requests("refresh_token")

    @property
    def logins(self) -> int:
        return self.server.token_requests("authorization_code")

    def age(self, left: float = -60.0, lifetime: float = HOUR) -> Credential:
        """Rewrite the record as if it was issued long ago, with so many seconds left to live."""
        now, stored = time.time(), self.stored
        tokens = replace(stored.tokens, issued_at=now + left - lifetime, expires_at=now + left)
        aged = replace(stored, tokens=tokens)
        self.storage.save(aged)
        return aged

    def expire(self) -> Credential:
        """The access token has died, here and at the server."""
        self.server.expire_access_tokens()
        return self.age()

    def renewed_once(self, before: Credential) -> None:
        """One refresh in all, kept, and no token used twice."""
        assert self.refreshes == 1
        assert self.logins == 0
        assert self.server.families_revoked == 0
        assert self.stored.generation == before.generation + 1
        assert self.stored.tokens.refresh_token != before.tokens.refresh_token

    def works(self) -> None:
        """What is stored is whole: a new program uses and renews it without a person."""
        import httpx

        for _ in range(2):
            self.age()
            with httpx.Client(auth=self.auth(), timeout=PATIENCE, verify=False) as client:
                answer = client.post(self.server.url, headers=HEADERS, json=LIST)
            assert answer.status_code == 200
        assert self.server.families_revoked == 0


@contextmanager
def scene_of(storage: Storage, settings: Settings) -> Iterator[Scene]:
    browser = ScriptedBrowser()
    with DemoServer(settings) as server:
        prompt = BrowserPrompt(open_url=browser)
        login(server.url, storage=storage, prompt=prompt, options=Options(patience=0))
        assert browser.join(60)
        server.clear_requests()
        yield Scene(server, storage)


class Person(ScriptedBrowser):
    """Who thinks until a decision is set; `asked` is set as the page opens."""

    def __init__(self) -> None:
        super().__init__("late")
        self.asked = threading.Event()

    def visit(self, url: str) -> None:
        self.asked.set()
        super().visit(url)


class Member:
    """One process of a crowd; it talks in lines of JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def says(self) -> Any:
        """The next line that it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self._stderr()
        return json.loads(line)

    def expect(self, word: str) -> None:
        assert (said := self.says()) == word, said

    def reaches(self, held: Held) -> None:
        """Its request stands at the server."""
        until(lambda: held.reached.is_set() or self.process.poll() is not None)
        assert held.reached.is_set(), self.process.communicate()

    def tell(self, word: str = "go") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def end(self) -> int:
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode

    def _stderr(self) -> str:
        _, err = self.process.communicate(timeout=PATIENCE)
        return f"it ended with {self.process.returncode}: {err}"


class Crowd:
    """Other processes, with the same home and the same keyring; killed at the end."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._members: list[Member] = []

    def start(self, action: str, argument: str = "", **environment: str) -> Member:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [
                *(sys.executable, str(SCRIPT), action),
                *(self._scene.server.url, name_of(self._scene.storage), argument),
            ],
            env={**os.environ, "PYTHONPATH": search_path(LEAN), **environment},
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )
        member = Member(process)
        self._members.append(member)
        return member

    def together(self, size: int, action: str, argument: str = "", **environment: str) -> list[Any]:
        """Start so many, let them go at the same moment, and hand back what each one says."""
        members = [self.start(action, argument, **environment) for _ in range(size)]
        for member in members:
            member.expect("ready")
        for member in members:
            member.tell()
        said = [member.says() for member in members]
        for member in members:
            assert member.end() == 0
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for member in self._members:
            with member.process:
                member.process.kill()
