"""The storage of a host of a fleet, by the URL of its engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Final

from mcp_client_auth.storage.shared import Shared
from tests.support.python_path import ROOT, search_path

LEASE: Final = 3.0  # of the tests, which do not wait for 20 s


def storage_at(url: str, namespace: str, lease: float = LEASE) -> Shared:
    """With the key of the environment."""
    if url.startswith("redis"):
        from mcp_client_auth.storage.redis import RedisStorage

        return RedisStorage(url, namespace=namespace, lease=lease)
    from mcp_client_auth.storage.postgres import PostgresStorage

    return PostgresStorage(url, schema=namespace, lease=lease)


def crowd(
    engine: str, namespace: str, server: str, hosts: int, workers: int, seconds: int
) -> list[dict[str, int]]:
    """Let so many processes work with one login at once; what each counts of its answers."""
    script = ROOT / "tests" / "support" / "fleet_process.py"
    arguments = [engine, namespace, server, str(workers), str(seconds)]
    running = [
        subprocess.Popen(
            [sys.executable, str(script), *arguments],
            env={**os.environ, "PYTHONPATH": search_path()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(hosts)
    ]
    try:
        for host in running:
            assert host.stdout is not None
            assert host.stdout.readline() == "ready\n"
        for host in running:
            assert host.stdin is not None
            host.stdin.write("go\n")
            host.stdin.flush()
        return [json.loads(host.communicate(timeout=seconds + 300)[0]) for host in running]
    finally:
        for host in running:
            host.kill()
