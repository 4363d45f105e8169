"""Tools of real servers: the official SDK's in both eras of the protocol, and FastMCP's."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import httpx2
import pytest

from mcp_client_auth.mcp import Connection, ServerError, Tools
from mcp_client_auth.mcp.exchange import HANDSHAKES, SESSION, handshake
from tests.slow.interop import processes
from tests.slow.interop.person import Person
from tests.slow.interop.processes import HERE
from tests.support.ports import free_port

ERAS = ("2026-07-28", *HANDSHAKES[:3])
Message = dict[str, Any]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with processes.server([sys.executable, str(HERE / "tool_server.py"), str(free_port())]) as url:
        yield url


@contextmanager
def tools_at(
    url: str, era: str, told: list[Message] | None = None, library: Any = httpx
) -> Iterator[Tools]:
    """Over a connection that speaks this revision."""
    told = [] if told is None else told
    with (
        library.Client(trust_env=False) as client,
        Connection(client, url, timeout=30, on_message=told.append) as connection,
    ):
        if era != ERAS[0]:
            connection.run(handshake(connection.server, era))
            assert connection.server.version == era
            assert connection.server.session
        yield Tools(connection)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_the_sdks_server_is_listed_and_called(url: str, era: str, library: Any) -> None:
    told: list[Message] = []
    with tools_at(url, era, told, library) as tools:
        listed = {tool.name: tool for tool in tools.list()}
        assert listed["add"].required == ("a",)
        added = tools.call("add", {"a": 1, "b": 2})
        assert (added.text, added.is_error) == ("3", False)
        failed = tools.call("fail", {})
        assert failed.is_error
        assert tools.call("large", {"size": 500_000}).text == "ü" * 500_000
        assert tools.call("talk", {}).text == "told"
        with pytest.raises(ServerError) as caught:
            tools._connection.request("no/such")
        assert caught.value.rpc_code == -32601


@pytest.mark.parametrize("era", HANDSHAKES[:1])
def test_a_stream_that_the_sdk_ends_in_the_middle_is_resumed(url: str, era: str) -> None:
    with tools_at(url, era) as tools:
        assert tools.call("poll", {}).text == "polled"


def test_a_session_that_the_sdk_has_forgotten_is_begun_again(url: str) -> None:
    with tools_at(url, HANDSHAKES[0]) as tools:
        server = tools._connection.server
        gone = server.session
        ended = httpx.delete(url, headers={SESSION: gone}, trust_env=False)
        assert ended.status_code == 200
        assert tools.call("add", {"a": 1}).text == "2"
        assert server.session not in ("", gone)


def test_a_server_behind_a_login_by_the_command(sdk: str, person: Person) -> None:
    person.log_in(sdk)
    listed = person.mcp_login("tools", sdk)
    assert (listed.code, listed.out.splitlines()[0]) == (0, "whoami"), listed.err
    called = person.mcp_login("call", sdk, "whoami", "--json")
    assert called.code == 0, called.err
    assert json.loads(called.out)["result"]["content"][0]["text"] == "ada"


def test_fastmcp_behind_a_login_by_the_command(authkit: str, person: Person) -> None:
    person.log_in(authkit)
    listed = person.mcp_login("tools", authkit)
    assert "add a=INTEGER b=INTEGER\n" in listed.out, listed.err
    called = person.mcp_login("call", authkit, "add", "a=2", "b=-5")
    assert (called.code, called.out) == (0, "-3\n"), called.err
    refused = person.mcp_login("call", authkit, "add", "a=2", "b:=true", "c=1")
    assert refused.code in (1, 2), refused.err
