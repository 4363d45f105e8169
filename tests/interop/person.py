"""A person at a machine of their own: a home, a scripted browser, and programs that they run."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from processes import HERE, REPOSITORY, Answer, command, run

PATIENCE = 20.0


@dataclass(slots=True)
class Person:
    """`decision`: what the person does in the browser, `allow` or `deny`.

    `store`: where `mcp-login` is told to keep a login. `extra`: environment variables.
    """

    home: Path
    decision: str = "allow"
    store: str = "file"
    extra: dict[str, str] = field(default_factory=dict)

    def mcp_login(self, *arguments: str) -> Answer:
        return run(command(*arguments), self._environment())

    def log_in(self, url: str, *more: str) -> None:
        answer = self.mcp_login(url, "--store", self.store, *more)
        assert answer.code == 0, answer.err

    def token(self, url: str) -> str:
        return self.mcp_login("token", url).out.strip()

    def visits(self, url: str, library: str = "mcp") -> dict[str, Any]:
        """What a program sees that has no browser: the tools, and who it is told to be."""
        arguments = [sys.executable, str(HERE / "visit.py"), url, "--with", library]
        answer = run(arguments, self._environment())
        assert answer.code == 0, answer.err
        seen: dict[str, Any] = json.loads(answer.out)
        return seen

    def _environment(self) -> dict[str, str]:
        browser = [sys.executable, "-m", "mcp_client_auth.testing.browser"]
        search = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
        kept = {name: value for name, value in os.environ.items() if name != "CI"}
        return {
            **kept,
            "BROWSER": f"{shlex.join(browser)} --decision {self.decision} %s",
            "MCP_CLIENT_AUTH_HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join(filter(None, search)),
            **self.extra,
        }


def wait_until_dead(url: str, token: str) -> None:
    """Until the server itself refuses the token."""
    deadline = time.monotonic() + PATIENCE
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    with httpx.Client(headers=headers, trust_env=False) as http:
        while http.post(url, json={}).status_code != httpx.codes.UNAUTHORIZED:
            assert time.monotonic() < deadline, "the token lives on"
            time.sleep(0.2)
