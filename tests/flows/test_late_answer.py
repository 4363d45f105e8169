"""A refresh that is answered late: its caller waits no longer, and the answer is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest

from mcp_client_auth import MCPAuth, MemoryStorage, Options, Unavailable
from mcp_client_auth.credential import key_for
from mcp_client_auth.session import renewal
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
OPTIONS = Options(http_timeout=0.3, patience=0.0)


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(Settings()) as server:
        yield server


@pytest.fixture
def expired(server: DemoServer, monkeypatch: pytest.MonkeyPatch) -> MemoryStorage:
    """A login whose token has expired, with a patience that even a loaded machine cannot use up."""
    monkeypatch.setattr(renewal, "_LONGER", 1000.0)
    storage, person = MemoryStorage(), ScriptedBrowser()
    MCPAuth(server.url, storage=storage, prompt=person.prompt).login()
    assert person.join(60)
    held = storage.load(key_for(server.url))
    assert held
    ended = replace(held.tokens, expires_at=time.time() - 1)
    storage.save(replace(held, tokens=ended, generation=held.generation + 1))
    return storage


def sync_post(auth: MCPAuth, url: str) -> int:
    with httpx.Client(auth=auth, trust_env=False) as client:
        return client.post(url, json=LIST).status_code


def async_post(backend: str) -> Callable[[MCPAuth, str], int]:
    async def post(auth: MCPAuth, url: str) -> int:
        async with httpx.AsyncClient(auth=auth, trust_env=False) as client:
            return (await client.post(url, json=LIST)).status_code

    return lambda auth, url: anyio.run(post, auth, url, backend=backend)


@pytest.mark.parametrize(
    "post", [sync_post, async_post("asyncio"), async_post("trio")], ids=["sync", "asyncio", "trio"]
)
def test_its_caller_is_told_and_the_rotated_token_is_kept(
    server: DemoServer, expired: MemoryStorage, post: Callable[[MCPAuth, str], int]
) -> None:
    auth = MCPAuth(server.url, storage=expired, prompt=None, options=OPTIONS)
    held = server.hold_next()
    for _ in range(2):  # the second one joins it
        with pytest.raises(Unavailable, match="still waited for"):
            post(auth, server.url)
    held.release()
    assert eventually(lambda: auth.session.current() is not None)
    assert post(auth, server.url) == 200
    assert server.token_requests("refresh_token") == 1
    assert server.families_revoked == 0


def eventually(happens: Callable[[], Any]) -> bool:
    end = time.monotonic() + 60
    while not happens() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(happens())
