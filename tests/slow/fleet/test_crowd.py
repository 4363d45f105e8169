"""One login on four hosts with five workers each: one refresh for all of them, and none lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from mcp_client_auth.secret import Secret
from mcp_client_auth.testing import Settings
from tests.slow.crowd.crowd_scene import scene_of
from tests.slow.fleet.conftest import Fleet
from tests.support.fleet_hosts import storage_at
from tests.support.python_path import ROOT, search_path

HOSTS, WORKERS, SECONDS = 4, 5, 12
SCRIPT = ROOT / "tests" / "support" / "fleet_process.py"


@pytest.mark.parametrize("fleet", ["redis", "pgbouncer"], indirect=True)
def test_twenty_workers_of_four_hosts_share_one_refresh(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", key_text(fleet.key))
    storage = storage_at(fleet.url, fleet.namespace)
    with scene_of(storage, Settings(access_token_seconds=5)) as scene:
        before = scene.stored.generation
        arguments = [fleet.url, fleet.namespace, scene.server.url, str(WORKERS), str(SECONDS)]
        hosts = [
            subprocess.Popen(
                [sys.executable, str(SCRIPT), *arguments],
                env={**os.environ, "PYTHONPATH": search_path()},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(HOSTS)
        ]
        try:
            for host in hosts:
                assert host.stdout is not None
                assert host.stdout.readline() == "ready\n"
            for host in hosts:
                assert host.stdin is not None
                host.stdin.write("go\n")
                host.stdin.flush()
            said = [json.loads(host.communicate(timeout=300)[0]) for host in hosts]
        finally:
            for host in hosts:
                host.kill()
        renewals = scene.stored.generation - before
        print(said, renewals)
        assert [list(each) for each in said] == [["200"]] * HOSTS
        assert scene.server.families_revoked == 0
        assert scene.refreshes == renewals >= 1
        assert scene.logins == 0
    storage.engine.close()


def key_text(key: Secret) -> str:
    return key.reveal()
