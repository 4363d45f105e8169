"""What a `PostgresStorage` says before it connects, and what it never shows; the rest in
slow/fleet."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from mcp_client_auth import PostgresStorage, Unavailable, UsageError
from mcp_client_auth.storage import postgres
from mcp_client_auth.storage.engine import Address
from mcp_client_auth.storage.sealed import new_key
from tests.support.ports import free_port

KEY = new_key()
URL = "postgresql://app:planted%2Fpassword-Uw2@db.example.com:5433/app"


def test_there_is_nothing_without_a_key() -> None:
    with pytest.raises(UsageError, match="MCP_CLIENT_AUTH_KEY"):
        PostgresStorage(URL)


@pytest.mark.parametrize("url", [URL.replace("postgresql", "http"), URL + "?planted=1", "db"])
def test_a_url_that_cannot_be_used_is_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="PostgreSQL") as caught:
        PostgresStorage(url, key=KEY)
    assert "planted" not in str(caught.value)


def test_a_url_and_a_pool_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="a URL or a pool"):
        PostgresStorage(key=KEY)


def test_a_pool_of_another_kind_is_refused_before_it_is_asked() -> None:
    import psycopg_pool

    for pool in (psycopg_pool.AsyncConnectionPool(URL, open=False), URL):
        with pytest.raises(UsageError, match=r"pool is of the type .*ConnectionPool"):
            PostgresStorage(pool=pool, key=KEY)  # type: ignore[arg-type]


def test_a_url_is_a_text() -> None:
    with pytest.raises(UsageError, match="url is of the type bytes"):
        PostgresStorage(URL.encode(), key=KEY)  # type: ignore[arg-type]


@pytest.mark.parametrize("schema", ["", "a b", "A", "a;drop", 'a"', "ä", "1a", "a" * 64, None, 5])
def test_a_schema_is_a_plain_name(schema: Any) -> None:
    with pytest.raises(UsageError, match="schema"):
        PostgresStorage(URL, key=KEY, schema=schema)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg_pool", None)
    with pytest.raises(UsageError, match=r"pip install 'mcp-client-auth\[postgres\]'"):
        PostgresStorage(URL, key=KEY)


def test_why_no_connection_can_be_made_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(postgres, "_ANSWERS", 0.5)
    monkeypatch.setattr("logging.root.handlers", [])  # as in a program that has set up no log
    storage = PostgresStorage(f"postgresql://app:planted@127.0.0.1:{free_port()}/app", key=KEY)
    with pytest.raises(Unavailable, match="Connection refused") as caught:
        storage.check()
    storage.engine.close()
    assert "planted" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_the_place_is_shown_without_the_password() -> None:
    storage = PostgresStorage(URL, key=KEY, schema="logins")
    assert storage.where == "PostgreSQL at db.example.com:5433 (logins), sealed"
    assert "planted" not in f"{storage!r} {storage.ddl()} {vars(storage)}"
    assert "logins.records" in storage.ddl()


ENCRYPTED = ("require", "verify-ca", "verify-full")


@pytest.mark.parametrize(
    ("place", "private"),
    [
        ("localhost/app", True),
        ("[::1]/app", True),
        ("/app?host=/run/postgresql", True),
        *((f"db.example.com/app?sslmode={mode}", True) for mode in ENCRYPTED),
        ("db.example.com/app?sslmode=prefer", False),
        ("db.example.com/app", False),
        ("/app?host=db.example.com", False),
        ("localhost/app?hostaddr=192.0.2.7", False),
        ("127.0.0.1:5432,db.example.com:5432/app", False),
    ],
)
def test_what_leaves_this_machine_without_encryption_is_known(place: str, private: bool) -> None:
    assert PostgresStorage(f"postgresql://{place}", key=KEY).engine.private is private


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "postgresql://db.example.com/app?user=app&password=planted%2Fpassword-Uw2",
        "postgresql://db.example.com/app?sslpassword=planted%2Fpassword-Uw2",
        "postgresql://app:planted%2Fpassword-Uw2?#@db.example.com/app",
    ],
)
def test_a_password_is_masked_wherever_the_url_has_it(url: str) -> None:
    words = Address(url).words(OSError("no planted/password-Uw2 and no planted%2Fpassword-Uw2"))
    assert "planted" not in words


def test_what_the_library_says_is_masked_and_told_apart() -> None:
    import psycopg

    storage = PostgresStorage(URL, key=KEY)
    for error, passing in (
        (psycopg.errors.InvalidPassword("no planted/password-Uw2"), False),
        (psycopg.OperationalError("connection to planted%2Fpassword-Uw2 failed"), True),
        (psycopg.errors.UndefinedTable("no table"), False),
        (psycopg.errors.ReadOnlySqlTransaction("a replica"), True),
        (psycopg.errors.FeatureNotSupported("cannot access … tables during recovery"), True),
    ):
        passes, words = storage.engine.fault(error) or (None, "")
        assert passes is passing
        assert "planted" not in words
        assert ("mcp-login store create" in words) is ("no table" in f"{error}")
    assert storage.engine.fault(ValueError()) is None


@pytest.mark.parametrize(
    ("url", "place", "private"),
    [
        ("postgresql://db.example.com/app", "db.example.com:5432", False),
        ("postgresql://db.example.com/app?sslmode=prefer", "db.example.com:5432", False),
        ("postgresql://db.example.com/app?sslmode=require", "db.example.com:5432", True),
        ("postgresql://127.0.0.1:6000/app", "127.0.0.1:6000", True),
        ("postgresql:///app", "localhost:5432", True),
    ],
)
def test_the_place_is_whole_and_who_could_read_on_the_way_is_known(
    url: str, place: str, private: bool
) -> None:
    storage = PostgresStorage(url, key=KEY)
    assert place in storage.where
    assert storage.engine.private is private
