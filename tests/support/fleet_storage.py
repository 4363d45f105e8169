"""The storage of a host of a fleet, by its engine's URL, and the request that workers send."""

from __future__ import annotations

from typing import Final

from mcp_client_auth.storage.shared import Shared

HEADERS: Final = {"Accept": "application/json, text/event-stream"}
LIST: Final = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
LEASE: Final = 3.0  # for the tests, which cannot wait for 20 s


def storage_at(url: str, namespace: str, lease: float = LEASE) -> Shared:
    """A storage that has its key from the environment."""
    if url.startswith("redis"):
        from mcp_client_auth.storage.redis import RedisStorage

        return RedisStorage(url, namespace=namespace, lease=lease)
    from mcp_client_auth.storage.postgres import PostgresStorage

    return PostgresStorage(url, schema=namespace, lease=lease)
