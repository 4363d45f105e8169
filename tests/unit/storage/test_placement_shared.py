"""A storage that hosts share is named by a URL, of which nothing is shown but its scheme."""

from __future__ import annotations

import pytest

from mcp_client_auth import MCPAuth, UsageError
from mcp_client_auth.storage import choose_storage, library_storage, name_of, shared_at
from mcp_client_auth.storage.sealed import new_key

REDIS = "redis://:planted-password@127.0.0.1:1"
POSTGRES = "postgresql://app:planted-password@127.0.0.1:1/app"
SERVER = "https://mcp.example.com/mcp"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", new_key().reveal())
    shared_at.cache_clear()


@pytest.mark.parametrize(("url", "name"), [(REDIS, "redis"), (POSTGRES, "postgres")])
def test_a_url_names_one_for_all_sessions(
    url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = choose_storage(url)
    assert storage is library_storage(url)
    assert (name_of(storage), storage.shared) == (name, True)
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", url)
    assert library_storage() is storage
    assert choose_storage("memory") is not storage
    assert MCPAuth(SERVER, prompt=None).session.ports.storage is storage


@pytest.mark.parametrize("scheme", ["mysql", "http", ""])
def test_another_scheme_is_refused_and_the_rest_is_not_shown(scheme: str) -> None:
    with pytest.raises(UsageError, match="redis, rediss, unix, postgresql") as caught:
        choose_storage(f"{scheme}://me:planted-password@host")
    assert "planted" not in str(caught.value)


def test_without_a_key_it_is_refused_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MCP_CLIENT_AUTH_KEY")
    monkeypatch.setenv("MCP_CLIENT_AUTH_STORAGE", REDIS)
    with pytest.raises(UsageError, match="MCP_CLIENT_AUTH_KEY"):
        MCPAuth(SERVER)


def test_a_storage_of_one_host_is_not_shared() -> None:
    assert [choose_storage(name).shared for name in ("file", "memory", "keyring")] == [False] * 3
