"""How programs use the public names, for type checkers to read; it is never run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

import httpx
import httpx2

from mcp_client_auth import (
    AuthError,
    BrowserPrompt,
    ClientCredentials,
    ClientMetadataDocument,
    Credential,
    DeviceCode,
    FileStorage,
    Key,
    Login,
    LoginRequired,
    Logins,
    MCPAuth,
    MemoryStorage,
    Options,
    PendingLogin,
    PreRegistered,
    Secret,
    alogin,
    begin_login,
    finish_login,
    login,
    logout,
)
from mcp_client_auth.events import Event
from mcp_client_auth.extending import Backend, Item, Prompt, Storage, Transport
from mcp_client_auth.testing import DemoServer, Settings, assert_no_secrets

URL = "https://mcp.example.com/mcp"


def told(event: Event) -> None:
    assert_type(event.status, int)
    assert_type(event.url, str)


def requests() -> None:
    auth = MCPAuth(URL, account="work", scope=["notes:read"], storage="file", on_event=told)
    httpx.Client(auth=auth).get(URL)
    httpx2.Client(auth=auth).get(URL)
    httpx.AsyncClient(auth=auth)
    httpx2.AsyncClient(auth=auth)
    MCPAuth(
        URL,
        client=PreRegistered("id", secret=Secret("s"), method="client_secret_post"),
        grant=ClientCredentials(),
        options=Options(resource=URL, issuer="https://auth.example.com", require_iss=True),
        storage=MemoryStorage(),
        prompt=None,
        on_failure="rpc",
    )
    MCPAuth(URL, client=ClientMetadataDocument("https://app.example.com/client.json"))
    MCPAuth(URL, grant=DeviceCode(), prompt=BrowserPrompt(open_url=lambda url: True))


def one_login() -> None:
    me = login(URL, storage=FileStorage("/tmp/logins"))
    assert_type(me, Login)
    assert_type(me.credential, Credential)
    assert_type(me.credential.tokens.access_token.reveal(), str)
    assert_type(me.credential.key, Key)
    headers: Mapping[str, str] = me.headers()
    token: str = me.token()
    with me.client() as client:
        client.post(URL, headers=headers, content=token)
    logout(URL)


async def another() -> None:
    me = await alogin(URL)
    async with me.async_client() as client:
        await client.post(URL)


def two_halves(logins: Logins) -> None:
    pending = begin_login(URL, redirect_uri="https://app.example.com/callback", account="ada")
    assert_type(pending, PendingLogin)
    response = "https://app.example.com/callback?code=…"
    assert_type(finish_login(pending, response, binding=None), Login)


def errors() -> str:
    try:
        login(URL)
    except LoginRequired as error:
        return error.command
    except AuthError as error:
        return f"{error.code} {error.summary} {error.hint}"
    return ""


def parts_of_ones_own(
    backend: Backend, item: Item, prompt: Prompt, storage: Storage, transport: Transport
) -> MCPAuth:
    return MCPAuth(URL, storage=storage, prompt=prompt, transport=transport)


def in_tests() -> None:
    with DemoServer(Settings(dpop="required")) as server:
        assert_type(server.url, str)
        assert_no_secrets("what was logged")
