"""Sessions, a store, servers and a person in any order of events: what must hold in all of them.

Several programs share one store, as processes do. Each runs to the end of what it does, but
while the person looks at the page another one may act, and a crash may come between an
answer and its keeping.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mcp_client_auth import AuthError, Credential, Key, MemoryStorage, StorageError, Unavailable
from mcp_client_auth.protocol.authorization import AuthorizationRequest
from mcp_client_auth.protocol.flow import HttpResponse
from mcp_client_auth.session.notes import read_mark
from tests.support.session_world import (
    ISSUER,
    KEY,
    OTHER,
    Decision,
    Person,
    Program,
    World,
    document,
    without_threads,
)

PROGRAMS = st.sampled_from(range(3))
ASKING = (True, True, False)  # the last one is a service that nobody watches
COOLING = 60.0
ALONE = "MCP_CLIENT_AUTH_MODEL_ALONE"


class Killed(BaseException):
    """The process is gone: nothing of it runs any further."""


class Store(MemoryStorage):
    """`deadly`: the next one to save is killed before it is done. `full`: it cannot save."""

    def __init__(self) -> None:
        super().__init__()
        self.deadly = self.full = False
        self.lost: Counter[str] = Counter()

    def _save(self, value: Any, key: Any) -> None:
        if isinstance(key, Key) and self.deadly:
            self.deadly = False
            self.lost.update(refresh_token(self.load(key)))
            raise Killed
        if isinstance(key, Key) and self.full:
            self.full = False
            self.lost.update(refresh_token(self.load(key)))
            raise StorageError("the disk is full")
        super()._save(value, key)


def refresh_token(credential: Credential | None) -> set[str]:
    token = credential.tokens.refresh_token if credential else None
    return {token.reveal()} if token else set()


class SessionMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._inline = without_threads(0.75)
        self._inline.__enter__()
        self.world, self.store = World(), Store()
        self.person = Person(self.world)
        self.person.meanwhile = self.looks_at_the_page
        self.programs = [self.started(index) for index in range(3)]
        self.while_asked: Callable[[], object] | None = None
        self.explicit = self.logged_in = self.forgotten = False
        self.moved = -COOLING

    def teardown(self) -> None:
        try:
            self.in_the_end_it_works()
        finally:
            self._inline.__exit__(None, None, None)

    def started(self, index: int) -> Program:
        return Program(self.world, self.store, self.person if ASKING[index] else None)

    # What the programs do

    @initialize(lifetime=st.sampled_from([3600, 3600, 90, 0, None]), rotates=st.booleans())
    def choose_servers(self, lifetime: int | None, rotates: bool) -> None:
        for server in self.world.servers.values():
            server.lifetime, server.rotates = lifetime, rotates

    @rule(index=PROGRAMS, needs=st.sampled_from(["", "", "", "write"]))
    def request(self, index: int, needs: str) -> None:
        self.act(index, lambda program: program.post(needs))

    @rule(seconds=st.sampled_from([0.0, 7.0, 90.0, 3600.0]), revoked=st.booleans())
    def a_crowd_requests(self, seconds: float, revoked: bool) -> None:
        self.world.clock.go(seconds)
        if revoked:
            self.access_tokens_are_revoked_early()
        for index in (0, 1, 2, 0):
            self.request(index, "")

    @rule(index=PROGRAMS, force=st.booleans())
    def log_in(self, index: int, force: bool) -> None:
        self.explicit = True
        self.act(index, lambda program: program.session.log_in(force=force))
        self.explicit = False

    @rule(index=PROGRAMS, seconds=st.sampled_from([0.0, 60.0, 5000.0]))
    def hand_out_a_token(self, index: int, seconds: float) -> None:
        self.act(index, lambda program: program.session.fresh(seconds))

    @rule(index=PROGRAMS)
    def log_out(self, index: int) -> None:
        self.act(index, lambda program: program.session.log_out())
        self.logged_in = False

    @rule(index=PROGRAMS)
    def restart(self, index: int) -> None:
        self.programs[index] = self.started(index)

    def act(self, index: int, action: Callable[[Program], object]) -> None:
        try:
            with suppress(AuthError):
                action(self.programs[index])
        except Killed:
            self.restart(index)
        self.while_asked = None
        self.logged_in = self.logged_in or self.store.load(KEY) is not None

    # What happens to them

    @rule(seconds=st.sampled_from([1.0, 4.0, 7.0, 61.0, 80.0, 700.0, 3550.0, 4000.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.world.clock.go(seconds)

    @rule(seconds=st.sampled_from([-86_400.0, -10.0]))
    def the_clock_is_set_back(self, seconds: float) -> None:
        self.world.clock.wall += seconds

    @rule()
    def access_tokens_are_revoked_early(self) -> None:
        # not at the moment of their issue: what was issued for a request has no second chance
        self.world.clock.go(0.1)
        for server in self.world.servers.values():
            server.revoke_access()

    @rule()
    def everything_is_revoked(self) -> None:
        self.world.authorization.revoke_everything()

    @rule()
    def the_clients_are_forgotten(self) -> None:
        self.world.authorization.known.clear()
        self.forgotten = True

    @rule()
    def the_server_moves(self) -> None:
        self.moved = self.world.clock.steady
        self.world.issuer = OTHER if self.world.issuer == ISSUER else ISSUER

    @precondition(lambda self: len(self.world.faults) < 2)
    @rule(
        fault=st.sampled_from(
            [
                Unavailable("no answer"),
                document({}, ISSUER, 503),
                document({}, ISSUER, 429, retry_after="30"),
                HttpResponse(200, ISSUER, (), b"<html>"),
            ]
        )
    )
    def the_token_endpoint_fails(self, fault: Any) -> None:
        self.world.faults.append(fault)

    @rule()
    def an_answer_is_lost(self) -> None:
        def lost() -> HttpResponse:
            assert self.world.asking
            server, form = self.world.asking
            server.token(form)
            self.store.lost[form.get("refresh_token", "")] += 1
            raise Unavailable("the connection was cut")

        self.world.faults.append(lost)

    @rule()
    def the_process_dies_before_the_request_is_sent(self) -> None:
        def dead() -> HttpResponse:
            raise Killed

        self.world.faults.append(dead)

    @rule()
    def the_process_dies_between_answer_and_store(self) -> None:
        self.store.deadly = True

    @rule()
    def the_store_cannot_keep_the_next_record(self) -> None:
        self.store.full = True

    @rule(decision=st.sampled_from(["allow", "allow", "deny", "timeout"]))
    def the_person_changes_their_mind(self, decision: Decision) -> None:
        self.person.decision = decision

    @precondition(lambda self: self.while_asked is None)
    @rule()
    def a_service_makes_a_request_while_the_person_is_asked(self) -> None:
        def act() -> None:
            with suppress(AuthError):
                self.programs[2].post()

        self.while_asked = act

    # What must hold

    def looks_at_the_page(self, request: AuthorizationRequest) -> None:
        """No login while a refresh would do."""
        act, self.while_asked = self.while_asked, None
        if act and not (self.world.faults or self.store.deadly or self.store.full):
            act()
            return
        if not self.explicit:
            assert not self.refreshable(request), "a refresh would have done"

    def refreshable(self, request: AuthorizationRequest) -> bool:
        stored = self.store.load(KEY)
        if stored is None or stored.issuer != self.world.issuer:
            return False
        server = self.world.servers[stored.issuer]
        families = [
            server.refresh[token] for token in refresh_token(stored) if token not in server.rotated
        ]
        gains = not set(request.scope or ()) <= set(stored.tokens.scope or ())
        known = stored.client.client_id in server.known
        # away and back: what was refused there is marked, and for a while not refreshed again
        away = self.world.clock.steady - self.moved < COOLING
        mark = read_mark(self.store, KEY)
        if away and mark and mark.names(stored):
            return False
        return any(not f.revoked for f in families) and known and not gains

    @invariant()
    def a_rotated_token_comes_back_only_after_a_lost_answer(self) -> None:
        for server in self.world.servers.values():
            assert Counter(server.reused) <= self.store.lost

    @invariant()
    def nothing_of_one_issuer_reaches_another(self) -> None:
        for server in self.world.servers.values():
            others = [s for s in self.world.servers.values() if s is not server]
            for form in server.forms:
                assert not [s for s in others if form.get("refresh_token") in s.refresh]
                assert not [s for s in others if form["client_id"] in s.known]

    @invariant()
    def no_record_is_lost(self) -> None:
        stored = self.store.load(KEY)
        assert stored or not self.logged_in
        if stored:
            rotated = self.world.servers[stored.issuer].rotated
            assert refresh_token(stored) & rotated <= set(self.store.lost)

    def in_the_end_it_works(self) -> None:
        """Whatever has happened: with a server that answers and a person who agrees."""
        self.world.faults.clear()
        self.store.deadly = self.store.full = False
        self.person.decision, self.while_asked = "allow", None
        self.world.clock.go(COOLING + 1)
        before = len(self.person.visits)
        assert 200 in self.tries(0, 6, pause=COOLING + 1)
        # a registration that the server has forgotten is found out by a page that leads nowhere
        needed = 2 if self.forgotten else 1
        assert len(self.person.visits) <= before + needed, "more than the login that was needed"
        stored = self.store.load(KEY)
        if stored and stored.issuer == self.world.issuer:  # else what is in memory served
            assert 200 in self.tries(2, 2, pause=7), "the others find what one has got"

    def tries(self, index: int, times: int, pause: float) -> Iterator[int]:
        """The statuses of some requests, one after the other."""
        for _ in range(times):
            self.world.clock.go(pause)
            with suppress(AuthError):
                yield self.programs[index].post()


SessionMachine.TestCase.settings = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    phases=(Phase.generate,),  # add Phase.shrink to look into a failure: it takes minutes
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
)
if os.environ.get(ALONE):
    TestSessions = SessionMachine.TestCase


@pytest.mark.skipif(ALONE in os.environ, reason="this is the process that it starts")
def test_what_must_hold_holds_in_any_order_of_events() -> None:
    """In a process of its own: what hypothesis draws depends on the modules that are loaded."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(
        command, env={**os.environ, ALONE: "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    assert "1 passed" in done.stdout
