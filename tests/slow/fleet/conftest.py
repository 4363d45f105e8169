"""Engines that hosts share, each a real server of this run, and a namespace for each test."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from mcp_client_auth.credential import Key, key_for
from mcp_client_auth.secret import Secret
from mcp_client_auth.storage.sealed import new_key
from mcp_client_auth.storage.shared import Shared
from tests.support.engines import RedisServer

NUMBERS = itertools.count()


@dataclass
class Fleet:
    """One namespace in an engine; each `host` is a storage with connections of its own."""

    make: Callable[..., Shared]
    raw: Callable[[], str]  # everything that lies there, as text
    key: Secret

    def host(self, *, key: Any = None, ahead: float = 0.0, lease: float = 2.0) -> Shared:
        """`ahead`: how far its clock is ahead of the engine's."""
        made = self.make(key=key or self.key, lease=lease)
        made._clock = lambda: time.time() + ahead
        return made


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["redis"])
def fleet(request: pytest.FixtureRequest) -> Fleet:
    server = request.getfixturevalue("redis_server")
    return redis_fleet(server)


def redis_fleet(server: RedisServer) -> Fleet:
    import redis

    from mcp_client_auth.storage.redis import RedisStorage

    namespace = f"test-{next(NUMBERS)}"

    def make(**more: Any) -> Shared:
        return RedisStorage(server.url, namespace=namespace, **more)

    def raw() -> str:
        client = redis.Redis.from_url(server.url, decode_responses=True)
        texts = []
        for name in client.scan_iter(match=f"{namespace}:*"):
            kind = client.type(name)
            value = (
                client.get(name)
                if kind == "string"
                else client.hgetall(name)
                if kind == "hash"
                else client.smembers(name)
            )
            texts.append(f"{name} {value}")
        return "\n".join(texts)

    return Fleet(make, raw, new_key())


@pytest.fixture
def key() -> Key:
    return key_for("https://mcp.example.com/mcp", "ada@example.com")
