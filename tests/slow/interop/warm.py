"""Starts Python scripts from a process that has loaded the libraries: to load them takes seconds.

Each is a process of its own all the same, with a session, an environment and streams of its own.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

POSSIBLE: Final = "forkserver" in multiprocessing.get_all_start_methods()
_LOADED: Final = [
    "fastmcp",
    "fastmcp.server.auth.providers.in_memory",
    "fastmcp.server.auth.providers.workos",
    "mcp.server.mcpserver",
    "uvicorn",
]


class Warm:
    """Like a `Popen` of a Python script, as far as it is needed here.

    `arguments`: the script comes first. `errors`: the file of its stderr.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], errors: Path
    ) -> None:
        context: Any = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_LOADED)
        reader, writer = context.Pipe(duplex=False)
        told = (list(arguments), dict(environment), writer, errors)
        self._process = context.Process(target=_play, args=told)
        self._process.start()
        writer.close()
        self.stdout = os.fdopen(os.dup(reader.fileno()))
        reader.close()
        self.pid: int = self._process.pid

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        code: int | None = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("a script", timeout)
        return code


def _play(arguments: list[str], environment: dict[str, str], out: Connection, errors: Path) -> None:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    out.close()
    os.dup2(os.open(errors, os.O_WRONLY | os.O_APPEND), 2)
    faulthandler.enable(file=2)  # a crash would leave nothing else to be read
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    sys.path.insert(0, os.path.dirname(arguments[0]))  # as Python does for a script
    runpy.run_path(arguments[0], run_name="__main__")
