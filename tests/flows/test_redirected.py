"""A server whose URL redirects, as Starlette sends `/mcp` to `/mcp/`: real servers, on sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_client_auth import (
    BadResponse,
    BrowserPrompt,
    FileStorage,
    LoginFailed,
    MCPAuth,
    MemoryStorage,
    Untrusted,
    login,
)
from mcp_client_auth.credential import key_for
from mcp_client_auth.mcp.bridge import Bridge
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings
from tests.support.hostile import ACCESS, World, document, html, redirect
from tests.support.terminal import Terminal
from tests.support.victim import Victim

LIST = '{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'
MESSAGE = document({"jsonrpc": "2.0", "id": 1, "result": {}})


class Mounted(DemoServer):
    """The demo server in an application that mounts it: POST /mcp is a 307 to /mcp/."""

    def _apps(self) -> tuple[ASGIApp, ASGIApp]:
        mcp, oauth = super()._apps()
        routes = [Mount(path, unmounted(mcp)) for path in ("/mcp", "/.well-known")]
        return Starlette(routes=routes), oauth


def unmounted(mcp: ASGIApp) -> ASGIApp:
    """The application as if it were not mounted, and without the slash after /mcp."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removesuffix("/")
        await mcp({**scope, "path": path, "root_path": ""}, receive, send)

    return app


@pytest.fixture
def mounted() -> Iterator[DemoServer]:
    with Mounted(Settings()) as running:
        yield running


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


@pytest.fixture
def victim(world: World, tmp_path: Path) -> Victim:
    return Victim(world, tmp_path / "store")


def kept(victim: Victim) -> str:
    stored = victim.storage.load(key_for(victim.world.url))
    assert stored
    return stored.final_url


def posts(server: DemoServer) -> list[int]:
    return [r.status for r in server.requests if r.path == "/mcp"]


def test_the_command_works_with_the_url_as_it_was_typed(
    mounted: DemoServer, terminal: Terminal
) -> None:
    assert httpx.post(mounted.url, trust_env=False).status_code == 307
    terminal.log_in(mounted.url)
    assert terminal.run("token", mounted.url).code == 0
    called = terminal.run("request", mounted.url, "-d", LIST)
    assert (called.code, called.err) == (0, "")
    assert '"tools"' in called.out
    echo = terminal.run("exec", mounted.url, "--", "sh", "-c", "echo $MCP_SERVER_URL")
    assert echo.out == mounted.url + "/\n"
    checked = terminal.run("status", mounted.url, "--check")
    assert "HTTP 200" in checked.out
    examined = terminal.run("doctor", mounted.url)
    assert examined.code == 0, examined.out
    assert "challenge.redirect" in examined.out
    assert f"HTTP 307, redirects to {mounted.url}/" in " ".join(examined.out.split())
    assert terminal.run("logout", mounted.url).code == 0


def test_a_slash_that_was_typed_is_remembered(mounted: DemoServer, terminal: Terminal) -> None:
    """The name and the key of a login have no slash."""
    terminal.log_in(mounted.url + "/", "--name", "work")
    for word in ("work", mounted.url, mounted.url + "/"):
        mounted.clear_requests()
        called = terminal.run("request", word, "-d", LIST)
        assert (called.code, called.err) == (0, "")
        assert '"tools"' in called.out
        assert posts(mounted) == [200]


def test_what_comes_after_the_login_goes_to_the_final_url_at_once(
    mounted: DemoServer, terminal: Terminal
) -> None:
    terminal.log_in(mounted.url)
    for verb in (("request", mounted.url, "-d", LIST), ("status", mounted.url, "--check")):
        before = len(posts(mounted))
        assert terminal.run(*verb).code == 0
        assert posts(mounted)[before:] == [200]


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_client_that_follows_redirects_logs_in_once(
    mounted: DemoServer, library: Any, asynchronous: bool
) -> None:
    browser, storage = ScriptedBrowser(), MemoryStorage()
    auth = MCPAuth(mounted.url, storage=storage, prompt=BrowserPrompt(open_url=browser))
    headers = {"Accept": "application/json, text/event-stream"}
    more = {"auth": auth, "trust_env": False, "follow_redirects": True, "headers": headers}
    if asynchronous:
        import asyncio

        async def calls() -> list[int]:
            async with library.AsyncClient(**more) as client:
                return [(await client.post(mounted.url, content=LIST)).status_code for _ in "123"]

        statuses = asyncio.run(calls())
    else:
        with library.Client(**more) as client:
            statuses = [client.post(mounted.url, content=LIST).status_code for _ in "123"]
    assert statuses == [200, 200, 200]
    assert browser.visits == 1
    held = storage.load(key_for(mounted.url))
    assert held
    assert held.final_url == mounted.url + "/"


def test_the_bridge_logs_in_where_the_server_redirects_to(mounted: DemoServer) -> None:
    browser, storage, lines = ScriptedBrowser(), MemoryStorage(), Queue[bytes]()
    auth = MCPAuth(mounted.url, storage=storage, prompt=BrowserPrompt(open_url=browser))
    with httpx.Client(auth=auth, trust_env=False) as client:
        bridge = Bridge(client, mounted.url, lines.put, error_for=vars)
        for _ in range(2):
            bridge.take(LIST.encode())
            assert json.loads(lines.get(timeout=60))["result"]["tools"]
        bridge.close()
    assert posts(mounted) == [401, 200, 200]
    assert browser.visits == 1
    held = storage.load(key_for(mounted.url))
    assert held
    assert held.final_url == mounted.url + "/"


def test_a_server_that_redirects_only_what_carries_a_token_is_followed(victim: Victim) -> None:
    """The authorization runs before the router: the 401 comes first, then the redirect."""
    world = victim.world
    world.at("answer", redirect("/tenant/mcp/"))
    world.put(world.url + "/", MESSAGE)
    victim.log_in()
    assert kept(victim) == world.url + "/"


def test_a_token_is_not_taken_to_another_directory(victim: Victim) -> None:
    world, seen = victim.world, []
    world.at("answer", redirect("/other/mcp"))
    world.put(world.origin + "/other/mcp", lambda exchange: seen.append(exchange))
    victim.log_in()
    assert (seen, kept(victim)) == ([], "")
    assert any("/other/mcp, which is not followed" in event for event in victim.events)


def moved(world: World, path: str) -> str:
    """Move the server to this path, and redirect its URL there."""
    usual = world.usual("probe")
    world.at("probe", redirect(path))
    world.put(world.origin + path, usual)
    return world.origin + path


def test_a_login_that_would_not_cover_the_final_url_is_refused_with_its_name(
    victim: Victim,
) -> None:
    final = moved(victim.world, "/v2/mcp")
    with pytest.raises(Untrusted) as caught:
        victim.log_in()
    assert caught.value.code == "redirected"
    assert caught.value.hint == f"Use that URL: {final}"
    assert "token" not in victim.world.visited
    assert victim.storage.list() == []


def test_the_doctor_ends_as_such_a_login_does(world: World, terminal: Terminal) -> None:
    final = moved(world, "/v2/mcp")
    examined = terminal.run("doctor", world.url)
    assert examined.code == terminal.run(world.url).code == 5
    assert f"Give people that URL: {final}" in " ".join(examined.out.split())


def test_a_call_that_is_redirected_says_where_to(world: World, terminal: Terminal) -> None:
    world.at("probe", redirect("https://www.acme.example/mcp"))
    called = terminal.run("request", world.url, "-d", LIST)
    assert (called.code, called.out) == (0, "")
    assert "HTTP 307 to https://www.acme.example/mcp, which is not followed" in called.err


def test_a_login_to_what_redirects_away_says_so_at_its_end(
    world: World, terminal: Terminal
) -> None:
    for spot in ("probe", "answer"):
        world.at(spot, redirect("https://www.acme.example/mcp"))
    done = terminal.log_in(world.url)
    assert done.err.count("HTTP 307: redirects to https://www.acme.example/mcp") == 2


def test_a_path_that_asks_for_a_login_and_has_no_endpoint_is_told_of(
    world: World, terminal: Terminal
) -> None:
    """If the authorization runs before the router, every path asks for a login."""
    world.at("answer", html(404))
    done = terminal.log_in(world.url)
    assert "HTTP 404: there is no MCP endpoint at this path" in done.err


def test_a_check_keeps_where_a_server_has_begun_to_redirect_to(
    world: World, terminal: Terminal
) -> None:
    terminal.log_in(world.url)
    world.at("answer", redirect("/tenant/mcp/"))
    world.put(world.url + "/", MESSAGE)
    assert terminal.run("request", world.url).out == ""
    assert "HTTP 200" in terminal.run("status", world.url, "--check").out
    assert '"result"' in terminal.run("request", world.url).out


def test_a_client_that_was_sent_there_says_the_same(victim: Victim) -> None:
    final = moved(victim.world, "/v2/mcp")
    auth = MCPAuth(victim.world.url, storage=victim.storage, prompt=None)
    with (
        httpx.Client(auth=auth, trust_env=False, follow_redirects=True) as client,
        pytest.raises(Untrusted, match="does not cover"),
    ):
        client.post(victim.world.url, json={})
    handed_back = MCPAuth(
        victim.world.url, storage=victim.storage, prompt=None, on_failure="response"
    )
    with httpx.Client(auth=handed_back, trust_env=False, follow_redirects=True) as client:
        assert client.post(victim.world.url, json={}).status_code == 401
    assert final in str(handed_back.last_error)


def test_another_request_that_is_sent_away_is_handed_back_untouched(victim: Victim) -> None:
    world = victim.world
    world.put(world.origin + "/tenant/files", redirect("/v2/files"))
    world.put(world.origin + "/v2/files", lambda exchange: exchange.reply(401))
    auth = MCPAuth(world.url, storage=victim.storage, prompt=None)
    with httpx.Client(auth=auth, trust_env=False, follow_redirects=True) as client:
        assert client.get(world.origin + "/tenant/files").status_code == 401


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_slash_too_many_is_the_same_server(victim: Victim, status: int) -> None:
    """A server at /mcp redirects /mcp/ to /mcp."""
    world = victim.world
    typed = world.url + "/"
    world.put(typed, redirect(world.url, status))
    browser = ScriptedBrowser()
    prompt = BrowserPrompt(open_url=browser)
    with login(typed, storage=victim.storage, prompt=prompt) as me:
        assert me.credential.final_url == me.url == world.url
        with me.client(trust_env=False, follow_redirects=True) as client:
            assert client.post(typed, json={}).status_code == 200


def test_a_redirect_off_the_origin_is_named_by_every_later_error(victim: Victim) -> None:
    world = victim.world
    away = world.elsewhere + "/mcp"
    world.at("probe", redirect(away))
    world.at("resource", html(404))
    with pytest.raises(BadResponse) as caught:
        victim.log_in()
    assert caught.value.code == "redirected"
    assert away in str(caught.value)
    world.at("resource", document(world.resource_metadata()))
    world.at("token", document({"error": "invalid_grant"}, 400))
    with pytest.raises(Exception, match="not followed") as late:
        victim.log_in()
    assert away in str(late.value)
    assert "elsewhere" not in world.visited


def test_an_open_server_ends_the_command_well_and_stores_nothing(
    world: World, terminal: Terminal
) -> None:
    world.at("probe", MESSAGE)
    world.at("resource", html(404))
    done = terminal.run(world.url, "--name", "free")
    assert (done.code, done.out) == (0, "")
    assert "requires no login" in done.err
    endings = {path.suffix for path in terminal.store.iterdir()}
    assert endings <= {".conf", ".lock"}, endings
    assert '"login": null' in terminal.run(world.url, "--json").out
    examined = terminal.run("doctor", world.url)
    assert examined.code == 0
    assert examined.out.splitlines()[1:] == ["This server requires no login: it answers everyone."]
    assert set(world.visited) <= {"probe", "resource", "nowhere"}


def test_a_mistyped_address_is_told_of_with_the_one_that_works(
    world: World, terminal: Terminal
) -> None:
    world.put(world.origin + "/mcp", world.usual("probe"))
    for typed in (world.origin, world.origin + "/mpc"):
        done = terminal.run(typed)
        assert done.code == terminal.run("doctor", typed).code == 8
        assert "there is no MCP endpoint at this path: HTTP 404" in done.err
        assert f"The MCP server is at {world.origin}/mcp: use that URL" in done.err
        assert "RFC" not in done.err
    assert not terminal.stored()


def test_a_wall_in_front_of_the_server_is_told_of(world: World, terminal: Terminal) -> None:
    for spot in ("probe", "resource"):
        world.at(spot, html(403))
    world.put(world.origin + "/.well-known/oauth-protected-resource", html(403))
    done = terminal.run(world.url)
    assert done.code == terminal.run("doctor", world.url).code == 8
    assert "something in front of the server answers: HTTP 403" in done.err


def test_login_says_that_none_is_required(victim: Victim) -> None:
    victim.world.at("probe", MESSAGE)
    victim.world.at("resource", html(404))
    with pytest.raises(LoginFailed) as caught:
        victim.log_in()
    assert caught.value.code == "login_not_required"
    assert victim.storage.list() == []


def test_a_record_of_before_has_no_final_url(victim: Victim) -> None:
    victim.log_in()
    assert b"final_url" not in victim.record()
    assert ACCESS.encode() in victim.record()
    assert FileStorage(victim.storage.directory.path).load(key_for(victim.world.url))
