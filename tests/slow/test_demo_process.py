"""The demo server as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest


@contextmanager
def demo_process(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    command = [sys.executable, "-W", "error", "-m", "mcp_client_auth.testing", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal to send there")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_tells_where_it_is_and_ends_on_a_signal(number: signal.Signals) -> None:
    with demo_process("--scopes", "a b", "--issuer-path", "/t") as (process, told):
        assert told.keys() == {"url", "issuer"}
        assert told["issuer"].endswith("/t")
        origin = told["url"].removesuffix("/mcp")
        place = f"{origin}/.well-known/oauth-protected-resource/mcp"
        document = httpx.get(place, trust_env=False).json()
        assert document["scopes_supported"] == ["a", "b"]
        process.send_signal(number)
        assert process.wait(60) == 0


def test_it_ends_when_its_stdin_closes_if_told_so() -> None:
    with demo_process("--until-stdin-closes") as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0


def test_importing_the_package_loads_no_server() -> None:
    check = "import mcp_client_auth.testing, sys; sys.exit('starlette' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], timeout=60, check=False).returncode == 0
