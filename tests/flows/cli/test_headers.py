"""`headers`: the headers that another program sends to the server; it never opens a browser."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from mcp_client_auth import Secret
from mcp_client_auth.cli.verbs import headers
from mcp_client_auth.session import single_flight
from tests.support.hostile import Exchange, World, tokens
from tests.support.inside import Inside, credential
from tests.support.key_samples import jwk

URL = "https://mcp.example.invalid/mcp"
PLANTED = {"Authorization": "Bearer planted-access"}


def kept(inside: Inside, world: World, **changes: Any) -> None:
    inside.keep(credential(world.url, issuer=world.issuer, **changes))


def refreshes(world: World) -> list[bytes]:
    return [body for _, body in world.bodies if b"grant_type=refresh_token" in body]


@pytest.mark.parametrize("words", [(URL,), (URL, "-v"), ("work",), ("--min-valid", "0", URL)])
def test_one_json_object_is_printed_and_nothing_else(
    inside: Inside, words: tuple[str, ...]
) -> None:
    inside.keep(credential(URL))
    inside.names({"work": URL})
    ran = inside("headers", *words)
    assert (ran.code, json.loads(ran.out)) == (0, PLANTED)
    assert ran.out.count("\n") == 1


@pytest.mark.parametrize(
    "words", [(), (URL,), ("HTTPS://MCP.example.invalid:443/mcp/",), ("work",)]
)
def test_the_program_says_which_server_it_connects_to(
    inside: Inside, words: tuple[str, ...]
) -> None:
    inside.keep(credential(URL))
    inside.names({"work": URL})
    ran = inside("headers", *words, CLAUDE_CODE_MCP_SERVER_URL=URL)
    assert (ran.code, ran.out and json.loads(ran.out)) == (0, PLANTED)


@pytest.mark.parametrize("words", [(URL,), ("work",)])
@pytest.mark.parametrize("there", ["https://evil.example/mcp", URL + "/more", URL + "?a=b"])
def test_the_headers_of_another_server_are_refused(
    inside: Inside, words: tuple[str, ...], there: str
) -> None:
    inside.keep(credential(URL))
    inside.names({"work": URL})
    ran = inside("headers", *words, CLAUDE_CODE_MCP_SERVER_URL=there)
    assert (ran.code, ran.out) == (2, "")
    assert there in ran.err
    assert "planted" not in ran.err


@pytest.mark.parametrize("words", [(), ("--header", URL), (URL, "more")])
def test_what_it_does_not_understand_is_a_usage_error(
    inside: Inside, words: tuple[str, ...]
) -> None:
    inside.keep(credential(URL))
    ran = inside("headers", *words)
    assert (ran.code, ran.out) == (2, "")


def test_a_server_without_a_login_opens_no_browser(inside: Inside, world: World) -> None:
    ran = inside("headers", world.url)
    assert (ran.code, ran.out) == (3, "")
    assert f"mcp-login {world.url}" in ran.err
    assert world.visited == []


def test_a_login_that_is_bound_to_a_key_says_why_not(inside: Inside) -> None:
    key = Secret(jwk("P-256", alg="ES256"))
    inside.keep(credential(URL, bound=True, dpop_key=key))
    ran = inside("headers", URL)
    assert (ran.code, ran.out) == (2, "")
    assert "bound to a key (DPoP)" in ran.err


def test_a_token_has_five_minutes_left_or_is_renewed(inside: Inside, world: World) -> None:
    kept(inside, world, expires_at=time.time() + 250)
    ran = inside("headers", world.url)
    assert (ran.code, json.loads(ran.out)) == (0, PLANTED)
    assert len(refreshes(world)) == 1
    assert inside("headers", world.url).code == 0
    assert len(refreshes(world)) == 1, "the new one has an hour"


def test_a_token_that_cannot_last_is_not_given(inside: Inside, world: World) -> None:
    kept(inside, world, expires_at=time.time() + 250, refresh_token=None)
    ran = inside("headers", world.url)
    assert (ran.code, ran.out) == (3, "")
    assert inside("headers", world.url, "--min-valid", "0").code == 0


def test_a_late_answer_is_not_given_but_kept(
    inside: Inside, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a rotated refresh token is not read, the login is lost."""
    kept(inside, world, issued_at=1.0, expires_at=2.0)
    monkeypatch.setattr(headers, "_ALL", 0.5)
    sent, told = threading.Event(), threading.Event()
    usual, settle = world.usual("refresh"), single_flight.settle_sent

    def late(exchange: Exchange) -> None:
        sent.set()
        assert told.wait(60)
        usual(exchange)

    def settled() -> None:
        assert sent.wait(60)
        told.set()
        settle()

    world.at("refresh", late)
    monkeypatch.setattr(single_flight, "settle_sent", settled)
    ran = inside("headers", world.url)
    assert (ran.code, ran.out) == (6, "")
    assert "within 0.5 s" in ran.err
    assert "its answer kept" in " ".join(ran.err.split())
    assert "Nothing was changed" not in ran.err
    assert inside("headers", world.url).code == 0
    assert len(refreshes(world)) == 1


@pytest.mark.parametrize("told", ["https://user:pw@evil.example/x", "not a url"])
def test_a_url_of_the_program_that_is_none_is_called_by_its_variable(
    inside: Inside, told: str
) -> None:
    for words in ((), (URL,)):
        ran = inside("headers", *words, CLAUDE_CODE_MCP_SERVER_URL=told)
        assert (ran.code, ran.out) == (2, "")
        assert "CLAUDE_CODE_MCP_SERVER_URL" in ran.err
        assert "pw" not in ran.err


def test_an_authorization_server_out_of_order_is_unavailable_at_once(
    inside: Inside, world: World
) -> None:
    kept(inside, world, issued_at=1.0, expires_at=2.0)
    world.at("refresh", lambda exchange: exchange.reply(503))
    ran = inside("headers", world.url)
    assert (ran.code, ran.out) == (6, "")
    assert tokens()["refresh_token"] not in ran.err
