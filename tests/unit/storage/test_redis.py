"""What a `RedisStorage` says before it connects, and what it never shows; the rest in
slow/fleet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from mcp_client_auth import Key, RedisStorage, StorageError, Unavailable, UsageError
from mcp_client_auth.storage.sealed import new_key
from tests.support.codes import coded
from tests.support.ports import free_port

KEY = new_key()
PASSWORD = "planted/pass:word-Uw2"
SPELLED = "planted%2Fpass%3Aword-Uw2"


def test_there_is_nothing_without_a_key() -> None:
    with pytest.raises(UsageError, match="MCP_CLIENT_AUTH_KEY"):
        RedisStorage("redis://127.0.0.1:1/0")


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{SPELLED}@cache.example.com",
        f"redis://:{SPELLED}@cache.example.com:port",
        f"redis://:{SPELLED}@cache.example.com:6379/?socket_timeout=soon",
        f"redis://:{SPELLED}@[cache",
        "cache.example.com",
    ],
)
def test_a_url_that_cannot_be_used_is_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="Redis") as caught:
        RedisStorage(url, key=KEY)
    assert "planted" not in str(caught.value)


def test_a_url_and_a_client_exclude_each_other() -> None:
    for arguments in ({}, {"url": "redis://127.0.0.1", "client": object()}):
        with pytest.raises(UsageError, match="a URL or a client"):
            RedisStorage(**arguments, key=KEY)  # type: ignore[arg-type]


@pytest.mark.parametrize("client", [redis.asyncio.Redis(), "redis://127.0.0.1", redis.Redis])
def test_a_client_of_another_kind_is_refused_before_it_is_asked(client: Any) -> None:
    with pytest.raises(UsageError, match=r"client is of the type .*redis\.Redis"):
        RedisStorage(client=client, key=KEY)


@pytest.mark.parametrize("url", [5, b"redis://127.0.0.1", Path("x")])
def test_a_url_is_a_text(url: Any) -> None:
    with pytest.raises(UsageError, match="url is of the type"):
        RedisStorage(url, key=KEY)


@pytest.mark.parametrize("replicas", [-1, 1.5, "1", True, None])
def test_the_replicas_are_a_number(replicas: Any) -> None:
    with pytest.raises(UsageError, match="replicas"):
        RedisStorage("redis://127.0.0.1", key=KEY, replicas=replicas)


@pytest.mark.parametrize("namespace", ["", "{a}", "a b", "a*", "a\n", None, 5])
def test_a_namespace_is_a_word(namespace: Any) -> None:
    with pytest.raises(UsageError, match="namespace"):
        RedisStorage("redis://127.0.0.1", key=KEY, namespace=namespace)


@pytest.mark.parametrize("lease", [0, 0.5, 301, True, "20", float("nan")])
def test_a_lease_has_its_bounds(lease: float) -> None:
    with pytest.raises(UsageError, match="lease"):
        RedisStorage("redis://127.0.0.1", key=KEY, lease=lease)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(UsageError, match=r"pip install 'mcp-client-auth\[redis\]'"):
        RedisStorage("redis://127.0.0.1", key=KEY)


def test_no_password_is_shown_and_no_server_is_unavailable() -> None:
    port = free_port()
    storage = RedisStorage(f"redis://:{SPELLED}@127.0.0.1:{port}/0", key=KEY)
    assert storage.where == f"Redis at 127.0.0.1:{port} (mcp-client-auth), sealed"
    with pytest.raises(Unavailable) as caught:
        storage.load(Key("https://mcp.example.com/mcp"))
    assert caught.value.code == "store"
    assert f"127.0.0.1:{port}" in str(caught.value)
    shown = f"{storage.where} {caught.value} {storage!r} {vars(storage)} {vars(storage.engine)}"
    assert "planted" not in shown.replace(repr(storage.engine._client), "")  # type: ignore[attr-defined]


def test_a_password_that_the_library_repeats_is_masked() -> None:
    storage = RedisStorage(f"redis://:{SPELLED}@127.0.0.1/0", key=KEY)
    for error, passing in (
        (redis.AuthenticationError(f"no {PASSWORD}"), False),
        (redis.ConnectionError(f"no {SPELLED}"), True),
        (redis.ResponseError("OOM command not allowed"), False),
        (redis.exceptions.ReadOnlyError("a replica"), True),
        (redis.exceptions.RedisClusterException("Redis Cluster cannot be connected"), True),
    ):
        passes, words = storage.engine.fault(error) or (None, "")
        assert passes is passing
        assert "planted" not in words
    assert storage.engine.fault(ValueError()) is None


def test_what_the_engine_refuses_is_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = RedisStorage("redis://127.0.0.1/0", key=KEY)

    def full(*_: object) -> None:
        raise redis.ResponseError("OOM command not allowed when used memory > 'maxmemory'")

    monkeypatch.setattr(storage.engine, "get", full)
    with pytest.raises(
        StorageError,
        match=r"OOM command not allowed.*\. What is stored was kept",
        check=coded("refused"),
    ):
        storage.load(Key("https://mcp.example.com/mcp"))
