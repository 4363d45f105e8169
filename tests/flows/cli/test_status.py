"""`mcp-login status`: what is known of a login and, with `--check`, how the server answers it."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from mcp_client_auth import Secret
from mcp_client_auth.credential import key_for
from mcp_client_auth.testing import DemoServer, Settings
from tests.support.hostile import World, document, text
from tests.support.inside import Inside, credential

URL = "https://mcp.example.invalid/mcp"


def test_a_login_is_shown_with_where_and_until_when(inside: Inside) -> None:
    inside.keep(credential(URL))
    ran = inside("status", URL)
    assert (ran.code, ran.err) == (0, "")
    first, *rows = ran.out.splitlines()
    assert first == URL
    told = dict(row.split(maxsplit=1) for row in rows)
    assert "account" not in told, "there is no other"
    assert told["issuer"] == "https://auth.example.com"
    assert told["client"] == "ours"
    assert told["scopes"] == "notes:read"
    assert told["expires"].endswith("(in 60 min), renews automatically")
    assert "check" not in told


def test_without_a_server_all_are_shown_and_where_new_ones_go(inside: Inside) -> None:
    inside.keep(credential(URL))
    inside.keep(credential(URL, account="work"))
    inside.keep(credential("https://other.example.invalid/mcp"))
    out = inside("status").out
    assert re.findall(r"^https://\S+|^  account  .*", out, re.MULTILINE) == [
        URL,
        "  account  default",
        URL,
        "  account  work",
        "https://other.example.invalid/mcp",  # no account is shown if it is the only one
    ]
    assert out.splitlines()[-1].startswith("New logins are kept in a file that only you can read")


def test_without_a_login_it_says_so(inside: Inside) -> None:
    ran = inside("status")
    assert ran.code == 0
    assert "You are not logged in to any server" in ran.err
    ran = inside("status", URL)
    assert (ran.code, ran.out) == (3, "")
    assert f"Run: mcp-login {URL}" in ran.err


@pytest.mark.parametrize(
    ("tokens", "code", "said"),
    [
        ({}, 0, "renews automatically"),
        ({"refresh_token": None}, 0, "(in 60 min)"),
        ({"issued_at": 1.0, "expires_at": 2.0}, 0, "renews at the next use"),
        ({"issued_at": 1.0, "expires_at": 2.0, "refresh_token": None}, 3, "log in again"),
        ({"expires_at": None}, 0, "the server does not say"),
    ],
    ids=["fresh", "not renewable", "due", "ended", "without an end"],
)
def test_the_exit_code_tells_whether_it_can_be_used(
    inside: Inside, tokens: dict[str, Any], code: int, said: str
) -> None:
    inside.keep(credential(URL, **tokens))
    ran = inside("status", URL)
    assert ran.code == code
    assert said in ran.out


def test_another_account_is_named_where_the_one_asked_for_is_not_there(inside: Inside) -> None:
    inside.keep(credential(URL, account="work"))
    ran = inside("status", URL)
    assert ran.code == 3
    assert "You are logged in as: work (--account LABEL)" in ran.err
    assert inside("status", URL, "--account", "work").code == 0


def test_a_login_whose_entry_is_lost_is_found_again(inside: Inside) -> None:
    inside.keep(credential(URL))
    inside.record(URL, ".json").unlink()
    ran = inside("status", URL)
    assert (ran.code, ran.err) == (0, "")
    assert URL in ran.out


def test_hostile_words_of_a_server_do_not_steer_the_terminal(inside: Inside) -> None:
    inside.keep(credential(URL, scope=("a\x1b]0;b", "c\nd")))
    out = inside("status", URL).out
    assert "\x1b" not in out
    assert "a ]0;b c d" in out


# --check


def test_a_check_asks_the_server(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url)
    shared.clear_requests()
    ran = inside("status", shared.url, "--check")
    assert (ran.code, ran.err) == (0, "")
    assert "  check    accepted by the server (HTTP 200)\n" in ran.out
    assert [(r.path, r.status) for r in shared.requests] == [("/mcp", 200)]


def test_without_it_nobody_is_asked(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url)
    shared.clear_requests()
    assert inside("status").code == 0
    assert shared.requests == []


def test_what_has_expired_is_renewed_for_it(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url)
    inside.expire(shared.url)
    shared.clear_requests()
    ran = inside("status", "--check")
    assert ran.code == 0
    assert "(in 60 min)" in ran.out
    assert [r.path for r in shared.requests] == ["/oauth2/token", "/mcp"]


def test_a_401_has_one_renewal(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url)
    shared.expire_access_tokens()
    inside.change(shared.url, issued_at=1000.0)
    shared.clear_requests()
    assert inside("status", "--check").code == 0
    assert [r.path for r in shared.requests] == ["/mcp", "/oauth2/token", "/mcp"]


@pytest.mark.parametrize("server", [Settings(dpop="required", dpop_nonces="both")], indirect=True)
def test_a_bound_login_is_checked_with_its_key(inside: Inside, server: DemoServer) -> None:
    inside.log_in(server.url)
    ran = inside("status", server.url, "--check")
    assert "accepted by the server (HTTP 200)" in ran.out


def test_a_login_that_was_revoked_ends_with_3_and_is_said(
    inside: Inside, shared: DemoServer
) -> None:
    inside.log_in(shared.url)
    shared.revoke_everything()
    inside.change(shared.url, issued_at=1000.0)
    ran = inside("status", "--check")
    assert ran.code == 3
    assert re.search(
        rf"^  check    .*\n(?: {{11}}.*\n)* {{11}}.*Run: mcp-login {shared.url}$",
        ran.out,
        re.MULTILINE,
    )


@pytest.mark.parametrize(
    ("behaviour", "code", "said"),
    [
        (document({}, 500), 6, "HTTP 500, which says nothing about the login"),
        (document({}, 429), 6, "HTTP 429, which says nothing about the login"),
        (document({}, 403), 0, "not refused by the server (HTTP 403)"),
        (lambda exchange: exchange.connection.close(), 6, "no answer"),
        (text(b"\x1b[2J", 404), 0, "HTTP 404"),
    ],
    ids=["fault", "busy", "forbidden", "gone", "not found"],
)
def test_what_the_server_says_else_is_told(
    inside: Inside, world: World, behaviour: Any, code: int, said: str
) -> None:
    inside.keep(credential(world.url, issuer=world.issuer))
    world.at("answer", behaviour)
    ran = inside("status", world.url, "--check")
    assert ran.code == code
    assert said in ran.out
    assert "\x1b" not in ran.out


def test_what_fails_elsewhere_than_at_the_server_is_told_with_its_place(inside: Inside) -> None:
    url, issuer = "http://127.0.0.1:1/mcp", "http://127.0.0.1:9"
    inside.keep(credential(url, issuer=issuer))
    assert " at " not in inside("status", "--check").out
    inside.expire(url)
    ran = inside("status", "--check")
    assert ran.code == 6
    assert re.search(rf"  check    no answer: .*\n {{11}}at {issuer}/token\n", ran.out)


def test_the_first_that_fails_gives_the_code_and_the_others_are_checked_too(
    inside: Inside, world: World
) -> None:
    inside.keep(credential("http://127.0.0.1:1/mcp"))
    inside.keep(credential(world.url, issuer=world.issuer))
    ran = inside("status", "--check")
    assert ran.code == 6
    assert ran.out.count("  check ") == 2
    assert "accepted by the server (HTTP 200)" in ran.out


def test_a_programs_login_is_shown_as_such(inside: Inside) -> None:
    key = key_for(URL, client="service", grant="client_credentials")
    inside.keep(credential(URL, key=key, refresh_token=None, expires_at=time.time() - 5))
    ran = inside("status")
    assert ran.code == 0, "it asks again by itself"
    assert "account  default (client_credentials service)" in ran.out


def test_no_token_is_shown(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url)
    held = inside.held(shared.url).tokens
    ran = inside("status", "--check", "-v")
    for secret in (held.access_token, held.refresh_token or Secret("-")):
        assert secret.reveal() not in ran.out + ran.err


def test_an_account_without_a_server_selects_its_logins(inside: Inside) -> None:
    inside.keep(credential("https://one.example.com/mcp", account="work"))
    inside.keep(credential("https://two.example.com/mcp"))
    assert "two.example.com" not in inside("status", "--account", "work").out
    assert "one.example.com" not in inside("status", "--account", "default").out
    everyone = inside("status", MCP_CLIENT_AUTH_ACCOUNT="work").out
    assert "one.example.com" in everyone
    assert "two.example.com" in everyone
    assert "not logged in to any server as other" in inside("status", "--account", "other").err
