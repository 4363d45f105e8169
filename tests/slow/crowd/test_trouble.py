"""A passing fault of the token endpoint ends nothing: wait, use what lives, do not hammer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_client_auth import AuthError, MCPAuth, Options, Unavailable
from mcp_client_auth.credential import key_for
from tests.slow.crowd.crowd_scene import HEADERS, LIST, PATIENCE, Scene, until
from tests.support.hostile import Behaviour, World, cut, document, html, noise, reset, text, tokens
from tests.support.victim import Victim, victim_of

LATER = document({"error": "temporarily_unavailable"}, 400)
FAULTS: dict[str, Callable[[World], Behaviour]] = {
    "503": lambda world: text("", 503),
    "502 with a page": lambda world: html(502),
    "429": lambda world: text("", 429),
    "429 with a time": lambda world: lambda e: e.reply(429, headers=[("Retry-After", "1")]),
    "reset": lambda world: reset,
    "timeout": lambda world: world.hang,
    "drip": lambda world: world.drip,
    "half an answer": lambda world: cut,
    "a captive portal": lambda world: html(200),
    "an empty 401": lambda world: text("", 401),
    "not JSON": lambda world: text("access_token", 200, "application/json"),
    "a list": lambda world: document(b"[]"),
    "no HTTP": lambda world: noise,
    "temporarily unavailable": lambda world: LATER,
}
SLOW = ("timeout", "drip")


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with victim_of(tmp_path / "home") as victim:
        yield victim


def auth_of(victim: Victim, patience: float, fault: str = "") -> MCPAuth:
    return MCPAuth(
        victim.world.url,
        storage=victim.storage,
        prompt=None,
        options=Options(http_timeout=1.0 if fault in SLOW else 30, patience=patience),
    )


def post(auth: MCPAuth, url: str) -> Any:
    with httpx.Client(auth=auth, timeout=PATIENCE, verify=False, trust_env=False) as client:
        try:
            return client.post(url, headers=HEADERS, json=LIST).status_code
        except AuthError as error:
            return error


def age(victim: Victim, left: float) -> None:
    """As if it was issued an hour ago, with so many seconds left."""
    stored = victim.storage.load(key_for(victim.world.url))
    assert stored is not None
    now = time.time()
    old = replace(stored.tokens, issued_at=now + left - 3600, expires_at=now + left)
    victim.storage.save(replace(stored, tokens=old))


@pytest.mark.parametrize("fault", FAULTS)
def test_the_old_token_is_used_while_it_lives(victim: Victim, fault: str) -> None:
    world = victim.world
    age(victim, left=25)
    world.at("refresh", FAULTS[fault](world))
    auth, record = auth_of(victim, 0.5, fault), victim.record()
    began = time.monotonic()
    assert post(auth, world.url) == 200
    until(lambda: world.visited.count("refresh") == 1 and auth.session._renewal.known.outage)
    assert {post(auth, world.url) for _ in range(10)} == {200}
    most = 1 + (time.monotonic() - began) / 0.25
    assert world.visited.count("refresh") <= most, "with pauses of at least a quarter second"
    assert victim.record() == record


@pytest.mark.parametrize("fault", FAULTS)
def test_a_dead_token_waits_within_the_patience_and_recovers(victim: Victim, fault: str) -> None:
    world = victim.world
    age(victim, left=-60)
    world.at("refresh", FAULTS[fault](world))
    auth, record = auth_of(victim, 0.5, fault), victim.record()
    began = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        errors = list(pool.map(lambda _: post(auth, world.url), range(20)))
    took = time.monotonic() - began
    assert {type(error) for error in errors} == {Unavailable}, errors
    assert took < 60
    assert world.visited.count("refresh") <= 1 + took / 0.25
    assert world.visited.count("probe") == 0, "nobody asks the server in vain"
    assert victim.record() == record
    assert victim.opened == []

    world.mend()
    until(lambda: post(auth, world.url) == 200)
    assert world.visited.count("refresh") == 1
    assert victim.record() != record


def test_retry_after_is_kept_to_and_told(victim: Victim) -> None:
    world = victim.world
    age(victim, left=-60)
    world.at("refresh", lambda exchange: exchange.reply(429, headers=[("Retry-After", "40")]))
    auth = auth_of(victim, patience=30)
    ahead = 0.0
    auth.session._renewal.ports = replace(
        auth.session.ports, monotonic=lambda: time.monotonic() + ahead
    )
    for _ in range(5):
        error = post(auth, world.url)
        assert isinstance(error, Unavailable)
        assert error.retry_after == 40, "longer than the patience: at once"
    assert world.visited.count("refresh") == 1
    ahead = 45.0
    world.mend()
    assert post(auth, world.url) == 200


def test_a_refresh_under_the_patience_is_waited_for(victim: Victim) -> None:
    world = victim.world
    age(victim, left=-60)
    answers = iter([text("", 503), text("", 503), document(tokens())])
    world.at("refresh", lambda exchange: next(answers)(exchange))
    assert post(auth_of(victim, patience=20), world.url) == 200
    assert world.visited.count("refresh") == 3


def test_a_server_that_is_down_and_comes_back(scene: Scene) -> None:
    before = scene.expire()
    auth = scene.auth(options=Options(patience=0.2))
    scene.server.stop()
    assert isinstance(post(auth, scene.server.url), Unavailable)
    assert scene.stored == before
    scene.server.start()
    until(lambda: post(auth, scene.server.url) == 200)
    scene.renewed_once(before)
