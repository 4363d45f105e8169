"""The command with a storage that many hosts share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_client_auth import StorageError
from mcp_client_auth.storage.sealed import new_key
from mcp_client_auth.testing import DemoServer
from tests.support.codes import coded
from tests.support.engines import PostgresServer, RedisServer
from tests.support.fleet_storage import storage_at
from tests.support.inside import Inside


@pytest.fixture(params=["redis", "postgres"])
def place(request: pytest.FixtureRequest, inside: Inside) -> RedisServer | PostgresServer:
    """Named by the environment, with its key, as in a container."""
    engine: RedisServer | PostgresServer = request.getfixturevalue(f"{request.param}_server")
    inside.patch.setenv("MCP_CLIENT_AUTH_STORAGE", engine.url)
    inside.patch.setenv("MCP_CLIENT_AUTH_KEY", new_key().reveal())
    from mcp_client_auth.storage.placement import shared_at

    shared_at.cache_clear()
    if isinstance(engine, RedisServer):
        engine.flush()
    else:
        assert inside("store", "create").code == 0
    return engine


def test_a_login_lives_in_the_engine_from_one_command_to_the_next(
    inside: Inside, place: RedisServer | PostgresServer, server: DemoServer
) -> None:
    ran = inside.log_in(server.url)
    assert ran.code == 0
    assert not list((inside.home / "logins").glob("*.secret"))
    assert inside("call", server.url, "whoami").code == 0
    listed = inside("list", "--json").answer["logins"]
    assert [(each["server"], each["account"]) for each in listed] == [(server.url, "default")]
    assert inside("status", "--check").code == 0
    assert f"{listed[0]['storage']}" in inside("status", server.url).out
    assert inside("token", server.url).code == 0
    ran = inside("logout", server.url, "--json")
    assert ran.answer["logged_out"][0]["revoked"] is True
    assert inside("list", "--json").answer["logins"] == []
    assert inside("token", server.url).code == 3


def test_all_logins_of_one_account_are_ended_and_no_others(
    inside: Inside, place: RedisServer | PostgresServer, server: DemoServer
) -> None:
    for account in ("default", "ada"):
        assert inside.log_in(server.url, "--account", account).code == 0
    ran = inside("logout", "--all", "--yes", "--account", "ada", "--json")
    assert [each["account"] for each in ran.answer["logged_out"]] == ["ada"]
    assert ran.answer["logged_out"][0]["revoked"] is True
    [left] = inside("list", "--json").answer["logins"]
    assert left["account"] == "default"
    ran = inside("logout", "--all", "--yes", MCP_CLIENT_AUTH_ACCOUNT="ada")
    assert "not logged in to any server" in ran.err
    assert len(inside("logout", "--all", "--yes", "--json").answer["logged_out"]) == 1


def test_check_says_what_may_lose_logins_and_no_password(
    inside: Inside, place: RedisServer | PostgresServer
) -> None:
    ran = inside("store", "check", "--json")
    assert ran.code == 0, ran.err
    assert place.password not in ran.out + ran.err
    assert f"127.0.0.1:{place.port}" in ran.answer["storage"]
    # fsync is off at the PostgreSQL of the tests; the Redis writes to disk
    expected = [] if isinstance(place, RedisServer) else ["fsync is off: a crash may lose logins"]
    assert ran.answer["warnings"] == expected


def test_a_redis_that_forgets_is_warned_of(inside: Inside, tmp_path: Path) -> None:
    inside.patch.setenv("MCP_CLIENT_AUTH_KEY", new_key().reveal())
    forgetful = ("--appendonly", "no", "--maxmemory-policy", "allkeys-lru")
    with RedisServer(tmp_path, *forgetful) as engine:
        (inside.home / "engine").write_text(engine.url)
        ran = inside("store", "check", "--store", "@engine")
    assert ran.code == 0
    assert "maxmemory-policy is allkeys-lru" in ran.err
    assert "nothing is written to disk" in ran.err


def test_a_redis_user_without_a_right_that_is_needed_later_is_told_at_once(
    inside: Inside, tmp_path: Path
) -> None:
    import redis

    inside.patch.setenv("MCP_CLIENT_AUTH_KEY", new_key().reveal())
    with RedisServer(tmp_path) as engine, redis.Redis.from_url(engine.url) as admin:
        url = engine.url.replace(f":{engine.password}@", "app:planted@")
        (inside.home / "engine").write_text(url)
        rights = ["~mcp-client-auth:*", "+@all", "-@dangerous"]
        admin.execute_command("ACL", "SETUSER", "app", "on", ">planted", *rights)
        storage = storage_at(url, "mcp-client-auth")
        with pytest.raises(
            StorageError, match=r"\+@all -@dangerous \+info", check=coded("refused")
        ):
            storage.check()  # as before a browser opens
        storage.engine.close()
        admin.execute_command("ACL", "SETUSER", "app", "+info")
        ran = inside("store", "check", "--store", "@engine")
    assert ran.code == 0, ran.err


def test_reseal_is_how_a_key_is_replaced(
    inside: Inside, place: RedisServer | PostgresServer, server: DemoServer
) -> None:
    from mcp_client_auth.storage.placement import shared_at

    inside.log_in(server.url)
    old, new = os.environ["MCP_CLIENT_AUTH_KEY"], new_key().reveal()
    shared_at.cache_clear()  # the next command is another process
    answer = inside("store", "reseal", "--json", MCP_CLIENT_AUTH_KEY=f"{new}\n{old}").answer
    assert answer["resealed"] == answer["records"] >= 1
    assert answer["left"] == 0
    shared_at.cache_clear()
    assert inside("token", server.url, MCP_CLIENT_AUTH_KEY=new).code == 0
    shared_at.cache_clear()
    ran = inside("token", server.url)
    assert ran.code != 0
    assert "sealed with another key" in ran.err
    warned = inside("store", "check", "--json").answer["warnings"]
    assert "were sealed with a key that is not here" in warned[-1]


@pytest.mark.parametrize("verb", [("store", "check"), ("token", "https://mcp.example.com/mcp")])
@pytest.mark.parametrize(
    "url",
    ["redis://:planted-password@127.0.0.1:1", "redis://127.0.0.1:1?password=planted-password"],
)
def test_a_password_in_the_arguments_is_refused(
    inside: Inside, verb: tuple[str, ...], url: str
) -> None:
    ran = inside(*verb, "--store", url)
    assert ran.code == 2
    assert "MCP_CLIENT_AUTH_STORAGE" in ran.err
    assert "planted" not in ran.err


def test_without_a_key_nothing_is_connected(inside: Inside) -> None:
    ran = inside("store", "check", "--store", "redis://127.0.0.1:1")
    assert ran.code == 2
    assert "MCP_CLIENT_AUTH_KEY" in ran.err


def test_an_engine_that_is_down_asks_no_one_to_log_in(inside: Inside) -> None:
    inside.patch.setenv("MCP_CLIENT_AUTH_KEY", new_key().reveal())
    ran = inside("token", "https://mcp.example.com/mcp", "--store", "redis://127.0.0.1:1")
    assert ran.code == 6, ran.err
    assert "cannot be reached" in ran.err


def test_what_another_program_keeps_there_is_left_alone(
    inside: Inside, place: RedisServer | PostgresServer
) -> None:
    """A namespace or a schema in which something else lies."""
    from mcp_client_auth.credential import key_for

    url = "https://mcp.example.com/mcp"
    if isinstance(place, RedisServer):
        import redis

        theirs = redis.Redis.from_url(place.url, decode_responses=True)
        name = f"mcp-client-auth:{{{key_for(url).id}}}:r"
        theirs.set(name, "theirs")
    else:
        import psycopg

        with psycopg.connect(place.url) as connection:
            connection.execute("DROP SCHEMA mcp_client_auth CASCADE")
            connection.execute("CREATE SCHEMA mcp_client_auth")
            connection.execute("CREATE TABLE mcp_client_auth.records (id text, theirs text)")
            connection.execute("INSERT INTO mcp_client_auth.records VALUES ('1', 'theirs')")
    ran = inside("token", url)
    assert ran.code == 7, ran.err
    assert "WRONGTYPE" in ran.err or "has no tables of ours" in ran.err
    if isinstance(place, RedisServer):
        assert theirs.get(name) == "theirs"
        theirs.close()
    else:
        with psycopg.connect(place.url) as connection:
            rows = connection.execute("TABLE mcp_client_auth.records").fetchall()
            assert rows == [("1", "theirs")]
            connection.execute("DROP SCHEMA mcp_client_auth CASCADE")
