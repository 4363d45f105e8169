"""Every decision of a session, in a world of its own: no network, no thread but where one is named.

The world's clock stands still unless a test moves it or the session sleeps.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).with_name("support")))

from session_world import (
    DAY,
    ISSUER,
    KEY,
    OTHER,
    SERVER,
    Person,
    Program,
    World,
    credential,
    document,
    oauth_error,
    without_threads,
)

from mcp_client_auth import (
    AuthorizationDenied,
    BadResponse,
    ClientMetadataDocument,
    Credential,
    FileStorage,
    InsufficientScope,
    LoggedOut,
    LoginFailed,
    LoginRequired,
    MemoryStorage,
    Options,
    PreRegistered,
    Storage,
    StorageError,
    TokenRefused,
    Unavailable,
)
from mcp_client_auth.credential import dumps
from mcp_client_auth.flight import wait
from mcp_client_auth.protocol.flow import HttpResponse
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.renewal import jitter as dice
from mcp_client_auth.secret import Secret
from mcp_client_auth.storage.records import Item

TOKEN = ISSUER + "/token"
DOWN = Unavailable("no answer: connection reset", hint="Try again later")


@pytest.fixture(autouse=True)
def here_and_now() -> Iterator[None]:
    with without_threads():
        yield


@pytest.fixture
def world() -> World:
    return World()


def logged_in(world: World, prompt: Person | None = None, **fields: Any) -> Program:
    """A program whose store holds a credential; see `session_world.credential`."""
    arguments = fields.pop("arguments", {})
    program = Program(world, prompt=prompt, **arguments)
    program.storage.save(credential(world, **fields))
    return program


# Ahead of time


@pytest.mark.parametrize("jitter", [0.5, 1.0])
@pytest.mark.parametrize("lifetime", [10.0, 300.0, 3600.0, 30 * DAY])
def test_renewal_is_due_at_most_a_tenth_of_the_lifetime_before_expiry(
    world: World, lifetime: float, jitter: float
) -> None:
    with without_threads(jitter):
        margin = min(60.0, 0.1 * lifetime) * jitter
        program = logged_in(world, lifetime=lifetime)
        program.post()
        world.clock.go(lifetime - margin - 0.001)
        program.post()
        assert world.refreshes == 0
        world.clock.go(0.002)
        assert program.post() == 200
        assert world.refreshes == 1


def test_the_jitter_is_between_half_of_the_margin_and_all_of_it() -> None:
    drawn = {dice() for _ in range(100)}
    assert len(drawn) > 50
    assert 0.5 <= min(drawn) <= max(drawn) <= 1.0


def test_a_due_token_still_serves_the_request_that_begins_its_renewal(world: World) -> None:
    program = logged_in(world)
    program.post()
    old = program.stored.tokens.access_token.reveal()
    world.clock.go(3600 - 30)
    program.post()
    program.post()
    assert world.bearers[:2] == [old, old]
    assert world.bearers[2] == program.stored.tokens.access_token.reveal() != old


def test_an_expired_token_is_never_sent(world: World) -> None:
    program = logged_in(world)
    program.post()
    world.clock.go(3601)
    assert program.post() == 200
    assert world.statuses == [200, 200]


def test_a_token_without_expiry_is_used_until_it_is_refused(world: World) -> None:
    program = logged_in(world, lifetime=None)
    world.clock.go(5 * DAY)
    assert program.post() == 200
    world.authorization.revoke_access()
    assert program.post() == 200
    assert world.statuses == [200, 401, 200]
    assert world.refreshes == 1


def test_a_token_that_cannot_be_renewed_is_used_to_its_end(world: World) -> None:
    program = logged_in(world, refreshable=False)
    world.clock.go(3599)
    assert program.post() == 200
    world.clock.go(2)
    with pytest.raises(LoginRequired):
        program.post()
    assert world.bearers[1:] == [""], "an expired token was sent"


@pytest.mark.parametrize("lifetime", [0, -5, "0"], ids=["zero", "negative", "text"])
def test_a_new_token_is_used_once_whatever_expires_in_says(world: World, lifetime: object) -> None:
    world.authorization.lifetime = lifetime
    person = Person(world)
    program = Program(world, prompt=person)
    assert [program.post(), program.post()] == [200, 200]
    assert world.statuses == [401, 200, 200]
    assert world.refreshes == 1
    assert len(person.visits) == 1


@pytest.mark.parametrize("lifetime", [None, "3600", 1e17, 3600.5])
def test_any_expires_in_gives_a_token_that_is_used_again(world: World, lifetime: object) -> None:
    world.authorization.lifetime = lifetime
    program = Program(world, prompt=Person(world))
    assert [program.post(), program.post()] == [200, 200]
    assert world.refreshes == 0


# The clock


def test_a_clock_set_back_by_a_day_costs_nothing_while_the_token_lives(world: World) -> None:
    program = logged_in(world)
    program.post()
    world.clock.wall -= DAY
    assert program.post() == 200
    assert world.refreshes == 0


def test_after_a_clock_was_set_back_a_refused_token_is_refreshed(world: World) -> None:
    program = logged_in(world)
    program.post()
    world.clock.wall -= DAY
    world.authorization.revoke_access()
    assert program.post() == 200
    assert world.refreshes == 1


def test_a_clock_that_jumps_a_day_ahead_costs_one_refresh(world: World) -> None:
    program = logged_in(world)
    program.post()
    world.clock.wall += DAY
    assert [program.post(), program.post()] == [200, 200]
    assert world.refreshes == 1


def test_a_backoff_does_not_follow_the_wall_clock(world: World) -> None:
    program = logged_in(world, arguments={"options": Options(patience=0)})
    program.post()
    world.clock.go(3601)
    world.faults = [document({}, TOKEN, 503, retry_after="30")]
    with pytest.raises(Unavailable):
        program.post()
    world.clock.wall += DAY
    with pytest.raises(Unavailable):
        program.post()
    world.clock.steady += 31
    assert program.post() == 200


# Trouble

PASSING = {
    "no connection": DOWN,
    "500": document({}, TOKEN, 500),
    "an empty 401 of a proxy": HttpResponse(401, TOKEN),
    "a captive portal": HttpResponse(200, TOKEN, (), b"<!doctype html><p>Sign in to the wifi"),
    "not JSON": HttpResponse(200, TOKEN, (), b"oops"),
    "no token": document({"access_token": ""}, TOKEN),
    "429": document({}, TOKEN, 429),
    "temporarily_unavailable": oauth_error("temporarily_unavailable"),
    "server_error": oauth_error("server_error"),
    "slow_down": oauth_error("slow_down"),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_passing_fault_is_waited_out_within_the_callers_patience(
    world: World, fault: Any
) -> None:
    program = logged_in(world, age=3601)
    world.faults = [fault]
    assert program.post() == 200
    assert world.clock.slept == [0.5]


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_after_a_passing_fault_the_record_is_the_same_byte_for_byte(
    world: World, fault: Any, tmp_path: Path
) -> None:
    storage = FileStorage(tmp_path)
    person = Person(world)
    program = Program(world, storage, person, options=Options(patience=0))
    storage.save(credential(world, age=3601))
    record = (tmp_path / f"{KEY.id}.secret").read_bytes()
    world.faults = [fault]
    with pytest.raises(Unavailable) as caught:
        program.post()
    assert (tmp_path / f"{KEY.id}.secret").read_bytes() == record
    assert caught.value.hint
    assert person.visits == []
    assert world.statuses == []


def test_the_pauses_double_and_end_with_the_patience(world: World) -> None:
    program = logged_in(world, age=3601)
    world.faults = [DOWN] * 9
    with pytest.raises(Unavailable):
        program.post()
    assert world.clock.slept == [0.5, 1.0, 2.0, 4.0]
    assert len(world.faults) == 4


def test_a_pause_is_never_longer_than_a_minute(world: World) -> None:
    program = logged_in(world, age=3601, arguments={"options": Options(patience=1000)})
    world.faults = [DOWN] * 12
    assert program.post() == 200
    assert max(world.clock.slept) == 60.0


def test_retry_after_is_kept_to_and_handed_on(world: World) -> None:
    program = logged_in(world, age=3601)
    world.faults = [document({}, TOKEN, 429, retry_after="7")]
    assert program.post() == 200
    assert world.clock.slept == [7.0]


def test_a_retry_after_beyond_the_patience_fails_at_once(world: World) -> None:
    program = logged_in(world, age=3601)
    world.faults = [document({}, TOKEN, 503, retry_after="600")]
    with pytest.raises(Unavailable) as caught:
        program.post()
    assert caught.value.retry_after == 600
    assert world.clock.slept == []


def test_while_in_trouble_nothing_is_sent_to_the_token_endpoint(world: World) -> None:
    program = logged_in(world, age=3601)
    world.faults = [document({}, TOKEN, 503, retry_after="600")]
    for _ in range(3):
        with pytest.raises(Unavailable, match="HTTP 503"):
            program.post()
        world.clock.go(100)
    assert len(world.sent) == 1
    assert world.statuses == [], "a request went out without a token"


def test_trouble_is_over_with_the_first_answer(world: World) -> None:
    program = logged_in(world, age=3601)
    world.faults = [DOWN, DOWN, DOWN]
    assert program.post() == 200
    world.clock.slept.clear()
    world.clock.go(3601)
    world.faults = [DOWN]
    assert program.post() == 200
    assert world.clock.slept == [0.5], "the pauses begin anew"


def test_a_token_that_lives_goes_on_through_trouble(world: World) -> None:
    program = logged_in(world)
    program.post()
    world.clock.go(3600 - 30)
    world.faults = [document({}, TOKEN, 503, retry_after="10"), DOWN]
    for _ in range(10):
        assert program.post() == 200
        world.clock.go(2)
    assert world.refreshes == 1
    assert world.clock.slept == []


def test_a_token_that_dies_in_trouble_is_not_sent_any_more(world: World) -> None:
    program = logged_in(world)
    program.post()
    world.clock.go(3600 - 30)
    world.faults = [document({}, TOKEN, 503, retry_after="600")]
    program.post()
    world.clock.go(31)
    with pytest.raises(Unavailable):
        program.post()
    assert set(world.statuses) == {200}


def test_an_answer_that_was_lost_is_asked_for_again(world: World) -> None:
    """The one case in which a rotated refresh token comes back: nobody knows that it was."""
    program = logged_in(world, Person(world), age=3601)

    def lost() -> HttpResponse:
        world.authorization.token(dict(grant_type="refresh_token", **grant(program)))
        raise DOWN

    world.faults = [lost]
    assert program.post() == 200
    assert len(world.authorization.reused) == 1


def grant(program: Program) -> dict[str, str]:
    held = program.stored
    assert held.tokens.refresh_token is not None
    return {
        "client_id": held.client.client_id,
        "refresh_token": held.tokens.refresh_token.reveal(),
    }


# Refusals


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
@pytest.mark.parametrize("code", ["invalid_grant", "invalid_client", "unauthorized_client"])
def test_a_definite_rejection_ends_the_refresh_token_at_any_status(
    world: World, code: str, status: int
) -> None:
    program = logged_in(world, age=3601)
    world.faults = [oauth_error(code, status)]
    for _ in range(2):
        with pytest.raises(LoginRequired):
            program.post()
    assert program.stored.tokens.refresh_token is None
    assert len(world.sent) == 1


@pytest.mark.parametrize("code", ["invalid_request", "invalid_scope", "invalid_target", "what"])
def test_any_other_oauth_error_keeps_the_record_and_asks_the_person(
    world: World, code: str
) -> None:
    person = Person(world)
    program = logged_in(world, age=3601)
    record = program.stored
    world.faults = [oauth_error(code)] * 4
    with pytest.raises(LoginRequired):
        program.post()
    assert program.stored == record
    world.faults = [oauth_error(code), oauth_error(code)]
    asking = Program(world, program.storage, person)
    assert asking.post() == 200
    assert len(person.visits) == 1


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_scope"])
def test_a_refused_renewal_leaves_the_token_to_its_end(world: World, code: str) -> None:
    program = logged_in(world)
    program.post()
    world.clock.go(3600 - 30)
    world.faults = [oauth_error(code)]
    assert [program.post() for _ in range(4)] == [200] * 4
    assert len(world.sent) == 1
    world.clock.go(31)
    world.faults = [oauth_error(code)] * 2
    with pytest.raises(LoginRequired):
        program.post()
    assert world.statuses[-1:] == [401]
    assert world.bearers[-1] == "", "an expired token was sent"


def test_a_refusal_ends_only_the_record_that_failed(world: World) -> None:
    program = logged_in(world, age=3601)
    newer = replace(credential(world), generation=5)

    def meanwhile() -> HttpResponse:
        program.storage.save(newer)
        return oauth_error("invalid_grant")

    world.faults = [meanwhile]
    assert program.post() == 200
    assert program.stored == newer
    assert world.bearers == [newer.tokens.access_token.reveal()]


def test_a_dead_client_is_forgotten_with_its_grant(world: World) -> None:
    person = Person(world)
    program = Program(world, prompt=person)
    program.post()
    world.authorization.known.clear()
    world.clock.go(3601)
    assert program.post() == 200
    assert len(world.authorization.registrations) == 2
    assert len(person.visits) == 2


# After a 401


def test_a_token_refused_early_is_refreshed_once(world: World) -> None:
    program = logged_in(world, age=60)
    program.post()
    world.authorization.revoke_access()
    assert program.post() == 200
    assert world.statuses == [200, 401, 200]


def test_what_another_process_has_renewed_is_taken_without_a_refresh(world: World) -> None:
    storage = MemoryStorage()
    storage.save(credential(world, age=60))
    one, other = Program(world, storage), Program(world, storage)
    assert [one.post(), other.post()] == [200, 200]
    world.authorization.revoke_access()
    assert [one.post(), other.post()] == [200, 200]
    assert world.statuses == [200, 200, 401, 200, 401, 200]
    assert world.refreshes == 1


def test_a_process_that_looks_late_finds_the_expired_token_renewed(world: World) -> None:
    storage = MemoryStorage()
    storage.save(credential(world))
    one, other = Program(world, storage), Program(world, storage)
    one.post()
    other.post()
    world.clock.go(3601)
    assert [one.post(), other.post()] == [200, 200]
    assert world.refreshes == 1
    assert set(world.statuses) == {200}


def test_a_token_renewed_a_moment_ago_is_not_renewed_again(world: World) -> None:
    program = logged_in(world, age=3601)
    program.post()
    world.authorization.revoke_access()
    with pytest.raises(LoginRequired):
        program.post()
    assert world.refreshes == 1


def test_a_just_renewed_token_that_is_refused_gives_way_to_what_another_process_stored(
    world: World,
) -> None:
    program = logged_in(world, age=3601)
    program.post()
    world.authorization.revoke_access()
    program.storage.save(replace(credential(world), generation=9))
    assert program.post() == 200
    assert world.refreshes == 1


def test_a_just_renewed_token_that_is_refused_gives_way_to_a_newer_one_that_has_expired(
    world: World,
) -> None:
    program = logged_in(world, age=3601)
    program.post()
    world.authorization.revoke_access()
    program.storage.save(replace(credential(world, age=3601), generation=9))
    assert program.post() == 200
    assert program.stored.generation == 10


def test_a_recent_token_that_was_refused_may_be_refreshed_when_it_is_older(world: World) -> None:
    person = Person(world)
    program = Program(world, prompt=person)
    program.post()
    world.authorization.revoke_access()
    world.faults = [DOWN]
    with pytest.raises(Unavailable):
        program.post()
    world.clock.go(7)
    assert program.post() == 200
    assert world.refreshes == 1
    assert len(person.visits) == 2, "the second one failed at its end"


def test_what_another_process_has_renewed_long_ago_is_refreshed_when_it_is_refused(
    world: World,
) -> None:
    program = logged_in(world, Person(world), age=60)
    program.post()
    program.storage.save(replace(credential(world, age=60), generation=9))
    world.authorization.revoke_access()
    assert [program.post(), program.post()] == [401, 200]
    assert world.refreshes == 1


def test_a_request_that_was_refused_twice_is_handed_back(world: World) -> None:
    program = logged_in(world, age=60)
    world.authorization.refuses_fresh = True
    assert program.post() == 401
    assert world.statuses == [401, 401]
    assert world.refreshes == 1


def test_a_server_that_refuses_every_fresh_token_gets_one_login_and_then_an_error(
    world: World,
) -> None:
    person = Person(world)
    program = Program(world, prompt=person)
    world.authorization.refuses_fresh = True
    assert program.post() == 401
    for _ in range(40):
        world.clock.go(7)
        with suppress(TokenRefused):
            assert program.post() == 401
    with pytest.raises(TokenRefused, match="has just issued"):
        program.post()
    assert len(person.visits) == 1, "the person was asked again"


def test_other_sessions_on_the_store_know_that_fresh_tokens_are_refused(world: World) -> None:
    person = Person(world)
    first = Program(world, prompt=person)
    world.authorization.refuses_fresh = True
    first.post()
    with pytest.raises(TokenRefused):
        first.post()
    second = Program(world, first.storage, person)
    with pytest.raises(TokenRefused, match="has just issued"):
        second.post()
    assert len(person.visits) == 1


def test_a_token_that_was_accepted_once_may_be_refused_and_replaced_by_a_login(
    world: World,
) -> None:
    person = Person(world)
    program = Program(world, prompt=person)
    program.post()
    world.clock.go(60)
    world.authorization.revoke_everything()
    assert program.post() == 200
    assert len(person.visits) == 2


# A login


def test_a_login_is_remembered_across_restarts(world: World) -> None:
    storage = MemoryStorage()
    Program(world, storage, Person(world)).post()
    assert Program(world, storage).post() == 200
    assert world.statuses == [401, 200, 200]


def test_a_denied_login_is_not_asked_for_again_for_a_minute(world: World) -> None:
    person = Person(world, "deny")
    program = Program(world, prompt=person)
    for _ in range(3):
        with pytest.raises(AuthorizationDenied):
            program.post()
        world.clock.go(19)
    assert len(person.visits) == 1
    assert person.visits[0].ending == "denied"
    world.clock.go(10)
    person.decision = "allow"
    assert program.post() == 200


def test_a_login_that_nobody_answers_cools_down_for_every_process(world: World) -> None:
    storage, person = MemoryStorage(), Person(world, "timeout")
    for _ in range(3):
        with pytest.raises(LoginFailed, match="nobody signed in"):
            Program(world, storage, person).post()
    assert len(person.visits) == 1
    assert person.visits[0].ending == "failed"


def test_an_explicit_login_ends_the_cooling(world: World) -> None:
    storage, person = MemoryStorage(), Person(world, "deny")
    program = Program(world, storage, person)
    with pytest.raises(AuthorizationDenied):
        program.post()
    person.decision = "allow"
    Program(world, storage, person).session.log_in()
    assert program.post() == 200


def test_a_login_that_met_a_passing_fault_may_be_tried_again_at_once(world: World) -> None:
    person = Person(world)
    program = Program(world, prompt=person)
    world.faults = [DOWN]
    with pytest.raises(Unavailable):
        program.post()
    assert program.post() == 200
    assert program.storage.note(KEY, "cooling") is None


def test_a_new_login_ends_the_trouble_of_the_old_one(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person, age=3601)
    world.faults = [document({}, TOKEN, 503, retry_after="80000")]
    with pytest.raises(Unavailable):
        program.post()
    program.session.log_in(force=True)
    world.clock.go(3601)
    assert program.post() == 200


def test_a_login_made_elsewhere_is_found_before_anybody_is_asked(world: World) -> None:
    storage, person = MemoryStorage(), Person(world)
    first, second = Program(world, storage, person), Program(world, storage, person)
    assert second.session.current() is None
    first.post()
    assert second.post() == 200
    assert len(person.visits) == 1


def test_who_waited_for_a_login_of_a_short_lived_token_refreshes_it(world: World) -> None:
    """`expires_in: 0`: what the other one got has expired when the lease is ours."""
    storage, person = MemoryStorage(), Person(world)
    world.authorization.lifetime = 0
    first, second = Program(world, storage, person), Program(world, storage, person)
    with pytest.raises(LoginRequired):
        Program(world, storage).post()
    second.session.edges.storage.lock = meanwhile(  # type: ignore[method-assign]
        storage, lambda: first.post()
    )
    assert second.post() == 200
    assert len(person.visits) == 1


def meanwhile(storage: MemoryStorage, event: Any) -> Any:
    """`storage.lock`, but while its first login lease is waited for the event happens."""
    lock, todo = storage.lock, [event]

    def waiting(key: Any, purpose: str = "refresh", timeout: float = 30.0) -> Any:
        if purpose == "login" and todo:
            todo.pop()()
        return lock(key, purpose, timeout)

    return waiting


def test_closing_aborts_a_waiting_login_which_then_may_be_begun_again(world: World) -> None:
    person = Person(world, "wait")
    program = Program(world, prompt=person)
    failed: list[BaseException] = []

    def post() -> None:
        with pytest.raises(LoginFailed, match="aborted") as caught:
            program.post()
        failed.append(caught.value)

    thread = threading.Thread(target=post)
    thread.start()
    person.asked.result(10)
    program.auth.close()
    thread.join(10)
    assert failed
    person.decision = "allow"
    assert program.post() == 200


def test_closing_with_nothing_under_way_changes_nothing(world: World) -> None:
    program = logged_in(world)
    program.auth.close()
    assert program.post() == 200


def test_the_authorization_server_moves(world: World) -> None:
    """Nothing of the old one reaches the new one; the old record stays until the login is done."""
    person = Person(world, "deny")
    program = Program(world, prompt=Person(world))
    program.post()
    old = program.stored
    world.issuer = OTHER
    world.servers[ISSUER].revoke_everything()
    world.clock.go(60)
    again = Program(world, program.storage, person)
    with pytest.raises(AuthorizationDenied):
        again.post()
    assert program.stored.issuer == ISSUER
    assert program.stored.tokens.access_token == old.tokens.access_token
    world.clock.go(61)
    person.decision = "allow"
    assert again.post() == 200
    assert program.stored.issuer == OTHER
    sent = [r.body + repr(r.headers).encode() for r in world.sent if r.url.startswith(OTHER)]
    assert old.tokens.refresh_token is not None
    for secret in (old.tokens.access_token, old.tokens.refresh_token):
        assert not [body for body in sent if secret.reveal().encode() in body]
    assert old.client.client_id not in {f["client_id"] for f in world.authorization.forms}


def test_the_authorization_server_of_tokens_without_a_lifetime_moves(world: World) -> None:
    person = Person(world)
    program = Program(world, prompt=person)
    world.servers[ISSUER].lifetime = 0
    program.post()
    world.issuer = OTHER
    assert [program.post(), program.post()] == [401, 200]
    assert program.stored.issuer == OTHER


# Where nobody can be asked


def test_login_required_names_the_server_and_the_command(world: World) -> None:
    with pytest.raises(LoginRequired) as caught:
        Program(world).post()
    assert caught.value.server == SERVER
    assert str(caught.value) == (f"a person must log in to {SERVER}. Run: mcp-login {SERVER}")


def test_the_command_is_quoted_for_a_shell(world: World) -> None:
    with pytest.raises(LoginRequired) as caught:
        Program(world, account="me & you").post()
    assert caught.value.hint == f"Run: mcp-login {SERVER} --account 'me & you'"


def test_the_command_of_a_step_up_names_all_scopes(world: World) -> None:
    program = logged_in(world, scope=("read", "files"), requested=("read",))
    with pytest.raises(LoginRequired) as caught:
        program.post("write")
    assert caught.value.hint == f"Run: mcp-login {SERVER} --scope 'read files write'"
    assert "write" in caught.value.summary


def test_the_command_names_the_scopes_that_the_caller_wants(world: World) -> None:
    with pytest.raises(LoginRequired) as caught:
        Program(world, scope="read write").post()
    assert caught.value.hint == f"Run: mcp-login {SERVER} --scope 'read write'"


def test_a_failure_as_response_hands_back_the_401_and_the_next_login_is_found(
    world: World,
) -> None:
    program = logged_in(world, age=3601, refreshable=False, arguments=AS_RESPONSE)
    assert program.post() == 401
    assert isinstance(program.auth.last_error, LoginRequired)
    assert program.post() == 401
    assert world.bearers == ["", ""], "an expired token was sent"
    Program(world, program.storage, Person(world)).session.log_in(force=True)
    assert program.post() == 200
    assert program.auth.last_error is None


def test_a_failure_as_response_hands_back_the_401_in_trouble_too(world: World) -> None:
    options = Options(patience=0)
    program = logged_in(world, age=3601, arguments={**AS_RESPONSE, "options": options})
    world.faults = [document({}, TOKEN, 503, retry_after="60")]
    assert [program.post(), program.post()] == [401, 401]
    assert isinstance(program.auth.last_error, Unavailable)
    world.clock.go(61)
    assert program.post() == 200
    assert program.auth.last_error is None


def test_a_failed_step_up_as_response_hands_back_the_403(world: World) -> None:
    program = logged_in(world, arguments=AS_RESPONSE)
    assert program.post("write") == 403
    assert isinstance(program.auth.last_error, LoginRequired)
    assert program.post() == 200


AS_RESPONSE = {"on_failure": "response"}


# Step-up


def test_a_step_up_asks_for_all_that_was_requested_granted_and_challenged(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person, scope=("read", "given"), requested=("read", "refused"))
    assert program.post("write") == 200
    assert person.scopes == [("read", "refused", "given", "write")]


def test_what_was_requested_is_known_after_a_restart(world: World) -> None:
    storage, person = MemoryStorage(), Person(world)
    Program(world, storage, person).post("write")
    again = Person(world)
    assert Program(world, storage, again).post("admin") == 200
    assert again.scopes == [("read", "write", "admin")]


def test_a_refresh_never_gains_scopes(world: World) -> None:
    program = logged_in(world, Person(world), age=60)
    program.post("write")
    world.clock.go(3601)
    program.post("write")
    refreshes = [form for form in world.forms if form["grant_type"] == "refresh_token"]
    assert len(refreshes) == 1
    assert "scope" not in refreshes[0]


def test_a_step_up_that_gave_less_is_not_tried_again(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person)
    world.authorization.granting = lambda asked: tuple(s for s in asked if s != "write")
    for _ in range(3):
        with pytest.raises(InsufficientScope) as caught:
            program.post("write")
        assert caught.value.requested == ("read", "write")
        assert caught.value.granted == ("read",)
        assert "“write” was not granted" in str(caught.value)
        assert caught.value.hint.endswith(f"run: mcp-login {SERVER} --force")
        world.clock.go(100)
    assert len(person.visits) == 1


def test_a_server_that_wants_ever_more_is_asked_for_once_with_each_request(world: World) -> None:
    person, wishes = Person(world), (f"more-{number}" for number in itertools.count())
    program = logged_in(world, person)
    resource = world.resource

    def greedy(request: httpx.Request) -> httpx.Response:
        world.needed = (next(wishes),)
        return resource(request)

    transport = httpx.MockTransport(greedy)
    with (
        httpx.Client(auth=program.auth, transport=transport, trust_env=False) as client,
        pytest.raises(InsufficientScope),
    ):
        client.post(SERVER, json={})
    assert len(person.visits) == 1


def test_a_step_up_that_gave_less_is_not_tried_again_after_a_restart(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person)
    world.authorization.granting = lambda asked: ("read",)
    with pytest.raises(InsufficientScope):
        program.post("write")
    with pytest.raises(InsufficientScope):
        Program(world, program.storage, person).post("write")
    assert len(person.visits) == 1


def test_what_was_asked_for_and_not_granted_is_named_and_nobody_is_asked(world: World) -> None:
    person = Person(world)
    wanted = ("read", "write", "admin", "offline_access")
    program = logged_in(world, person, scope=("read",), requested=wanted)
    with pytest.raises(InsufficientScope, match="; “write admin” was not granted"):
        program.post("write")
    assert person.visits == []


def test_a_403_that_names_no_scope_is_about_all_that_the_resource_lists(world: World) -> None:
    """The official SDK's server answers so."""
    person, world.names_scope, world.scopes = Person(world), False, ["read", "write"]
    program = logged_in(world, person)
    assert program.post("write") == 200
    assert person.scopes == [("read", "write")]


def test_what_the_resource_lists_is_in_the_command_where_nobody_can_be_asked(world: World) -> None:
    world.names_scope, world.scopes = False, ["read", "write"]
    with pytest.raises(LoginRequired, match="--scope 'read write'"):
        logged_in(world).post("write")


@pytest.mark.parametrize("listed", [["read"], [], None])
def test_a_403_that_names_no_scope_where_the_resource_lists_no_more_is_the_end(
    world: World, listed: Any
) -> None:
    person, world.names_scope, world.scopes = Person(world), False, listed
    program = logged_in(world, person)
    with pytest.raises(InsufficientScope, match="after “read” was asked for"):
        program.post("write")
    assert person.visits == []


@pytest.mark.parametrize("listed", [["read"], [], None])
def test_nobody_is_asked_for_what_was_granted_without_being_asked_for(
    world: World, listed: Any
) -> None:
    person, world.names_scope, world.scopes = Person(world), False, listed
    program = logged_in(world, person, scope=("read",), requested=())
    with pytest.raises(InsufficientScope):
        program.post("write")
    assert person.visits == []


def test_a_step_up_to_what_the_resource_lists_is_tried_once(world: World) -> None:
    person, world.names_scope, world.scopes = Person(world), False, ["read", "write"]
    program = logged_in(world, person)
    for _ in range(2):
        with pytest.raises(InsufficientScope):
            program.post("admin")
    assert len(person.visits) == 1


def test_a_step_up_by_a_bare_program_keeps_how_the_login_is_renewed(world: World) -> None:
    program = logged_in(world, Person(world), options={"refresh_scope": True})
    assert program.post("write") == 200
    program.session.refresh()
    assert world.forms[-1]["scope"] == "read write"
    program.session.log_in(force=True)
    assert "refresh_scope" not in program.stored.options, "what is forced decides anew"


def test_another_scope_is_another_step_up(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person)
    assert [program.post("write"), program.post("admin"), program.post("write admin")] == [200] * 3
    assert person.scopes == [("read", "write"), ("read", "write", "admin")]


def test_a_denied_step_up_keeps_the_old_credential_and_is_remembered(world: World) -> None:
    person = Person(world, "deny")
    program = logged_in(world, person)
    record = program.stored
    for _ in range(2):
        with pytest.raises(AuthorizationDenied):
            program.post("write")
    with pytest.raises(AuthorizationDenied):
        Program(world, program.storage, person).post("write")
    assert len(person.visits) == 1
    assert program.stored == record
    assert program.post() == 200


def test_a_denied_step_up_does_not_stop_another(world: World) -> None:
    person = Person(world, "deny")
    program = logged_in(world, person)
    with pytest.raises(AuthorizationDenied):
        program.post("write")
    person.decision = "allow"
    assert program.post("admin") == 200


def test_a_step_up_that_another_request_has_made_serves_this_one(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person)
    sent = wait(program.session.ready())
    assert sent is not None
    program.post("write")
    better = wait(program.session.after_403(sent, challenged(program, "write")))
    assert better == program.stored
    assert len(person.visits) == 1


def test_a_step_up_that_another_process_has_made_serves_this_one(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person)
    program.post()
    Program(world, program.storage, person).post("write")
    assert program.post("write") == 200
    assert len(person.visits) == 1


def test_a_step_up_builds_on_what_another_request_has_gained_meanwhile(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person)
    sent = wait(program.session.ready())
    assert sent is not None
    program.post("write")
    wait(program.session.after_403(sent, challenged(program, "admin")))
    assert person.scopes[-1] == ("read", "write", "admin")


def test_a_step_up_builds_on_what_another_process_has_gained_meanwhile(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person)
    program.post()
    Program(world, program.storage, person).post("write")
    assert program.post("admin") == 200
    assert person.scopes[-1] == ("read", "write", "admin")


def test_a_step_up_of_another_process_that_has_expired_is_renewed(world: World) -> None:
    program = logged_in(world, lifetime=None)
    program.post()
    stepped = credential(world, scope=("read", "write"), age=3601)
    program.storage.save(replace(stepped, generation=9))
    assert program.post("write") == 200
    assert world.refreshes == 1


def challenged(program: Program, scope: str) -> Any:
    from mcp_client_auth.protocol.challenge import read_challenges

    return read_challenges([f'Bearer error="insufficient_scope", scope="{scope}"'])[0]


def test_a_403_without_insufficient_scope_is_the_servers_answer(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person)
    program.client._transport = httpx.MockTransport(lambda request: httpx.Response(403))
    assert program.post() == 403
    assert person.visits == []


def test_a_new_login_at_the_same_issuer_asks_for_what_was_gained_before(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person)
    program.post("write")
    world.authorization.revoke_everything()
    world.clock.go(60)
    assert program.post("write") == 200
    assert person.scopes == [("read", "write"), ("read", "write")]


def test_a_new_login_at_another_issuer_asks_for_nothing_of_the_old_one(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person)
    program.post("write")
    world.authorization.revoke_everything()
    world.issuer = OTHER
    world.clock.go(60)
    assert program.post() == 200
    assert person.scopes[-1] == ("read",)


# What is stored and what is wanted


def test_a_client_that_was_named_before_stays_behind_when_another_issuer_is_named(
    world: World,
) -> None:
    named = Client("app", ISSUER, "pre-registered", "client_secret_post", Secret("planted"))
    program = logged_in(
        world, Person(world), client=named, arguments={"options": Options(issuer=OTHER)}
    )
    world.issuer = OTHER
    moved = program.session.log_in(force=True)
    assert (moved.issuer, moved.client.kind) == (OTHER, "dynamic")
    assert not any(b"planted" in request.body for request in world.sent)


def test_a_credential_of_another_client_is_not_used(world: World) -> None:
    program = Program(world, client=PreRegistered("mine"))
    theirs = credential(world, key=program.session.key)
    program.storage.save(theirs)
    with pytest.raises(LoginRequired):
        program.post()
    assert world.bearers == [""]
    assert program.stored == theirs


def test_a_credential_of_the_callers_client_is_used(world: World) -> None:
    program = Program(world, client=PreRegistered("client-0"))
    program.storage.save(credential(world, key=program.session.key))
    assert program.post() == 200


def test_a_registered_client_serves_a_caller_with_a_metadata_document(world: World) -> None:
    document_url = "https://app.example.com/client.json"
    program = logged_in(world, arguments={"client": ClientMetadataDocument(document_url)})
    assert program.post() == 200


@pytest.mark.parametrize(
    ("stored", "wanted", "fits"),
    [
        (SERVER, None, True),
        (SERVER, SERVER, True),
        (SERVER, "https://mcp.example.com", False),
        (SERVER, "", False),
        (None, "", True),
        (None, None, True),
        (None, SERVER, False),
    ],
)
def test_a_credential_of_another_resource_is_not_used(
    world: World, stored: str | None, wanted: str | None, fits: bool
) -> None:
    options = Options(resource=wanted)
    program = logged_in(world, resource=stored, arguments={"options": options})
    if fits:
        assert program.post() == 200
    else:
        with pytest.raises(LoginRequired):
            program.post()


def test_a_wanted_scope_that_is_lacking_leads_to_a_login_for_both(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person, arguments={"scope": "write"})
    held = program.session.log_in()
    assert set(held.tokens.scope or ()) == {"read", "write"}
    assert len(person.visits) == 1


def test_a_wanted_scope_that_was_asked_for_and_not_granted_is_no_reason_to_ask_again(
    world: World,
) -> None:
    person = Person(world)
    world.authorization.granting = lambda asked: ("read",)
    program = Program(world, prompt=person, scope="read write")
    program.session.log_in()
    program.session.log_in()
    assert len(person.visits) == 1


def test_a_forced_login_with_scopes_asks_for_these_alone(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person, scope=("read", "write"), arguments={"scope": "read"})
    program.session.log_in(force=True)
    assert person.scopes == [("read",)]


# An explicit login


def test_an_explicit_login_with_a_usable_credential_asks_nobody(world: World) -> None:
    program = logged_in(world)
    assert program.session.log_in() == program.stored
    assert world.sent == []


def test_an_explicit_login_refreshes_what_has_expired(world: World) -> None:
    program = logged_in(world, age=3601)
    program.session.log_in()
    assert world.refreshes == 1


def test_a_damaged_record_is_replaced_by_an_explicit_login(world: World, tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    program = Program(world, storage, Person(world))
    storage.save(credential(world))
    (tmp_path / f"{KEY.id}.secret").write_text("{")
    with pytest.raises(StorageError):
        program.post()
    program.session.log_in()
    assert program.post() == 200


@pytest.mark.parametrize("fault", [DOWN, BadResponse("larger than 1 MiB")])
def test_a_login_whose_last_request_fails_says_that_it_is_kept(world: World, fault: Any) -> None:
    program = Program(world, prompt=Person(world))
    probes: list[int] = []

    def transport(request: Any) -> Any:
        probes.append(request.url == SERVER)
        if sum(probes) == 2 and request.url == SERVER:
            raise fault
        return world(request)

    object.__setattr__(program.session.edges, "transport", transport)
    with pytest.raises(type(fault), match="The login is kept"):
        program.session.log_in()
    assert program.post() == 200


def test_an_explicit_login_to_a_server_that_refuses_the_fresh_token_says_so(world: World) -> None:
    program = Program(world, prompt=Person(world))
    world.authorization.refuses_fresh = True
    with pytest.raises(TokenRefused, match="has just issued"):
        program.session.log_in()


# A fresh token on demand


def test_a_token_that_lives_long_enough_is_handed_out_as_it_is(world: World) -> None:
    program = logged_in(world)
    assert program.session.fresh(3000) == program.stored
    assert world.refreshes == 0


def test_a_token_that_ends_too_soon_is_renewed_early(world: World) -> None:
    program = logged_in(world, age=1000)
    held = program.session.fresh(3000)
    assert held == program.stored
    assert world.refreshes == 1


def test_a_token_with_less_life_than_asked_for_is_handed_out_once_renewed(world: World) -> None:
    world.authorization.lifetime = 60
    program = logged_in(world, lifetime=60)
    program.session.fresh(3000)
    assert world.refreshes == 1


def test_without_a_login_there_is_no_token(world: World) -> None:
    with pytest.raises(LoginRequired, match="you are not logged in to"):
        Program(world).session.fresh()


# Logout


def test_a_logout_revokes_and_forgets(world: World) -> None:
    program = logged_in(world)
    program.post()
    assert program.session.log_out() == LoggedOut(True, revoked=True)
    assert program.storage.load(KEY) is None
    assert all(family.revoked for family in world.authorization.refresh.values())
    assert program.session.log_out() == LoggedOut(False)
    with pytest.raises(LoginRequired):
        program.post()
    assert world.bearers[-1] == ""


def test_a_logout_that_reaches_nobody_forgets_all_the_same(world: World) -> None:
    program = logged_in(world, revocation_endpoint="")
    done = program.session.log_out()
    assert (done.found, done.revoked) == (True, None)
    assert done.trouble == ("the authorization server offers no revocation",)
    assert program.storage.load(KEY) is None


def test_a_logout_elsewhere_ends_this_session_with_its_token(world: World) -> None:
    program = logged_in(world)
    program.post()
    Program(world, program.storage).session.log_out()
    with pytest.raises(LoginRequired):
        program.post()
    assert world.refreshes == 0


def test_a_logout_ends_the_cooling(world: World) -> None:
    person = Person(world, "deny")
    program = Program(world, prompt=person)
    with pytest.raises(AuthorizationDenied):
        program.post()
    program.session.log_out()
    person.decision = "allow"
    assert program.post() == 200


def test_a_logout_during_a_refresh_waits_for_it_and_ends_what_it_brought(world: World) -> None:
    program = logged_in(world, age=3601)
    done: list[LoggedOut] = []
    out = threading.Thread(target=lambda: done.append(program.session.log_out()))

    def slow() -> None:
        out.start()
        out.join(0.05)
        assert out.is_alive(), "the logout did not wait for the lock"

    world.faults = [slow]
    program.post()
    out.join(10)
    assert done == [LoggedOut(True, revoked=True)]
    assert program.storage.load(KEY) is None
    assert all(family.revoked for family in world.authorization.refresh.values())


# A storage that fails


class Failing(MemoryStorage):
    """Keeps nothing while `broken`."""

    broken = False

    def save(self, credential: Credential) -> None:
        if self.broken:
            raise StorageError("the disk is full")
        super().save(credential)


def test_an_answer_that_could_not_be_kept_is_kept_when_the_storage_works_again(
    world: World,
) -> None:
    storage = Failing()
    program = Program(world, storage, Person(world))
    storage.save(credential(world, age=3601))
    storage.broken = True
    with pytest.raises(StorageError):
        program.post()
    assert world.refreshes == 1
    storage.broken = False
    assert program.post() == 200
    assert world.refreshes == 1
    assert program.stored.tokens.access_token.reveal() == world.bearers[-1]
    world.clock.go(3601)
    assert Program(world, storage).post() == 200
    assert world.authorization.reused == []


def test_an_answer_that_could_not_be_kept_does_not_replace_a_later_login(world: World) -> None:
    storage = Failing()
    program = Program(world, storage)
    storage.save(replace(credential(world, age=3601), generation=5))
    storage.broken = True
    with pytest.raises(StorageError):
        program.post()
    storage.broken = False
    other = Program(world, storage, Person(world))
    other.session.log_out()
    other.post()
    assert program.post() == 200
    assert program.stored == other.stored
    assert program.stored.generation == 0


def test_a_rotated_token_is_not_presented_again_while_the_storage_fails(world: World) -> None:
    storage = Failing()
    program = Program(world, storage)
    storage.save(credential(world, age=3601))
    storage.broken = True
    for _ in range(3):
        with pytest.raises(StorageError):
            program.post()
        world.clock.go(3601)
    assert world.authorization.reused == []
    storage.broken = False
    assert program.post() == 200


def test_a_storage_that_cannot_be_written_stops_a_login_before_the_person_is_asked(
    world: World,
) -> None:
    class ReadOnly(MemoryStorage):
        def check(self) -> None:
            raise StorageError("read-only")

    person = Person(world)
    storage: Storage = ReadOnly()
    with pytest.raises(StorageError):
        Program(world, storage, person).post()
    assert person.visits == []


# Reading an answer back


def test_a_refresh_keeps_what_its_answer_leaves_out(world: World) -> None:
    program = logged_in(world, age=3601)
    world.authorization.rotates = False
    before = program.stored

    def terse() -> HttpResponse:
        answer = world.authorization.token({**grant(program), "grant_type": "refresh_token"})[1]
        return document({"access_token": answer["access_token"], "token_type": "Bearer"}, TOKEN)

    world.faults = [terse]
    assert program.post() == 200
    assert program.stored.tokens.refresh_token == before.tokens.refresh_token
    assert program.stored.tokens.scope == before.tokens.scope
    assert program.stored.generation == before.generation + 1


# A storage where a write that was given up lands late


def test_who_holds_the_later_record_puts_it_back_over_one_that_landed_late(
    world: World, tmp_path: Path
) -> None:
    files = FileStorage(tmp_path / "store")
    program = Program(world, storage=files)
    files.save(credential(world))
    program.post()
    late = program.stored
    world.clock.go(3601)
    assert program.post() == 200
    good = program.stored
    files.write(Item.of(late.key), dumps(late))
    world.clock.go(3600 - 20)
    assert program.post() == 200  # due: it looks into the store, and renews its own
    assert (world.refreshes, world.authorization.reused) == (2, [])
    assert program.stored.generation == good.generation + 1


def test_a_login_after_a_logout_is_not_overwritten_by_what_another_still_holds(
    world: World, tmp_path: Path
) -> None:
    files = FileStorage(tmp_path / "store")
    program = Program(world, storage=files)
    files.save(replace(credential(world), generation=9))
    program.post()
    files.delete(program.session.key)
    files.save(credential(world))
    again = program.stored
    world.clock.go(3600 - 20)
    program.post()
    assert program.stored.generation == again.generation + 1
