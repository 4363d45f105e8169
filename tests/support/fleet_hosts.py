"""The hosts of a fleet: processes that work, and what they say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from mcp_client_auth.paths import VARIABLE
from tests.support.engines import until
from tests.support.fleet_storage import LEASE
from tests.support.python_path import LEAN, ROOT, search_path

PATIENCE: Final = 240.0
GOOD: Final = "200"
FINAL: Final = (GOOD, "LoginRequired")


class Host:
    """A host's processes, one for each of `accounts`, which may repeat an account."""

    def __init__(
        self, command: Sequence[str], home: Path, accounts: Sequence[str], **told: Any
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.workers = len(accounts)
        self.said: list[dict[str, Any]] = []
        script = ROOT / "tests" / "support" / "fleet_process.py"
        self._process = subprocess.Popen(
            [*command, sys.executable, str(script)],
            env={**os.environ, "PYTHONPATH": search_path(LEAN), VARIABLE: str(home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        told = {"ahead": 0.0, "stop": "", "lease": LEASE, "accounts": accounts, **told}
        self._tell(json.dumps(told))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def go(self) -> None:
        until(lambda: self.at("ready") or not self._reader.is_alive(), PATIENCE)
        self._tell("go")

    def at(self, moment: str) -> list[int]:
        """The workers that have reported this moment."""
        return [each["pid"] for each in self.said if each.get("at") == moment]

    @property
    def answers(self) -> Counter[str]:
        return Counter(each["answer"] for each in self.said if "answer" in each)

    def served(self, before: int = 0) -> bool:
        """Whether each worker has had a good or a final answer after the first `before` lines."""
        answers = [each for each in self.said[before:] if "answer" in each]
        served = {each["pid"] for each in answers if each["answer"].startswith(FINAL)}
        return len(served) == self.workers

    def kill_all(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)

    def end(self) -> Counter[str]:
        """End as programs do: wait for the requests that are on the wire."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return self.answers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        with self._process:
            if self._process.poll() is None:
                self.kill_all()
            self._reader.join(PATIENCE)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(json.loads(line))
