"""A network namespace of its own for a script: other addresses, other names, real packets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def missing() -> str:
    """What this machine lacks for it; empty if nothing is missing."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "needs Linux, and root to make network namespaces"
    return "" if shutil.which("ip", path=_PATH) else "needs apt-get install iproute2"


@contextmanager
def namespace(
    *addresses: str, dead: Sequence[str] = (), files: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A namespace with these addresses (each with its prefix length).

    `dead` are neighbours that are known but never answer. `files` replace those in /etc for what
    runs inside.
    """
    name = f"mcp-{os.getpid()}"
    etc = Path("/etc/netns") / name
    with ExitStack() as open_now:
        _run("ip", "netns", "add", name)
        open_now.callback(_run, "ip", "netns", "del", name)
        _run("ip", "-n", name, "link", "add", "void", "type", "veth", "peer", "name", "end")
        for address in addresses:
            duplicates = ("nodad",) if ":" in address else ()
            _run("ip", "-n", name, "addr", "add", address, "dev", "void", *duplicates)
        for link in ("lo", "void", "end"):
            _run("ip", "-n", name, "link", "set", link, "up")
        for address in dead:
            neighbour = ("lladdr", "02:00:00:00:00:01", "dev", "void")
            _run("ip", "-n", name, "neigh", "add", address, *neighbour)
        etc.mkdir(parents=True)
        open_now.callback(shutil.rmtree, etc)
        for file, text in (files or {}).items():
            (etc / file).write_text(text)
        yield name


def told_by(name: str, script: Path, *words: str) -> dict[str, Any]:
    """The JSON object that a script in a namespace prints last."""
    output = _run("ip", "netns", "exec", name, sys.executable, str(script), *words)
    told = json.loads(output.splitlines()[-1])
    assert isinstance(told, dict)
    return told


def _run(*command: str) -> str:
    environ = {**os.environ, "PATH": _PATH}
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout
