"""A token that an operator issued by hand is kept and served like a login, and never renewed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_client_auth import (
    BrowserPrompt,
    ClientCredentials,
    LoginRequired,
    MCPAuth,
    MemoryStorage,
    Options,
    PreRegistered,
    TokenRefused,
    UsageError,
    login,
)
from mcp_client_auth.testing import DemoServer, ScriptedBrowser
from tests.support.inside import Inside

HEADERS = {"Accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer() as server:
        yield server


def call(server: DemoServer, auth: MCPAuth) -> int:
    with httpx.Client(auth=auth, timeout=20, trust_env=False) as client:
        return client.post(server.url, headers=HEADERS, json=LIST).status_code


def token_file(inside: Inside, text: str) -> str:
    file = inside.home / "token"
    file.write_text(text)
    file.chmod(0o600)
    return str(file)


def test_it_is_stored_and_a_bare_auth_uses_it(server: DemoServer) -> None:
    storage = MemoryStorage()
    me = login(server.url, token=server.mint_token(), storage=storage)
    assert me.credential.static
    server.clear_requests()
    browser = ScriptedBrowser()
    auth = MCPAuth(server.url, storage=storage, prompt=BrowserPrompt(browser))
    assert call(server, auth) == 200
    assert len(server.requests) == 1, "one request, and nothing but it"
    assert browser.visits == 0


def test_nothing_is_discovered_or_registered_for_it(server: DemoServer) -> None:
    login(server.url, token=server.mint_token(), storage=MemoryStorage())
    assert {request.path for request in server.requests} == {httpx.URL(server.url).path}


def test_one_that_the_server_refuses_is_not_stored(server: DemoServer) -> None:
    storage = MemoryStorage()
    kept = login(server.url, token=server.mint_token(), storage=storage).credential
    with pytest.raises(TokenRefused) as caught:
        login(server.url, token="made-up-token-of-nobody", storage=storage)
    assert caught.value.status == 401
    assert storage.load(kept.key) == kept


def test_when_the_server_refuses_it_later_no_browser_opens(server: DemoServer) -> None:
    storage, browser = MemoryStorage(), ScriptedBrowser()
    login(server.url, token=server.mint_token(), storage=storage)
    server.expire_access_tokens()
    auth = MCPAuth(server.url, storage=storage, prompt=BrowserPrompt(browser))
    for _ in range(2):
        with pytest.raises(LoginRequired) as caught:
            call(server, auth)
        assert "--token-file" in caught.value.command
    with pytest.raises(LoginRequired):
        login(server.url, storage=storage, prompt=BrowserPrompt(browser))
    assert browser.visits == 0
    login(server.url, token=server.mint_token(), storage=storage)
    assert call(server, MCPAuth(server.url, storage=storage, prompt=None)) == 200


def test_the_session_that_it_was_given_to_says_the_same(server: DemoServer) -> None:
    me = login(server.url, token=server.mint_token(), storage=MemoryStorage())
    server.expire_access_tokens()
    with pytest.raises(LoginRequired) as caught:
        call(server, me.auth)
    assert "--token-file" in caught.value.command


def test_it_replaces_a_login_only_by_force_and_a_login_replaces_it_so(server: DemoServer) -> None:
    storage, prompt = MemoryStorage(), BrowserPrompt(ScriptedBrowser())
    first = login(server.url, storage=storage, prompt=prompt).credential
    with pytest.raises(UsageError) as caught:
        login(server.url, token=server.mint_token(), storage=storage)
    assert caught.value.code == "logged_in"
    assert storage.load(first.key) == first
    by_hand = login(server.url, token=server.mint_token(), storage=storage, force=True)
    assert by_hand.credential.static
    again = login(server.url, storage=storage, prompt=prompt, force=True)
    assert not again.credential.static
    assert again.credential.renewable


def test_refresh_says_that_nothing_renews_it(server: DemoServer) -> None:
    me = login(server.url, token=server.mint_token(), storage=MemoryStorage())
    with pytest.raises(LoginRequired) as caught:
        me.auth.session.refresh()
    assert "--token-file" in caught.value.command


def test_logout_deletes_it_and_asks_no_one(server: DemoServer) -> None:
    storage = MemoryStorage()
    me = login(server.url, token=server.mint_token(), storage=storage)
    server.clear_requests()
    assert me.logout().revoked is None
    assert storage.load(me.credential.key) is None
    assert server.requests == []


@pytest.mark.parametrize(
    "text",
    ["", " \n", "one\ntwo", "Bearer abc", "a b", "a\x00b", "tokén", "x" * 70_000],
    ids=["empty", "blank", "lines", "scheme", "space", "control", "letter", "huge"],
)
def test_what_cannot_be_a_token_is_refused_before_anything_is_sent(
    text: str, server: DemoServer
) -> None:
    with pytest.raises(UsageError) as caught:
        login(server.url, token=text, storage=MemoryStorage())
    assert caught.value.code == "no_token"
    assert not text.strip() or text.strip() not in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize(
    ("named", "more"),
    [
        ("client", {"client": PreRegistered("x")}),
        ("grant", {"client": PreRegistered("x", "s3cret"), "grant": ClientCredentials()}),
        ("scope", {"scope": "notes:read"}),
        ("prompt", {"prompt": BrowserPrompt()}),
        ("issuer", {"options": Options(issuer="https://auth.example.com")}),
        ("dpop", {"options": Options(dpop=True)}),
        ("resource", {"options": Options(resource="")}),
    ],
)
def test_in_python_neither(server: DemoServer, named: str, more: dict[str, Any]) -> None:
    storage = MemoryStorage()
    with pytest.raises(UsageError, match=f"token cannot be combined with .*{named}"):
        login(server.url, token=server.mint_token(), storage=storage, **more)
    assert server.requests == []
    assert not list(storage.list())


def test_what_is_no_authorization_servers_goes_with_it(server: DemoServer) -> None:
    storage = MemoryStorage()
    options = Options(http_timeout=20.0)
    login(server.url, token=server.mint_token(), storage=storage, prompt=None, options=options)
    assert call(server, MCPAuth(server.url, storage=storage)) == 200


@pytest.mark.parametrize("token", [5, b"made-up-token"])
def test_what_is_no_text_is_no_token(server: DemoServer, token: Any) -> None:
    with pytest.raises(UsageError, match="token is of the type") as caught:
        login(server.url, token=token, storage=MemoryStorage())
    assert "made-up-token" not in str(caught.value)


def test_the_command_keeps_it_and_its_verbs_use_it(inside: Inside, server: DemoServer) -> None:
    token = server.mint_token()
    ran = inside("login", server.url, "--token-file", token_file(inside, f"{token}\r\n"))
    assert ran.code == 0, ran.err
    assert "issued by hand" in ran.err
    assert token not in ran.err + ran.out
    assert inside("token", server.url).out.strip() == token
    assert inside("status", server.url, "--check").code == 0
    again = inside(server.url)
    assert again.code == 0, "a login that is there is used"
    left = inside("logout", server.url)
    assert left.code == 0
    assert "issued by hand: only its issuer can revoke it" in left.err
    assert inside("token", server.url).code == 3


def test_status_and_json_know_that_it_was_issued_by_hand(
    inside: Inside, server: DemoServer
) -> None:
    file = token_file(inside, server.mint_token())
    ran = inside("login", server.url, "--token-file", file, "--json")
    assert ran.answer["login"]["issued_by_hand"] is True
    assert inside("status", server.url).code == 0
    server.expire_access_tokens()
    assert inside("status", server.url, "--check").code == 3
    for words in (("status", server.url), ("token", server.url)):
        ran = inside(*words)
        assert ran.code == 3
        said = " ".join((ran.out + ran.err).split())
        assert f"Run: mcp-login {server.url} --token-file FILE" in said
    assert (
        inside("login", server.url, "--force", "--json").answer["login"]["issued_by_hand"] is False
    )


def test_the_command_needs_force_to_replace_a_login(inside: Inside, server: DemoServer) -> None:
    assert inside("login", server.url).code == 0
    file = token_file(inside, server.mint_token())
    refused = inside("login", server.url, "--token-file", file)
    assert refused.code == 2
    assert "--force" in refused.err
    assert inside("login", server.url, "--token-file", file, "--force").code == 0


def test_a_refused_token_ends_with_the_code_of_a_refusal(
    inside: Inside, server: DemoServer
) -> None:
    file = token_file(inside, "made-up-token-of-nobody")
    ran = inside("login", server.url, "--token-file", file)
    assert ran.code == 4
    assert "made-up-token" not in ran.err
    assert inside("list").out.strip() == ""


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes")
def test_a_file_that_others_may_read_is_named(inside: Inside, server: DemoServer) -> None:
    file = token_file(inside, server.mint_token())
    Path(file).chmod(0o644)
    ran = inside("login", server.url, "--token-file", file)
    assert ran.code == 0
    assert "chmod 600" in ran.err


def test_what_belongs_to_an_authorization_server_cannot_go_with_it(
    inside: Inside, server: DemoServer
) -> None:
    file = token_file(inside, server.mint_token())
    ran = inside("login", server.url, "--token-file", file, "--scope", "notes:read")
    assert ran.code == 2
    assert "--scope" in ran.err
    assert server.requests == []


def test_it_never_goes_to_a_server_that_only_a_file_nearby_names(
    inside: Inside, server: DemoServer
) -> None:
    inside.names({"notes": server.url})
    ran = inside("login", "notes", "--token-file", token_file(inside, server.mint_token()))
    assert ran.code == 2
    assert server.requests == []
