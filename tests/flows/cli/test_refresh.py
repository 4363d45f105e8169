"""`mcp-login refresh`: a new token now, and what is kept of an answer or a refusal."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from mcp_client_auth.cli import sessions
from mcp_client_auth.cli.arguments import Network
from mcp_client_auth.cli.sessions import usual_options
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.testing import DemoServer, Settings
from tests.support.hostile import World, document, tokens
from tests.support.inside import Inside, credential
from tests.support.terminal import Terminal, command

pytestmark = pytest.mark.usefixtures("short_waits")


def secrets(inside: Inside, url: str) -> tuple[str, str | None]:
    held = inside.held(url).tokens
    return held.access_token.reveal(), held.refresh_token.reveal() if held.refresh_token else None


def impatient(network: Network) -> Options:
    """The usual options, without the ten seconds of waiting for a fault to pass."""
    return replace(usual_options(network), patience=0.0)


def test_a_fresh_token_is_renewed_all_the_same_and_what_was_rotated_is_kept(
    inside: Inside, shared: DemoServer
) -> None:
    inside.log_in(shared.url)
    before = secrets(inside, shared.url)
    shared.clear_requests()
    ran = inside("refresh", shared.url)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith(f"Renewed the login to {shared.url}\n  issuer   {shared.issuer}\n")
    after = secrets(inside, shared.url)
    assert not set(before) & set(after)
    assert [r.path for r in shared.requests] == ["/oauth2/token"]
    assert inside("token", shared.url).out == after[0] + "\n"
    assert inside("refresh", shared.url).code == 0, "the rotated one is the one that is used"
    assert shared.families_revoked == 0


def test_a_refresh_token_that_does_not_come_again_stays(inside: Inside, world: World) -> None:
    inside.keep(credential(world.url, "old", issuer=world.issuer))
    world.at("refresh", document(tokens(refresh_token=None)))
    assert inside("refresh", world.url).code == 0
    assert secrets(inside, world.url) == ("planted-access", "planted-refresh")


def test_without_a_login_or_a_refresh_token_it_ends_with_3_and_sends_nothing(
    inside: Inside, world: World
) -> None:
    ran = inside("refresh", world.url)
    assert ran.code == 3
    assert f"you are not logged in to {world.url}" in ran.err
    inside.keep(credential(world.url, refresh_token=None))
    ran = inside("refresh", world.url)
    assert ran.code == 3
    assert "there is no refresh token" in ran.err
    assert f"Run: mcp-login {world.url}" in ran.err
    assert world.visited == []


def test_a_client_that_stays_unknown_ends_with_3_and_loses_nothing(
    inside: Inside, world: World
) -> None:
    inside.keep(credential(world.url, issuer=world.issuer))
    world.at("refresh", document({"error": "invalid_client"}, 401))
    ran = inside("refresh", world.url)
    assert ran.code == 3
    assert "refused with “invalid_client”" in ran.err
    assert world.visited == ["refresh", "refresh"], "once more after a second"
    assert secrets(inside, world.url) == ("planted-access", "planted-refresh")
    world.at("refresh", document(tokens()))
    assert inside("refresh", world.url).code == 0


@pytest.mark.parametrize("error", ["invalid_grant", "unauthorized_client"])
def test_a_refused_one_ends_with_3_and_is_not_presented_again(
    inside: Inside, world: World, error: str
) -> None:
    inside.keep(credential(world.url, issuer=world.issuer))
    world.at("refresh", document({"error": error}, 400))
    ran = inside("refresh", world.url)
    assert ran.code == 3
    assert f"Run: mcp-login {world.url}" in ran.err
    assert world.visited == ["refresh"]
    assert secrets(inside, world.url) == ("planted-access", None), "what lives is kept"
    assert inside("refresh", world.url).code == 3
    assert inside("token", world.url).out == "planted-access\n"
    assert world.visited == ["refresh"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (document({"error": "invalid_scope", "error_description": "no \x1b[2J"}, 400), 3),
        (document({"error": "temporarily_unavailable"}, 400), 6),
        (document({}, 503, **{"Retry-After": "120"}), 6),
        (document(b"<html>", 502), 6),
        (document({"token_type": "Bearer"}), 6),
    ],
    ids=["another error", "busy", "out of order", "a proxy", "no token"],
)
def test_any_other_answer_leaves_all_as_it_was(
    inside: Inside, world: World, monkeypatch: pytest.MonkeyPatch, answer: Any, code: int
) -> None:
    monkeypatch.setattr(sessions, "usual_options", impatient)
    inside.keep(credential(world.url, issuer=world.issuer))
    before = inside.record(world.url).read_bytes()
    world.at("refresh", answer)
    ran = inside("refresh", world.url)
    assert ran.code == code, ran.err
    assert inside.record(world.url).read_bytes() == before
    assert "\x1b" not in ran.err
    assert "planted" not in ran.err


def test_another_account_stays(inside: Inside, shared: DemoServer) -> None:
    for account in ("default", "work"):
        inside.log_in(shared.url, "--account", account)
    before = inside.record(shared.url).read_bytes()
    assert inside("refresh", shared.url, "--account", "work").code == 0
    assert inside.record(shared.url).read_bytes() == before
    assert "You are logged in as:" in inside("refresh", shared.url, "--account", "x").err


@pytest.mark.parametrize("server", [Settings(dpop="required", dpop_nonces="both")], indirect=True)
def test_a_bound_login_is_renewed_with_its_key(inside: Inside, server: DemoServer) -> None:
    inside.log_in(server.url)
    ran = inside("refresh", server.url)
    assert ran.code == 0
    assert "  bound    to a key (DPoP)\n" in ran.err
    assert inside("status", "--check").code == 0


@pytest.mark.parametrize("server", [Settings(latency=0.2)], indirect=True)
def test_two_processes_at_once_lose_nothing(
    terminal: Terminal, inside: Inside, server: DemoServer
) -> None:
    inside.log_in(server.url)
    started = [
        subprocess.Popen(
            command("refresh", server.url),
            env=terminal.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ended = [(process.communicate()[1], process.returncode) for process in started]
    assert [code for _, code in ended] == [0, 0], ended
    assert server.families_revoked == 0
    assert server.token_requests("refresh_token") in (1, 2), "the second may take the first's"
    assert inside("refresh", server.url).code == 0


def test_why_it_is_refreshed_is_told_with_verbose_and_in_a_trace_only(
    inside: Inside, world: World
) -> None:
    inside.keep(credential(world.url, issuer=world.issuer, issued_at=1.0, expires_at=2.0))
    ran = inside("token", world.url, "-v", "--trace", "trace")
    assert "decision                   refresh\n      expired\n" in ran.err
    told = [json.loads(line) for line in (inside.home / "trace").read_text().splitlines()]
    assert [t["rule"] for t in told if t.get("name") == "decision"] == ["expired"]
    inside.expire(world.url)
    assert "decision" not in inside("token", world.url).err


def test_a_decision_is_told_once_and_in_words(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url, "--trace", "trace")
    told = [json.loads(line) for line in (inside.home / "trace").read_text().splitlines()]
    decisions = [(t["detail"], t["rule"]) for t in told if t.get("name") == "decision"]
    assert decisions == [("a new login is needed", "no login is stored")]
