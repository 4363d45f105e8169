"""Engines of other people for the tests: servers on free ports of loopback, gone at the end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

from tests.support.ports import free_port

PATIENCE: Final = 60.0


def program(name: str, package: str, *more: Path) -> str:
    """Its path; the test is skipped with the line that installs it."""
    places = os.pathsep.join([os.environ.get("PATH", ""), *map(str, more)])
    found = shutil.which(name, path=places)
    if found is None:
        pytest.skip(f"needs {name}: apt-get install {package}")
    return found


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still not so after {seconds:.0f} s"
        time.sleep(0.02)


class RedisServer:
    """A Redis with a password, of which the tests look that no one sees it."""

    password: Final = "planted-redis-Hd4"

    def __init__(self, directory: Path, *options: str) -> None:
        self._program = program("redis-server", "redis-server")
        self._directory, self._options, self.port = directory, options, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """With what it had, unless it was started with `--appendonly no`."""
        self._process = subprocess.Popen(
            [
                self._program,
                *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory)),
                *("--requirepass", self.password, "--save", "", "--appendonly", "yes"),
                *self._options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)

    def stop_for_now(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        import redis

        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.exceptions.RedisError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process and self._process.poll() is None:
            self.kill()
