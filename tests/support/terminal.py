"""A person at a terminal of their own: a home, a scripted browser, `mcp-login` as a process."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.support.python_path import LEAN, ROOT, search_path

PATIENCE = 60.0
BROWSER = f"{shlex.quote(sys.executable)} -m mcp_client_auth.testing.browser"
_STRANGE = (
    "CI",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "VSCODE_IPC_HOOK_CLI",  # a browser started through it may be on another machine
    "DBUS_SESSION_BUS_ADDRESS",
    "PYTHON_KEYRING_BACKEND",
    "PYTHONUNBUFFERED",  # hides errors of writing the buffers at exit
    "MCP_CLIENT_AUTH_ACCOUNT",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """How a process ended."""

    code: int
    out: str
    err: str


class Running:
    """A running process, whose stderr is read as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._texts: dict[str, str] = {"out": "", "err": ""}
        self._more = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(name, pipe), daemon=True)
            for name, pipe in (("out", process.stdout), ("err", process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def err(self) -> str:
        with self._more:
            return self._texts["err"]

    def wait_for(self, words: str) -> str:
        """All of stderr, once these words are in it."""
        with self._more:
            there = self._more.wait_for(lambda: words in self._texts["err"], PATIENCE)
            assert there, self._texts["err"]
            return self._texts["err"]

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, timeout: float = PATIENCE) -> Answer:
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        for reader in self._readers:
            reader.join(PATIENCE)
        return Answer(code, self._texts["out"], self._texts["err"])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(PATIENCE)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()

    def _read(self, name: str, pipe: IO[str] | None) -> None:
        for line in pipe or ():
            with self._more:
                self._texts[name] += line
                self._more.notify_all()


class Terminal:
    """`decision`: what the scripted browser does, `allow`, `deny` or `ignore`."""

    def __init__(self, home: Path, decision: str = "allow") -> None:
        self.home = home
        self.store = home / "logins"
        kept = {
            k: v for k, v in os.environ.items() if k not in _STRANGE and "proxy" not in k.lower()
        }
        self.environment = {
            **kept,
            "BROWSER": BROWSER,
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_RUNTIME_DIR": str(home),
            "MCP_CLIENT_AUTH_HOME": str(self.store),
            "MCP_CLIENT_AUTH_STORAGE": "file",
            "PYTHONPATH": search_path(ROOT, LEAN),
        }
        self.decide(decision)

    def decide(self, decision: str) -> None:
        self.environment["BROWSER"] = f"{BROWSER} --decision {decision}"

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> Answer:
        done = subprocess.run(
            command(*arguments),
            env={**self.environment, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def log_in(self, *arguments: str) -> Answer:
        answer = self.run(*arguments)
        assert answer.code == 0, answer.err
        return answer

    @contextmanager
    def start(self, *arguments: str, **environment: str) -> Iterator[Running]:
        process = subprocess.Popen(
            command(*arguments),
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running = Running(process)
        try:
            yield running
        finally:
            running.kill()

    def stored(self) -> dict[str, bytes]:
        """Every file except locks and notes, byte for byte."""
        if not self.store.exists():
            return {}
        found = [entry for entry in self.store.iterdir() if entry.suffix not in (".lock", ".note")]
        return {entry.name: entry.read_bytes() for entry in found}


def command(*arguments: str) -> list[str]:
    """`mcp-login` as it is installed beside this Python, otherwise from the checkout."""
    installed = shutil.which("mcp-login", path=str(Path(sys.executable).parent))
    if installed:
        return [installed, *arguments]
    return [sys.executable, "-m", "mcp_client_auth", *arguments]
