"""`mcp-login import` as a process, over real sockets: what it takes, what it sends and leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_client_auth import (
    BrowserPrompt,
    FileStorage,
    MCPAuth,
    MemoryStorage,
    PreRegistered,
    login,
)
from mcp_client_auth.credential import Credential, key_for
from mcp_client_auth.testing import DemoServer, RegisteredClient, ScriptedBrowser, Settings
from tests.support.hostile import World, document
from tests.support.mcp_remote_files import (
    ACCESS,
    REFRESH,
    SECRET,
    CacheDirectory,
    cached_tokens,
    client,
    without_issuer,
)
from tests.support.terminal import PATIENCE, Answer, Terminal, command

OTHER = "https://old-issuer.example.com"


@pytest.fixture
def cache(terminal: Terminal) -> CacheDirectory:
    terminal.environment.pop("MCP_REMOTE_CONFIG_DIR", None)
    terminal.environment.pop("XDG_CONFIG_HOME", None)
    return CacheDirectory(terminal.home / ".mcp-auth")


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def signed_in(server: DemoServer, identity: PreRegistered | None = None) -> Credential:
    """A login elsewhere, whose tokens and client then lie in the cache."""
    prompt = BrowserPrompt(open_url=ScriptedBrowser())
    return login(server.url, storage=MemoryStorage(), prompt=prompt, client=identity).credential


def held(credential: Credential) -> dict[str, Any]:
    """The tokens, as a token response has them."""
    tokens = credential.tokens
    assert tokens.refresh_token is not None
    return {
        "access_token": tokens.access_token.reveal(),
        "refresh_token": tokens.refresh_token.reveal(),
    }


def cached(
    cache: CacheDirectory, server: DemoServer, issuer: str | None = None, **changes: Any
) -> Credential:
    """A living login of the server in the cache; `issuer` as recorded, by default its own."""
    credential = signed_in(server)
    recorded = server.issuer if issuer is None else issuer
    cache.plant(
        server.url,
        cached_tokens(recorded, **{**held(credential), **changes}),
        client(recorded, client_id=credential.client.client_id),
    )
    server.clear_requests()
    return credential


def imported(terminal: Terminal, *arguments: str) -> Answer:
    answer = terminal.run("import", *arguments)
    for secret in (ACCESS, REFRESH, SECRET):
        assert secret not in answer.out + answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""
    return answer


def call(terminal: Terminal, url: str) -> int:
    """What a program gets that has nobody to ask."""
    auth = MCPAuth(url, storage=FileStorage(terminal.store), prompt=None)
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"Accept": "application/json, text/event-stream"}
    with httpx.Client(auth=auth, trust_env=False) as client:
        return client.post(url, json=message, headers=headers).status_code


def at_a_terminal(terminal: Terminal, said: str, *arguments: str) -> Answer:
    """The command with a pseudo-terminal for its standard input."""
    import pty

    ours, theirs = pty.openpty()
    try:
        os.write(ours, said.encode())
        done = subprocess.run(
            command("import", *arguments),
            env=terminal.environment,
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return Answer(done.returncode, done.stdout, done.stderr)


def test_a_login_is_taken_over_and_refreshed_later(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    credential = cached(cache, server)
    before = cache.state()
    answer = imported(terminal, server.url, "--yes")
    assert answer.code == 0, answer.err
    assert "access token, refresh token\n" in answer.err
    assert f"Imported the login to {server.url}\n" in answer.err
    first = terminal.run("token", server.url).out.strip()
    assert first == credential.tokens.access_token.reveal()
    assert server.count("/authorize") == server.count("/register") == 0
    server.expire_access_tokens()
    assert call(terminal, server.url) == 200
    assert server.token_requests("refresh_token") == 1
    assert terminal.run("token", server.url).out.strip() not in ("", first)
    assert cache.state() == before


@pytest.mark.parametrize("server", [Settings(access_token_seconds=1)], indirect=True)
def test_an_expired_login_is_refreshed_at_once_where_its_issuer_is_recorded(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    credential = cached(cache, server, expires_at=(time.time() - 60) * 1000)
    answer = imported(terminal, "--yes", server.url)
    assert answer.code == 0, answer.err
    assert server.token_requests("refresh_token") >= 1
    assert terminal.run("token", server.url).out.strip() != credential.tokens.access_token.reveal()


def test_a_refused_token_is_refreshed_where_it_can_be(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    cached(cache, server)
    server.expire_access_tokens()
    answer = imported(terminal, "--yes", server.url)
    assert answer.code == 0, answer.err
    assert server.token_requests("refresh_token") == 1
    assert terminal.run("token", server.url).code == 0


def test_a_refresh_token_that_is_refused_is_not_kept(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    cached(cache, server)
    server.revoke_everything()
    answer = imported(terminal, "--yes", server.url)
    assert answer.code == 4
    assert "refuses the refresh token of the cache" in answer.err
    assert terminal.run("list").out == ""


def test_a_server_that_is_down_for_a_moment_costs_no_login(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    cached(cache, server)
    server.expire_access_tokens()
    server.fail_next("/token", 503, times=20)
    answer = imported(terminal, "--yes", server.url)
    assert answer.code == 6
    assert "The login was imported, but is not checked" in answer.err
    assert server.url in terminal.run("list").out


# What the cache may say of an authorization server without it being the one of now.
UNBOUND: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "no issuer recorded": ({"issuer": None}, {"issuer": None}),
    "another issuer of the client alone": ({"issuer": None}, {"issuer": OTHER}),
    "another issuer": ({"issuer": OTHER}, {"issuer": OTHER}),
    "another issuer, with our client": ({"issuer": OTHER}, {}),
    "another client's issuer": ({}, {"issuer": OTHER}),
    "no client": ({}, None),
    "the secret of nobody knows whom": (
        {},
        {"issuer": None, "client_secret": SECRET, "token_endpoint_auth_method": None},
    ),
    "a secret that has expired": (
        {},
        {
            "client_secret": SECRET,
            "token_endpoint_auth_method": "client_secret_post",
            "client_secret_expires_at": 1,
        },
    ),
    "no secret where one is needed": ({}, {"token_endpoint_auth_method": "client_secret_basic"}),
    "a method that we do not have": (
        {},
        {"client_secret": SECRET, "token_endpoint_auth_method": "made_up\x1b[31m"},
    ),
    "an issuer that is no text": ({"issuer": {"is": OTHER}}, {}),
    "control characters for an issuer": ({"issuer": "https://\x1b]0;x\x07"}, {}),
}


@pytest.mark.parametrize("case", UNBOUND)
def test_what_is_not_bound_to_this_issuer_is_never_sent(
    terminal: Terminal, world: World, cache: CacheDirectory, case: str
) -> None:
    tokens, registered = UNBOUND[case]
    cache.plant(
        world.url,
        cached_tokens(**{"issuer": world.issuer, **tokens}),
        None if registered is None else client(**{"issuer": world.issuer, **registered}),
    )
    before = cache.state()
    answer = imported(terminal, "--yes", world.url)
    assert answer.code == 3, answer.err
    assert "the login cannot be imported: " in answer.err
    assert f"Run: mcp-login {world.url}" in answer.err
    assert all(line.isprintable() for line in answer.err.splitlines())
    assert terminal.stored() == {}
    assert set(world.visited) <= {"probe", "resource", "server"}
    everything = b"".join(body for _, body in world.bodies)
    for secret in (ACCESS, REFRESH, SECRET):
        assert secret.encode() not in everything
    assert cache.state() == before


def test_an_expired_token_of_another_issuer_is_left_with_its_refresh_token(
    terminal: Terminal, world: World, cache: CacheDirectory
) -> None:
    """The server has been turned to an authorization server that collects refresh tokens."""
    past = (time.time() - 60) * 1000
    cache.plant(world.url, cached_tokens(OTHER, expires_at=past), client(OTHER))
    answer = imported(terminal, "--yes", world.url)
    assert answer.code == 3
    assert f"{OTHER} issued it, but the server now names {world.issuer}" in answer.err
    assert f"Run: mcp-login {world.url}" in answer.err
    assert set(world.visited) <= {"probe", "resource", "server"}
    assert terminal.run("list").out == ""


def test_a_login_that_is_bound_is_ended_at_its_server(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    cached(cache, server)
    assert imported(terminal, "--yes", server.url).code == 0
    assert terminal.run("logout", server.url).err == (f"Logged out of {server.url}\n")


@pytest.mark.parametrize(
    "server",
    [
        Settings(
            clients=(
                RegisteredClient(
                    "ours", SECRET, "client_secret_post", ("http://127.0.0.1/callback",)
                ),
            )
        )
    ],
    indirect=True,
)
def test_a_client_secret_comes_with_the_issuer_that_is_recorded_for_it(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    credential = signed_in(server, PreRegistered("ours", SECRET, "client_secret_post"))
    known = client(
        server.issuer,
        client_id="ours",
        client_secret=SECRET,
        token_endpoint_auth_method="client_secret_post",
    )
    cache.plant(server.url, cached_tokens(server.issuer, **held(credential)), known)
    server.expire_access_tokens()
    answer = imported(terminal, "--yes", server.url)
    assert answer.code == 0, answer.err
    assert "access token, refresh token, client secret\n" in answer.err


def test_a_refused_access_token_that_cannot_be_renewed_is_not_kept(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    tokens = cached_tokens(server.issuer, refresh_token=None)
    cache.plant(server.url, tokens, client(server.issuer))
    answer = imported(terminal, "--yes", server.url)
    assert answer.code == 4
    assert "the server refuses the access token of the cache" in answer.err
    assert terminal.run("list").out == ""
    assert imported(terminal, "--yes", "--no-check", server.url).code == 0
    assert server.url in terminal.run("list").out


def test_without_a_url_every_server_that_a_program_knows_is_shown(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    cached(cache, server)
    for number in range(3):
        cache.plant(f"https://unknown{number}.example/mcp", without_issuer())
    entry = {"command": "npx", "args": ["-y", "mcp-remote@latest", server.url]}
    config = terminal.home / ".cursor" / "mcp.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"mcpServers": {"notes": entry, "other": {"url": "http://["}}}))
    answer = imported(terminal, "--yes")
    assert answer.code == 0, answer.err
    assert "3 logins belong to unknown servers: pass the URL" in answer.err
    assert terminal.run("token", server.url).code == 0


def test_a_resource_of_the_configuration_goes_with_the_refresh_token(
    terminal: Terminal, world: World, cache: CacheDirectory
) -> None:
    entry = {"command": "npx", "args": ["mcp-remote", world.url, "--resource", "urn:tenant"]}
    (terminal.home / ".claude.json").write_text(json.dumps({"mcpServers": {"a": entry}}))
    past = (time.time() - 60) * 1000
    tokens = cached_tokens(world.issuer, expires_at=past)
    cache.plant(f"{world.url}|urn:tenant", tokens, client(world.issuer))
    world.at("refresh", document({"access_token": "renewed", "token_type": "Bearer"}))
    answer = imported(terminal, "--yes", "--verbose")
    assert answer.code == 0, answer.err
    (body,) = [body for spot, body in world.bodies if spot == "refresh"]
    assert b"resource=urn%3Atenant" in body


def test_the_newest_of_several_logins_to_a_server_is_taken(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    old = cached_tokens(server.issuer, access_token="of-another-spelling")
    cache.plant(server.url + "/", old, client(server.issuer), age=5000)
    credential = cached(cache, server)
    answer = imported(terminal, "--yes", server.url)
    assert answer.code == 0, answer.err
    assert terminal.run("token", server.url).out.strip() == credential.tokens.access_token.reveal()


def test_a_url_with_a_slash_more_is_found(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    cached(cache, server)
    assert imported(terminal, "--yes", server.url + "/").code == 0


def test_a_login_that_is_there_stays_unless_forced(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    credential = cached(cache, server)
    terminal.log_in(server.url)
    stored, mine = terminal.stored(), terminal.run("token", server.url).out
    server.clear_requests()
    answer = imported(terminal, "--yes", server.url)
    assert answer.code == 0
    assert "you are already logged in" in answer.err
    assert (terminal.stored(), server.requests) == (stored, [])
    assert imported(terminal, "--yes", "--account", "old", server.url).code == 0
    assert terminal.run("token", server.url).out == mine
    assert imported(terminal, "--yes", "--force", server.url).code == 0
    assert terminal.run("token", server.url).out.strip() == credential.tokens.access_token.reveal()


def test_a_login_that_the_server_no_longer_accepts_is_no_reason_to_force(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    terminal.log_in(server.url)
    server.revoke_everything()
    storage, key = FileStorage(terminal.store), key_for(server.url)
    mine = storage.load(key)
    assert mine
    old = replace(mine.tokens, issued_at=mine.tokens.issued_at - 60)
    storage.save(replace(mine, tokens=old))
    assert terminal.run("request", server.url, "-d", "{}").code == 3
    credential = cached(cache, server)
    assert imported(terminal, "--yes", server.url).code == 0
    assert terminal.run("token", server.url).out.strip() == credential.tokens.access_token.reveal()


def test_a_forced_import_that_fails_gives_the_old_login_back(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    cached(cache, server)
    server.revoke_everything()
    terminal.log_in(server.url)
    storage, key = FileStorage(terminal.store), key_for(server.url)
    mine = storage.load(key)
    assert mine is not None
    assert imported(terminal, "--yes", "--force", server.url).code == 4
    after = storage.load(key)
    assert after is not None
    assert after.generation > mine.generation
    assert replace(after, generation=mine.generation) == mine


def test_without_a_terminal_it_needs_to_be_told(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    cached(cache, server)
    answer = imported(terminal, server.url)
    assert answer.code == 2
    assert "there is no terminal to ask at" in answer.err
    assert "add --yes" in answer.err
    assert terminal.stored() == {}


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal")
@pytest.mark.parametrize(("said", "taken"), [("n\n", False), ("\n", False), ("y\n", True)])
def test_a_person_is_asked_once_and_no_is_the_default(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory, said: str, taken: bool
) -> None:
    cached(cache, server)
    before = cache.state()
    answer = at_a_terminal(terminal, said, server.url)
    assert answer.code == 0, answer.err
    assert answer.err.count("Import this login? [y/N]") == 1
    assert ("Nothing was imported." in answer.err) is not taken
    assert bool(terminal.stored()) is taken
    assert cache.state() == before


def test_an_empty_home_has_nothing(terminal: Terminal, cache: CacheDirectory) -> None:
    answer = imported(terminal)
    assert (answer.code, answer.err) == (
        0,
        f"Nothing to import was found in {cache.root}\n",
    )
    named = imported(terminal, "https://mcp.example.com/mcp")
    assert named.code == 3
    assert "mcp-remote has no login for it" in named.err


def test_another_directory_can_be_named(
    terminal: Terminal, server: DemoServer, tmp_path: Path
) -> None:
    elsewhere = CacheDirectory(tmp_path / "backup")
    cached(elsewhere, server)
    answer = imported(
        terminal, "--yes", "--from", str(elsewhere.root / "mcp-remote-v1"), server.url
    )
    assert answer.code == 0, answer.err
    by_environment = terminal.run("import", MCP_REMOTE_CONFIG_DIR=str(elsewhere.root))
    assert f"in {elsewhere.root}\n" in by_environment.err
    assert imported(terminal, "--from", str(tmp_path / "nowhere")).code == 2


def test_damaged_files_beside_a_good_one_are_said(
    terminal: Terminal, server: DemoServer, cache: CacheDirectory
) -> None:
    cached(cache, server)
    cache.plant("https://a.example", b"{" + REFRESH.encode())
    cache.plant("https://b.example", b" " * (2 << 20))
    answer = imported(terminal, "--yes", server.url)
    assert answer.code == 0
    assert answer.err.count("  skipped ") == 2


def test_a_server_that_fails_does_not_stop_the_others(
    terminal: Terminal, server: DemoServer, world: World, cache: CacheDirectory
) -> None:
    world.at("server", document({"issuer": OTHER, "token_endpoint": OTHER + "/t"}))
    cache.plant(world.url, cached_tokens(OTHER), client(OTHER))
    cache.plant("http://mcp.example.com/mcp", without_issuer())
    cached(cache, server)
    urls = [world.url, "http://mcp.example.com/mcp", server.url]
    answer = imported(terminal, "--yes", *urls)
    assert answer.code == 5
    assert "names another issuer" in answer.err
    assert "not https" in answer.err
    assert server.url in terminal.run("list").out
    assert world.url not in terminal.run("list").out
    assert "answer" not in world.visited
