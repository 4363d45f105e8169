"""A Redis with a replica, and a Sentinel that puts it in the place of one that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth import AuthError, RedisStorage, Unavailable
from mcp_client_auth.credential import Key
from mcp_client_auth.storage.sealed import new_key
from tests.support.codes import coded
from tests.support.engines import Child, RedisServer, program, until
from tests.support.ports import free_port
from tests.support.storage_samples import bare, full

KEY = new_key()
NAME = "logins"


class SentinelServer(Child):
    """It takes half a second without an answer for a failure."""

    def __init__(self, directory: Path, primary: RedisServer) -> None:
        self._program = program("redis-server", "redis-server")
        self._directory, self._primary, self.port = directory, primary, free_port()

    def start(self) -> None:
        settings = self._directory / "sentinel.conf"
        settings.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self._directory}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {self._primary.port} 1\n"
            f"sentinel auth-pass {NAME} {self._primary.password}\n"
            f"sentinel down-after-milliseconds {NAME} 500\n"
            f"sentinel failover-timeout {NAME} 5000\n"
        )
        self.run(self._program, str(settings), "--sentinel")

    def client(self, **settings: Any) -> Any:
        import redis.sentinel

        untyped: Any = redis.sentinel
        found = untyped.Sentinel([("127.0.0.1", self.port)], socket_timeout=2)
        own = {"password": self._primary.password, "socket_timeout": 2, **settings}
        return found.master_for(NAME, **own)


@dataclass
class Pair:
    primary: RedisServer
    replica: RedisServer
    directory: Path

    def storage(self, **more: Any) -> RedisStorage:
        return RedisStorage(self.primary.url, key=KEY, lease=2.0, **more)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    homes = [tmp_path / name for name in ("primary", "replica", "sentinel")]
    for home in homes:
        home.mkdir()
    auth = ("--masterauth", RedisServer.password, "--repl-diskless-sync-delay", "0")
    with RedisServer(homes[0], *auth) as primary:
        of_primary = ("--replicaof", "127.0.0.1", str(primary.port))
        with RedisServer(homes[1], *auth, *of_primary) as replica:
            import redis

            client = redis.Redis.from_url(primary.url)
            until(lambda: linked(client))
            client.close()
            yield Pair(primary, replica, homes[2])


def linked(client: Any) -> bool:
    return any(
        each.get("state") == "online"
        for name, each in client.info("replication").items()
        if name.startswith("slave") and isinstance(each, dict)
    )


def test_a_write_counts_once_a_replica_has_it(pair: Pair, key: Key) -> None:
    storage, hasty = pair.storage(replicas=1), pair.storage()
    storage.save(full(key))
    [warning] = [each for each in hasty.warnings() if "replicas" in each]
    assert "no write waits for" in warning
    assert not [each for each in storage.warnings() if "replicas" in each]
    pair.replica.kill()
    with pytest.raises(Unavailable, check=coded("store")):
        storage.save(bare(key))
    with pytest.raises(Unavailable, check=coded("store")):
        storage.delete(key)
    hasty.save(bare(key))
    pair.replica.start()
    until(lambda: kept(storage, key))


def kept(storage: RedisStorage, key: Key) -> bool:
    try:
        storage.save(bare(key))
    except Unavailable:
        return False
    return storage.load(key) == bare(key)


def test_a_login_outlives_the_primary(pair: Pair, key: Key) -> None:
    with SentinelServer(pair.directory, pair.primary) as sentinel:
        until(lambda: sees_replica(sentinel))
        storage = RedisStorage(client=sentinel.client(), key=KEY, lease=2.0, replicas=1)
        storage.save(full(key))
        with storage.lock(key):
            pair.primary.kill()
            with pytest.raises(AuthError, check=coded("store")):
                storage.load(key)
            until(lambda: loads(storage, key))
        hasty = RedisStorage(client=sentinel.client(), key=KEY, lease=2.0)
        assert hasty.load(key) == full(key)
        with hasty.lock(key):
            hasty.save(bare(key))
        assert storage.load(key) == bare(key)


def loads(storage: RedisStorage, key: Key) -> bool:
    try:
        return storage.load(key) == full(key)
    except Unavailable:
        return False


def sees_replica(sentinel: SentinelServer) -> bool:
    import redis

    try:
        with redis.Redis(port=sentinel.port) as client:
            return bool(client.sentinel_slaves(NAME))
    except redis.exceptions.RedisError:
        return False
