"""Engines that hosts share, each a real server of this run, and a namespace for each test."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from mcp_client_auth.credential import Key, key_for
from mcp_client_auth.secret import Secret
from mcp_client_auth.storage.sealed import new_key
from mcp_client_auth.storage.shared import Shared
from tests.support.engines import Bouncer, PostgresServer, RedisServer
from tests.support.ports import free_port

NUMBERS = itertools.count()


@dataclass
class Fleet:
    """One namespace in an engine; each `host` is a storage with connections of its own."""

    make: Callable[..., Shared]
    raw: Callable[[], str]  # everything that lies there, as text
    key: Secret
    url: str
    namespace: str
    hosts: list[Shared] = field(default_factory=list)
    close: Callable[[], None] = lambda: None

    def host(self, *, key: Any = None, ahead: float = 0.0, lease: float = 2.0) -> Shared:
        """`ahead`: how far its clock is ahead of the engine's."""
        made = self.make(key=key or self.key, lease=lease)
        made.records.clock = lambda: time.time() + ahead
        self.hosts.append(made)
        return made


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def bouncer(postgres_server: PostgresServer) -> Iterator[Bouncer]:
    with Bouncer(postgres_server) as bouncer:
        yield bouncer


@pytest.fixture(scope="session")
def cluster_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    # by itself it takes the port ten thousand above its own, which a connection may have
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with RedisServer(tmp_path_factory.mktemp("cluster"), *options) as server:
        server.own_all_slots()
        yield server


@pytest.fixture(params=["redis", "cluster", "postgres", "pgbouncer"])
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    if request.param == "redis":
        fleet = redis_fleet(request.getfixturevalue("redis_server"))
    elif request.param == "cluster":
        fleet = redis_fleet(request.getfixturevalue("cluster_server"), cluster=True)
    else:
        server = request.getfixturevalue("postgres_server")
        through = request.getfixturevalue("bouncer") if request.param == "pgbouncer" else server
        fleet = postgres_fleet(server.url, through.url)
    yield fleet
    for each in fleet.hosts:
        each.engine.close()
    fleet.close()


def redis_fleet(server: RedisServer, *, cluster: bool = False) -> Fleet:
    import redis

    from mcp_client_auth.storage.redis import RedisStorage

    namespace, given = f"test-{next(NUMBERS)}", ExitStack()

    def make(**more: Any) -> Shared:
        if cluster:
            client: Any = redis.RedisCluster.from_url(server.url)  # answers in bytes, too
            given.callback(client.close)  # what was given is not closed by who got it
            return RedisStorage(client=client, namespace=namespace, **more)
        return RedisStorage(server.url, namespace=namespace, **more)

    def raw() -> str:
        client = redis.Redis.from_url(server.url, decode_responses=True)
        given.callback(client.close)
        texts = []
        read: dict[str, Any] = {
            "string": client.get,
            "hash": client.hgetall,
            "set": client.smembers,
        }
        for name in client.scan_iter(match=f"{namespace}:*"):
            texts.append(f"{name} {read[str(client.type(name))](name)}")
        return "\n".join(texts)

    return Fleet(make, raw, new_key(), server.url, namespace, close=given.close)


def postgres_fleet(direct: str, url: str) -> Fleet:
    import psycopg

    from mcp_client_auth.storage.postgres import PostgresStorage

    schema, key = f"test_{next(NUMBERS)}", new_key()

    def make(**more: Any) -> Shared:
        return PostgresStorage(url, schema=schema, **more)

    def raw() -> str:
        with psycopg.connect(direct) as connection:
            names = ("records", "leases", "notes", "pending")
            return "\n".join(
                str(row) for name in names for row in connection.execute(f"TABLE {schema}.{name}")
            )

    first = PostgresStorage(direct, schema=schema, key=key)
    first.create()
    first.engine.close()
    return Fleet(make, raw, key, url, schema)


@pytest.fixture
def key() -> Key:
    return key_for("https://mcp.example.com/mcp", "ada@example.com")
