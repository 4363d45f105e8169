"""Ctrl-C and SIGTERM while something hangs: a quick end, one line, and nothing half done."""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from mcp_client_auth.credential import key_for
from tests.support.hostile import Exchange, Spot, World
from tests.support.terminal import PATIENCE, Terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

SOON = 12.0  # on a busy machine; a request that hangs ends by itself after 15 s
HANGING: list[Spot] = ["probe", "resource", "server", "register", "authorize", "token", "answer"]


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def half_written(terminal: Terminal) -> list[str]:
    return [name for name, text in terminal.stored().items() if name[0] == "." or not whole(text)]


def whole(text: bytes) -> bool:
    return isinstance(json.loads(text), dict)


def reached(world: World, spot: Spot) -> bool:
    deadline = time.monotonic() + PATIENCE
    while spot not in world.visited:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("spot", HANGING)
def test_ctrl_c_ends_it_at_once(terminal: Terminal, world: World, spot: Spot) -> None:
    if spot != "register":  # there a kept registration would be used
        terminal.log_in(world.url)
    before, login = terminal.stored(), key_for(world.url).id
    world.visited.clear()
    world.at(spot, world.hang)
    with terminal.start("--force", world.url) as running:
        assert reached(world, spot), running.err
        running.send(signal.SIGINT)
        answer = running.end(SOON)
    assert answer.code == 130, answer.err
    assert answer.err.endswith("mcp-login: interrupted\n")
    assert "Traceback" not in answer.err
    assert "Exception" not in answer.err
    assert half_written(terminal) == []
    if spot != "answer":
        credentials = {name for name in terminal.stored() if name.endswith(".json")}
        assert credentials == {name for name in before if name.endswith(".json")}
        # a registration whose login never came back may be why: the next login makes another
        kept = {n: text for n, text in before.items() if spot != "authorize" or login in n}
        assert all(terminal.stored()[name] == text for name, text in kept.items())
    world.mend()
    assert terminal.run(world.url).code == 0


def test_ctrl_c_during_a_logout_leaves_no_login(terminal: Terminal, world: World) -> None:
    terminal.log_in(world.url)
    world.at("revoke", world.hang)
    with terminal.start("logout", world.url) as running:
        assert reached(world, "revoke")
        running.send(signal.SIGINT)
        assert running.end(SOON).code == 130
    assert terminal.run("list").out == ""


@pytest.mark.parametrize("impatient", [False, True])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("verb", ["token", "headers", "refresh"])
def test_a_signal_during_a_renewal_waits_for_its_answer_but_not_a_second_one(
    terminal: Terminal,
    world: World,
    verb: str,
    number: signal.Signals,
    code: int,
    impatient: bool,
) -> None:
    """A rotated refresh token that nobody reads is a login lost."""
    terminal.log_in(world.url)
    for name, text in terminal.stored().items():
        if name.endswith(".secret"):
            old = re.sub(rb'"expires_at":[\d.]+', b'"expires_at":1000.0', text)
            (terminal.store / name).write_bytes(old)
    usual, go = world.usual("refresh"), threading.Event()

    def slow(exchange: Exchange) -> None:
        go.wait(PATIENCE)
        usual(exchange)

    world.at("refresh", slow)
    with terminal.start(verb, world.url) as running:
        assert reached(world, "refresh")
        running.send(number)
        running.wait_for("interrupted\n")
        if impatient:
            running.send(number)
        else:
            go.set()
        answer = running.end()
        go.set()
    assert answer.code == (-number if impatient else code), answer.err
    assert "Traceback" not in answer.err
    if not impatient:
        world.mend()
        assert terminal.run("token", world.url).code == 0
        assert world.visited == []


def test_a_termination_leaves_nothing_half_written(terminal: Terminal, world: World) -> None:
    terminal.log_in(world.url)
    before = terminal.stored()
    world.visited.clear()
    world.at("token", world.hang)
    with terminal.start("--force", world.url) as running:
        assert reached(world, "token")
        running.send(signal.SIGTERM)
        answer = running.end(SOON)
    assert answer.code == 143
    assert "Traceback" not in answer.err
    assert terminal.stored() == before
    world.mend()
    assert terminal.run("--force", world.url).code == 0
