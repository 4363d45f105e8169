"""A login that its server no longer accepts: every verb says so, and the next login is one step."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

import mcp_client_auth
from mcp_client_auth.paths import REFUSED
from mcp_client_auth.testing import DemoServer
from tests.support.hostile import World, document, tokens
from tests.support.inside import Inside, credential

pytestmark = pytest.mark.slow

CALL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
REASON = "The token endpoint refused with “invalid_client”"


@pytest.fixture
def restarted(inside: Inside, server: DemoServer) -> Any:
    """Log in, then restart the server, which has lost all that it knew."""
    inside.log_in(server.url)
    server.stop()
    again = DemoServer(server.settings)
    again._ports = server._ports
    with again:
        yield again


def test_it_is_said_why_and_the_same_the_second_time(inside: Inside, restarted: DemoServer) -> None:
    for _ in range(2):
        ran = inside("request", restarted.url, "-d", CALL)
        assert ran.code == 3
        assert REASON in ran.err
        assert ran.err.endswith(f"Run: mcp-login {restarted.url}\n")
    assert restarted.token_requests("refresh_token") == 2, "once, and once more after a second"


@pytest.mark.parametrize(
    "words", [["token", "URL"], ["headers", "URL"], ["exec", "URL", "--", "true"]]
)
def test_its_token_is_handed_to_no_other_program(
    inside: Inside, restarted: DemoServer, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.execvpe", lambda *words: pytest.fail("it was started"))
    typed = [word.replace("URL", restarted.url) for word in words]
    inside("request", restarted.url, "-d", CALL)
    ran = inside(*typed)
    assert (ran.code, ran.out) == (3, "")
    assert f"the server no longer accepts the login to {restarted.url}" in ran.err
    assert REASON in ran.err


def test_status_and_list_show_it(inside: Inside, restarted: DemoServer) -> None:
    assert inside("status").code == 0
    inside("request", restarted.url, "-d", CALL)
    ran = inside("status")
    assert ran.code == 3
    assert "  refused  by the server at " in ran.out
    assert "refused with “invalid_client”" in ran.out
    assert f"           Run: mcp-login {restarted.url}\n" in ran.out
    assert "refused by the server, log in again" in inside("list").out
    [login] = inside("list", "--json").answer["logins"]
    assert login["refused"]["reason"].startswith("the token endpoint refused")


def test_the_next_login_needs_no_force_and_ends_it(inside: Inside, restarted: DemoServer) -> None:
    inside("request", restarted.url, "-d", CALL)
    ran = inside.log_in(restarted.url)
    assert "Logged in to" in ran.err
    assert not inside.record(restarted.url, REFUSED).exists()
    assert inside("token", restarted.url).code == 0
    assert inside("status").code == 0
    assert "refused" not in inside("list").out
    assert inside("request", restarted.url, "-d", CALL).code == 0
    assert "You are already logged in" in inside.log_in(restarted.url).err


def test_the_librarys_login_needs_no_force_either(inside: Inside, restarted: DemoServer) -> None:
    inside("request", restarted.url, "-d", CALL)
    me = mcp_client_auth.login(
        restarted.url,
        storage=inside.storage,
        prompt=mcp_client_auth.BrowserPrompt(open_url=inside.browser),
    )
    assert inside.browser.join(60)
    with me.client(headers={"Accept": "application/json, text/event-stream"}) as client:
        assert client.post(restarted.url, json=json.loads(CALL)).status_code == 200


def test_a_check_asks_the_server_all_the_same(inside: Inside, world: World) -> None:
    inside.keep(credential(world.url, issuer=world.issuer, issued_at=1.0, refresh_token=None))
    world.at("answer", lambda exchange: exchange.reply(401))
    assert inside("request", world.url, "-d", "{}").code == 3
    assert inside("status", "--check").code == 3
    world.mend()
    ran = inside("status", "--check")
    assert (ran.code, inside.record(world.url, REFUSED).exists()) == (0, False)
    assert "accepted by the server" in ran.out
    assert inside("token", world.url).out == "planted-access\n"


def test_a_request_that_is_accepted_ends_it(inside: Inside, world: World) -> None:
    inside.keep(credential(world.url, issuer=world.issuer, issued_at=1.0, refresh_token=None))
    world.at("answer", lambda exchange: exchange.reply(401))
    assert inside("request", world.url, "-d", "{}").code == 3
    assert inside("token", world.url).code == 3
    world.mend()
    assert inside("request", world.url, "-d", "{}").code == 0
    assert inside("token", world.url).out == "planted-access\n"


@pytest.mark.parametrize("status", [302, 400, 404, 405, 503])
@pytest.mark.parametrize("words", [["request", "URL", "-d", "{}"], ["status", "URL", "--check"]])
def test_an_answer_that_does_not_depend_on_the_token_ends_nothing(
    inside: Inside, world: World, words: list[str], status: int
) -> None:
    inside.keep(credential(world.url, issuer=world.issuer, issued_at=1.0, refresh_token=None))
    world.at("answer", lambda exchange: exchange.reply(401))
    assert inside("request", world.url, "-d", "{}").code == 3
    world.at("answer", lambda exchange: exchange.reply(status))
    inside(*(word.replace("URL", world.url) for word in words))
    ran = inside("token", world.url)
    assert (ran.code, ran.out) == (3, "")
    assert inside.record(world.url, REFUSED).exists()


@pytest.mark.parametrize("status", [404, 405])
def test_neither_does_it_end_it_for_the_next_login(
    inside: Inside, restarted: DemoServer, status: int
) -> None:
    inside("request", restarted.url, "-d", CALL)
    restarted.fail_next("/mcp", status)
    assert "Logged in to" in inside.log_in(restarted.url).err
    assert inside("request", restarted.url, "-d", CALL).code == 0


def test_an_answer_at_another_url_marks_nothing(inside: Inside, world: World) -> None:
    inside.keep(credential(world.url, issuer=world.issuer, issued_at=1.0, refresh_token=None))
    world.at("answer", lambda exchange: exchange.reply(401))
    assert inside("request", world.url + "?view=other", "-d", "{}").code == 3
    assert not inside.record(world.url, REFUSED).exists()
    assert inside("token", world.url).out == "planted-access\n"


def test_a_refresh_is_always_tried(inside: Inside, world: World) -> None:
    inside.keep(credential(world.url, issuer=world.issuer, issued_at=1.0))
    world.at("answer", lambda exchange: exchange.reply(401))
    world.at("refresh", document({"error": "invalid_client"}, 401))
    assert inside("request", world.url, "-d", "{}").code == 3
    world.at("refresh", document(tokens(access_token="new")))
    assert inside("refresh", world.url).code == 0
    assert inside("token", world.url).out == "new\n"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"token": 5}', "[" * 100_000, '{"since": 1e999}'])
def test_a_broken_note_counts_as_none(inside: Inside, text: str) -> None:
    url = "https://mcp.example.invalid/mcp"
    inside.keep(credential(url))
    inside.record(url, REFUSED).write_text(text)
    assert inside("token", url).out == "planted-access\n"
    assert inside("status", url).code == 0
    assert inside("list", "--json").answer["logins"][0]["refused"] is None


def test_a_mark_of_an_earlier_login_says_nothing(inside: Inside) -> None:
    url = "https://mcp.example.invalid/mcp"
    inside.keep(credential(url, "old"))
    entry = {"token": "0" * 32, "since": time.time(), "generation": 0, "reason": None}
    inside.record(url, REFUSED).write_text(json.dumps({**entry, "unproven": 0, "again": 0}))
    inside.keep(credential(url, "new", generation=1))
    assert inside("token", url).out == "new\n"
    assert inside("status", url).code == 0


# A new login beside one that works


def bearer_only(exchange: Any) -> None:
    """A resource server that has never heard of DPoP."""
    authorization = exchange.headers.get("authorization", "")
    good = authorization.startswith("Bearer ")
    exchange.reply(200 if good else 401, b"{}" if good else b"")


def with_dpop(inside: Inside, world: World) -> None:
    """Its authorization server can bind a token to a key."""
    inside.keep(credential(world.url, issuer=world.issuer))
    known = world.server_metadata(dpop_signing_alg_values_supported=["ES256"])
    world.at("server", document(known))
    world.at("token", document(tokens(access_token="bound", token_type="DPoP")))
    world.at("answer", bearer_only)


def test_a_bound_login_that_the_server_does_not_accept_leaves_the_old_one(
    inside: Inside, world: World
) -> None:
    with_dpop(inside, world)
    before = inside.held(world.url)
    ran = inside(world.url, "--force", "--dpop")
    inside.browser.join(60)
    assert ran.code == 4
    assert "The login that was there is kept and in use" in ran.err
    assert "try --force without --dpop" in ran.err
    assert inside.held(world.url) == before
    assert inside("token", world.url).out == "planted-access\n"
    assert inside("request", world.url, "-d", "{}").code == 0


def test_a_programs_wish_for_a_bound_login_does_not_end_the_old_one(
    inside: Inside, world: World
) -> None:
    with_dpop(inside, world)
    before = inside.held(world.url)
    auth = mcp_client_auth.MCPAuth(
        world.url,
        storage=inside.storage,
        prompt=mcp_client_auth.BrowserPrompt(open_url=inside.browser),
        options=mcp_client_auth.Options(dpop=True),
        on_failure="response",
    )
    with httpx.Client(auth=auth) as client:
        for _ in range(2):
            assert client.post(world.url, json={}).status_code == 401
            assert isinstance(auth.last_error, mcp_client_auth.TokenRefused)
    assert inside.browser.join(60)
    assert world.visited.count("authorize") == 1
    assert inside.held(world.url) == before
