"""A person at a machine of their own: a home, a scripted browser, and programs that they run."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_client_auth import Credential, FileStorage
from mcp_client_auth.credential import key_for
from mcp_client_auth.testing import ScriptedBrowser
from tests.slow.interop.processes import HERE, Answer, command, run, run_script
from tests.support.python_path import LEAN, ROOT, search_path


@dataclass(slots=True)
class Person:
    """`decision`: what the person does in the browser, `allow` or `deny`.

    `store`: where `mcp-login` is told to keep a login. `extra`: environment variables.
    `authority`: the file of the authorities that the browser trusts, where they are not those
    of the environment.
    """

    home: Path
    decision: str = "allow"
    store: str = "file"
    extra: dict[str, str] = field(default_factory=dict)
    authority: str = ""

    def mcp_login(self, *arguments: str) -> Answer:
        return run(command(*arguments), self._alone)

    def log_in(self, url: str, *arguments: str) -> Answer:
        return _well(self.mcp_login(url, "--store", self.store, *arguments))

    def log_in_by_code(self, url: str, *arguments: str, types_it: bool = True) -> Answer:
        """Types the code on another device as soon as it is shown, or (not `types_it`) leaves
        it alone then and signs in at the address that stands above it."""
        arguments = (url, "--store", self.store, *arguments)
        return _well(run(command(*arguments), self._alone, _Reader(types_it)))

    def token(self, url: str) -> str:
        return _well(self.mcp_login("token", url)).out.strip()

    def credential(self, url: str, account: str = "default") -> Credential:
        """What is kept in a file."""
        kept = FileStorage(self.home).load(key_for(url, account))
        assert kept is not None, f"there is no login to {url}"
        return kept

    def visits(self, url: str, *arguments: str) -> dict[str, Any]:
        """What a program sees: the tools, and who it is told to be."""
        seen: dict[str, Any] = json.loads(_well(self.tries(url, *arguments)).out)
        return seen

    def tries(self, url: str, *arguments: str) -> Answer:
        return run_script([str(HERE / "visit.py"), url, *arguments], self.environment)

    @property
    def _alone(self) -> dict[str, str]:
        """For the command, which needs nothing but this package."""
        return {**self.environment, "PYTHONPATH": search_path(ROOT, LEAN)}

    @property
    def environment(self) -> dict[str, str]:
        browser = [sys.executable, "-m", "mcp_client_auth.testing.browser"]
        browser += ["--decision", self.decision]
        if trusted := self.authority or self.extra.get("SSL_CERT_FILE"):
            browser += ["--cafile", trusted]
        kept = {name: value for name, value in os.environ.items() if name != "CI"}
        return {
            **kept,
            "BROWSER": f"{shlex.join(browser)} %s",
            "MCP_CLIENT_AUTH_HOME": str(self.home),
            "PYTHONPATH": search_path(ROOT),
            **self.extra,
        }


def _well(answer: Answer) -> Answer:
    assert answer.code == 0, f"exit code {answer.code}: {answer.err}"
    return answer


@dataclass(slots=True)
class _Reader:
    """Reads what the command shows, line by line: the address, the code, the code's link."""

    types_it: bool
    address: str = ""
    code: str = ""

    def __call__(self, line: str) -> None:
        if found := re.search(r"any device, code (\S+):", line):
            self.code = found[1]
        elif line.startswith("  http") and not self.code:
            self.address = line.strip()
        elif line.startswith("  http"):
            link = f"{line.strip()}?user_code={self.code}"
            ScriptedBrowser().visit(link if self.types_it else self.address)
