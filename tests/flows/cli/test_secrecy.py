"""No token, code, verifier or secret is in what the command says, or in any library's log."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_client_auth import BrowserPrompt, LoginFailed, MemoryStorage, PreRegistered, login
from tests.support.hostile import ACCESS, CODE, REFRESH, Spot, World, document
from tests.support.terminal import Terminal
from tests.support.victim import Victim


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def verifiers(world: World) -> list[str]:
    """Each `code_verifier` that was sent, from the requests' bodies."""
    bodies = b" ".join(body for _, body in world.bodies).decode()
    found = re.findall(r"code_verifier=([^&\s]+)", bodies)
    assert found
    return found


def test_nothing_secret_is_said(terminal: Terminal, world: World) -> None:
    said = [terminal.log_in("--verbose", world.url).err, terminal.run("list").out]
    said += [terminal.run("token", world.url).err, terminal.run("logout", world.url).err]
    text = "\n".join(said)
    for secret in (ACCESS, REFRESH, CODE, *verifiers(world)):
        assert secret not in text


@pytest.mark.parametrize("spot", ["token", "refresh", "answer"])
def test_an_answer_that_echoes_secrets_is_not_repeated(
    terminal: Terminal, world: World, spot: Spot
) -> None:
    echo = document({"access_token": {"was": ACCESS}, "refresh_token": REFRESH}, 400)
    world.at(spot, echo)
    answer = terminal.run("--verbose", world.url)
    for secret in (ACCESS, REFRESH, CODE):
        assert secret not in answer.err
    assert "Traceback" not in answer.err


def test_logs_at_debug_hold_none(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    victim = Victim(world, tmp_path / "home")
    made = victim.log_in(force=False)
    with made.client(trust_env=False) as client:
        assert client.post(world.url, json={}).status_code == 200
    victim.expire()
    assert victim.post().status_code == 200
    made.logout()
    states = re.findall(r"state=([\w-]+)", " ".join(victim.opened))
    ours = [r for r in caplog.records if not r.name.startswith(("asyncio", "httpcore"))]
    text = "\n".join(record.getMessage() for record in ours)
    assert "mcp_client_auth" in {record.name for record in ours}
    for secret in (ACCESS, REFRESH, *verifiers(world)):
        assert secret not in text
    by_us = "\n".join(r.getMessage() for r in ours if r.name.startswith("mcp_client_auth"))
    for secret in (CODE, *states):
        assert secret not in by_us


def test_the_wire_log_of_httpcore_holds_none_of_ours(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """httpcore logs every answer's headers at DEBUG, but no header or body of a request."""
    caplog.set_level(logging.DEBUG, "httpcore")
    victim = Victim(world, tmp_path / "home")
    victim.log_in(force=False)
    victim.browser.join(60)
    text = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("httpcore"))
    for secret in (ACCESS, REFRESH, *verifiers(world)):
        assert secret not in text


def test_reprs_hold_none(world: World, tmp_path: Path) -> None:
    victim = Victim(world, tmp_path / "home")
    made = victim.log_in(force=False)
    identity = PreRegistered("ours", "planted-client-secret")
    shown = [made, made.auth, made.credential, made.auth.session, identity, vars(made.auth)]
    text = " ".join(f"{each!r} {each!s}" for each in shown)
    assert "planted" not in text


def test_a_prompt_that_fails_shows_no_state(world: World) -> None:
    prompt = BrowserPrompt(open_url=lambda url: False)
    with pytest.raises(LoginFailed) as raised:
        login(world.url, storage=MemoryStorage(), prompt=prompt)
    assert "state=" not in str(raised.value)
