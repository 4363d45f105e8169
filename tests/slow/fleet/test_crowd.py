"""One login on four hosts with five workers each: one refresh for all of them, and none lost."""

from __future__ import annotations

import pytest

from mcp_client_auth.testing import Settings
from tests.slow.crowd.crowd_scene import scene_of
from tests.slow.fleet.conftest import Fleet
from tests.support.fleet_hosts import crowd, storage_at

HOSTS, WORKERS, SECONDS = 4, 5, 12


@pytest.mark.parametrize("fleet", ["redis", "pgbouncer"], indirect=True)
def test_twenty_workers_of_four_hosts_share_one_refresh(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", fleet.key.reveal())
    storage = storage_at(fleet.url, fleet.namespace)
    with scene_of(storage, Settings(access_token_seconds=5)) as scene:
        before = scene.stored.generation
        said = crowd(fleet.url, fleet.namespace, scene.server.url, HOSTS, WORKERS, SECONDS)
        assert [list(each) for each in said] == [["200"]] * HOSTS
        assert scene.server.families_revoked == 0
        assert scene.refreshes == scene.stored.generation - before >= 1
        assert scene.logins == 0
    storage.engine.close()
