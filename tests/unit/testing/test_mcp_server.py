"""The demo MCP server: by hand, and with the clients that people use."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest
from fastmcp import Client as FastClient
from mcp import Client as SdkClient
from mcp.client.streamable_http import streamable_http_client

from mcp_client_auth.testing import DemoServer, Settings
from mcp_client_auth.testing.tools import SLOWEST

STATELESS = "2026-07-28"


class Endpoint:
    """The MCP endpoint and a client that holds a good token."""

    def __init__(self, url: str, http: httpx.Client) -> None:
        self.url = url
        self.http = http

    def post(self, **request: Any) -> httpx.Response:
        return self.http.post(self.url, **request)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def mcp(mcp_auth_server: DemoServer) -> Iterator[Endpoint]:
    headers = {"Authorization": f"Bearer {mcp_auth_server.mint_token()}"}
    with httpx.Client(trust_env=False, headers=headers, timeout=60) as client:
        yield Endpoint(mcp_auth_server.url, client)


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def stateless(method: str, name: str = "", **params: Any) -> dict[str, Any]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": method}
    named = {"name": name} if name else {}
    more = {"Mcp-Name": name} if name else {}
    return {"json": message(method, _meta=meta, **named, **params), "headers": headers | more}


def with_settings(**options: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("mcp_auth_server", [Settings(**options)], indirect=True)


def test_a_request_without_a_token_is_told_where_to_look(mcp_auth_server: DemoServer) -> None:
    response = httpx.post(mcp_auth_server.url, json=message("ping"), trust_env=False)
    origin = mcp_auth_server.url.removesuffix("/mcp")
    place = f"{origin}/.well-known/oauth-protected-resource/mcp"
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == f'Bearer resource_metadata="{place}"'
    document = httpx.get(place, trust_env=False)
    assert document.json()["resource"] == mcp_auth_server.url
    assert document.json()["authorization_servers"] == [mcp_auth_server.issuer]
    assert document.headers["access-control-allow-origin"] == "*"
    root = httpx.get(f"{origin}/.well-known/oauth-protected-resource", trust_env=False)
    assert root.status_code == 404


@with_settings(challenge_scope=True, omit_resource_metadata_parameter=True)
def test_a_challenge_may_name_the_scope_and_nothing_else(mcp_auth_server: DemoServer) -> None:
    response = httpx.post(mcp_auth_server.url, json=message("ping"), trust_env=False)
    assert response.headers["www-authenticate"] == 'Bearer scope="notes:read"'


def test_a_token_that_is_sent_and_wrong_is_called_invalid(mcp: Endpoint) -> None:
    response = mcp.post(json=message("ping"), headers={"Authorization": "Bearer nonsense"})
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_expired_tokens_are_refused_from_one_moment_to_the_next(
    mcp_auth_server: DemoServer, mcp: Endpoint
) -> None:
    assert mcp.post(json=message("ping")).status_code == 200
    mcp_auth_server.expire_access_tokens()
    assert mcp.post(json=message("ping")).status_code == 401


@with_settings(access_token_seconds=0)
def test_a_token_of_no_seconds_is_expired_at_once(mcp: Endpoint) -> None:
    assert mcp.post(json=message("ping")).status_code == 401


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25"])
def test_a_known_version_is_echoed_in_the_handshake(mcp: Endpoint, version: str) -> None:
    result = mcp.post(json=message("initialize", protocolVersion=version)).json()["result"]
    assert result["protocolVersion"] == version
    initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert mcp.post(json=initialized).status_code == 202
    tools = mcp.post(json=message("tools/list")).json()["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["whoami", "list_notes", "add_note", "slow"]


def test_the_stateless_lifecycle_needs_no_handshake(mcp: Endpoint) -> None:
    found = mcp.post(**stateless("server/discover")).json()["result"]
    assert STATELESS in found["supportedVersions"]
    called = mcp.post(**stateless("tools/call", "whoami")).json()["result"]
    assert called["resultType"] == "complete"
    assert called["structuredContent"]["login_name"] == "Ada"


def test_stateless_headers_that_differ_from_the_body_are_refused(mcp: Endpoint) -> None:
    request = stateless("tools/call", "whoami")
    request["headers"]["Mcp-Name"] = "add_note"
    response = mcp.post(**request)
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32020)


@pytest.mark.parametrize(
    ("content", "code"), [(b"{", -32700), (b"[]", -32600), (b'{"jsonrpc":"2.0"}', -32600)]
)
def test_what_is_no_message_is_refused(mcp: Endpoint, content: bytes, code: int) -> None:
    response = mcp.post(content=content)
    assert (response.status_code, response.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_endpoint_takes_posts_only(mcp: Endpoint, method: str) -> None:
    assert mcp.http.request(method, mcp.url).status_code == 405


def in_session(response: httpx.Response) -> dict[str, str]:
    return {"Mcp-Session-Id": response.headers["mcp-session-id"]}


def events(response: httpx.Response) -> list[Any]:
    """The messages of an event stream; an event without data is none."""
    assert response.headers["content-type"].startswith("text/event-stream")
    data = [line[5:].strip() for line in response.text.splitlines() if line.startswith("data:")]
    return [json.loads(text) for text in data if text]


@with_settings(sessions=True)
def test_a_server_with_sessions_wants_its_id_in_every_request(mcp: Endpoint) -> None:
    assert mcp.post(json=message("tools/list")).status_code == 400
    hello = mcp.post(json=message("initialize", protocolVersion="2025-11-25"))
    (welcome,) = events(hello)
    assert welcome["result"]["protocolVersion"] == "2025-11-25"
    headers = in_session(hello)
    early = mcp.post(json=message("tools/list"), headers=headers)
    assert early.json()["error"]["code"] == -32602
    initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert mcp.post(json=initialized, headers=headers).status_code == 202
    (tools,) = events(mcp.post(json=message("tools/list"), headers=headers))
    assert tools["result"]["tools"][0]["name"] == "whoami"
    other = {"Mcp-Session-Id": "another"}
    assert mcp.post(json=message("tools/list"), headers=other).status_code == 404


@with_settings(sessions=True)
def test_a_session_ends_once_and_only_with_a_token(mcp: Endpoint) -> None:
    headers = in_session(mcp.post(json=message("initialize")))
    assert httpx.delete(mcp.url, headers=headers, trust_env=False).status_code == 401
    assert mcp.http.delete(mcp.url, headers=headers).status_code == 200
    assert mcp.http.delete(mcp.url, headers=headers).status_code == 404
    assert mcp.post(json=message("ping"), headers=headers).status_code == 404
    assert mcp.http.get(mcp.url).status_code == 405


def test_a_write_needs_the_write_scope(mcp_auth_server: DemoServer, mcp: Endpoint) -> None:
    note = message("tools/call", name="add_note", arguments={"text": "Call Bob"})
    refused = mcp.post(json=note)
    assert refused.status_code == 403
    challenge = refused.headers["www-authenticate"]
    assert challenge.startswith('Bearer error="insufficient_scope", scope="notes:write", ')
    assert "resource_metadata=" in challenge
    more = {"Authorization": f"Bearer {mcp_auth_server.mint_token(['notes:write'])}"}
    result = mcp.post(json=note, headers=more).json()["result"]
    assert result["structuredContent"] == {"notes": ["Buy milk", "Call Bob"]}


def test_a_slow_answer_begins_at_once(mcp: Endpoint) -> None:
    """Long before the client would give up."""
    call = message("tools/call", name="slow", arguments={"seconds": SLOWEST})
    with mcp.http.stream("POST", mcp.url, json=call, timeout=SLOWEST / 2) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert next(response.iter_lines()) == "event: message"


def test_its_end_comes_after_the_seconds(mcp: Endpoint) -> None:
    call = message("tools/call", name="slow", arguments={"seconds": 0.2})
    began = time.monotonic()
    assert '"waited": 0.2' in mcp.post(json=call).text
    assert time.monotonic() - began >= 0.2


def test_stopping_does_not_wait_for_an_open_stream(mcp_auth_server: DemoServer) -> None:
    headers = {"Authorization": f"Bearer {mcp_auth_server.mint_token()}"}
    call = message("tools/call", name="slow", arguments={"seconds": 90})
    with (
        httpx.Client(trust_env=False, headers=headers) as http,
        http.stream("POST", mcp_auth_server.url, json=call),
    ):
        began = time.monotonic()
        mcp_auth_server.stop()
        assert time.monotonic() - began < 60


PLAIN, KEEPING = Settings(), Settings(sessions=True)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("mcp_auth_server", "mode"),
    [
        (PLAIN, "legacy"),
        (PLAIN, "auto"),
        (PLAIN, STATELESS),  # a revision without sessions
        (KEEPING, "legacy"),
        (KEEPING, "auto"),
    ],
    indirect=["mcp_auth_server"],
)
async def test_the_sdk_client_works(mcp_auth_server: DemoServer, mode: str) -> None:
    headers = {"Authorization": f"Bearer {mcp_auth_server.mint_token()}"}
    async with httpx2.AsyncClient(headers=headers, trust_env=False) as http:
        transport = streamable_http_client(mcp_auth_server.url, http_client=http)
        async with SdkClient(transport, mode=mode) as client:
            assert len((await client.list_tools()).tools) == 4
            answer = await client.call_tool("whoami", {})
            assert answer.structured_content["login_name"] == "Ada"
            slow = await client.call_tool("slow", {"seconds": 0.01})
            assert slow.structured_content == {"waited": 0.01}


@pytest.mark.anyio
@pytest.mark.parametrize("mcp_auth_server", [PLAIN, KEEPING], indirect=True)
async def test_the_fastmcp_client_works(mcp_auth_server: DemoServer) -> None:
    async with FastClient(mcp_auth_server.url, auth=mcp_auth_server.mint_token()) as client:
        assert len(await client.list_tools()) == 4
        answer = await client.call_tool("list_notes", {})
        assert answer.structured_content == {"notes": ["Buy milk"]}
        slow = await client.call_tool("slow", {"seconds": 0.01})
        assert slow.structured_content == {"waited": 0.01}
