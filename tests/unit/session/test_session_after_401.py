"""A refused access token: a second try, one refresh, one login, and then an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx
import pytest

from mcp_client_auth import (
    MemoryStorage,
    TokenRefused,
)
from mcp_client_auth.session.single_flight import wait
from mcp_client_auth.session.unauthorized import Unauthorized
from tests.support.session_world import (
    DOWN,
    Person,
    Program,
    World,
    credential,
    logged_in,
)

pytestmark = pytest.mark.usefixtures("here_and_now")


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


def test_a_token_renewed_a_moment_ago_has_a_second_try_and_then_one_refresh(world: World) -> None:
    program = logged_in(world, age=3601)
    program.post()
    world.authorization.revoke_access()
    assert program.post() == 200
    assert world.statuses == [200, 401, 401, 200]
    assert world.clock.slept == [1.0]
    assert world.refreshes == 2


@pytest.mark.parametrize("lifetime", [3600.0, 6.0, None])
def test_a_young_token_that_one_replica_does_not_know_yet_is_accepted_by_the_second_try(
    world: World, lifetime: float | None
) -> None:
    program = logged_in(world, age=1, lifetime=lifetime)
    lagging(program, 1)
    assert program.post() == 200
    assert world.statuses == [401, 200]
    assert world.refreshes == 0
    assert world.clock.slept == [1.0]


def test_a_token_of_more_than_half_its_life_is_refreshed_at_once(world: World) -> None:
    program = logged_in(world, age=3, lifetime=6.0)
    lagging(program, 1)
    assert program.post() == 200
    assert (world.refreshes, world.clock.slept) == (1, [])


def test_a_replica_that_lags_after_a_refresh_opens_no_browser(world: World) -> None:
    person = Person(world)
    program = logged_in(world, person, age=60)
    lagging(program, 2)
    assert [program.post(), program.post()] == [200, 200]
    assert (world.refreshes, person.visits) == (1, [])
    assert world.clock.slept == [1.0], "the new token was tried twice"
    assert program.session._renewal.known.mark is None


@pytest.mark.parametrize("accepted", [False, True])
def test_a_request_that_goes_on_after_the_second_try_makes_none_of_its_own(
    world: World, accepted: bool
) -> None:
    works: list[Iterator[Any]] = []
    sleep = world.clock.sleep

    def joined(seconds: float) -> None:
        next(works[0])  # it waits for the moment that the first one waits for
        sleep(seconds)

    world.clock.sleep = joined  # type: ignore[method-assign]
    program = logged_in(world, age=1)
    sent = wait(program.session.ready())
    assert sent is not None
    first, late = (Unauthorized(program.session, home=True) for _ in range(2))
    works.append(late.better(sent, None))
    assert first.blocking(sent, None) is sent
    first.heard(200 if accepted else 401)
    found = result_of(works[0])
    assert (found is sent) is accepted
    assert world.refreshes == (0 if accepted else 1)
    assert world.clock.slept == [1.0]


def test_a_token_is_not_refreshed_while_its_second_try_has_not_begun(world: World) -> None:
    program = logged_in(world, age=1)
    sent = wait(program.session.ready())
    assert sent is not None
    first, other = (Unauthorized(program.session, home=True) for _ in range(2))
    work = first.better(sent, None)
    next(work)  # the moment is over, and it gets no turn yet
    assert other.blocking(sent, None) is sent
    other.heard(200)
    assert result_of(work) is sent
    assert world.refreshes == 0


def result_of(work: Iterator[Any]) -> Any:
    while True:
        try:
            next(work)
        except StopIteration as ended:
            return ended.value


def lagging(program: Program, times: int) -> None:
    """So many answers come from a replica that does not know the token yet."""
    left, answer = [times], program.world.answer

    def late(authorization: str, *needed: str) -> httpx.Response:
        if left[0] > 0 and authorization:
            left[0] -= 1
            return answer("Bearer of-no-one", *needed)
        return answer(authorization, *needed)

    program.world.answer = late  # type: ignore[method-assign]


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


def test_a_recent_token_that_was_refused_is_refreshed_when_a_passing_fault_is_over(
    world: World,
) -> None:
    person = Person(world)
    program = Program(world, prompt=person)
    program.post()
    world.authorization.revoke_access()
    world.faults = [DOWN]
    assert program.post() == 200
    assert world.refreshes == 1
    assert len(person.visits) == 1


def test_what_another_process_has_renewed_long_ago_is_refreshed_when_it_is_refused(
    world: World,
) -> None:
    program = logged_in(world, Person(world), age=60)
    program.post()
    program.storage.save(replace(credential(world, age=60), generation=9))
    world.authorization.revoke_access()
    assert program.post() == 200
    assert world.statuses == [200, 401, 401, 200]
    assert world.refreshes == 1


def test_a_refresh_that_gives_the_refused_token_again_is_tried_and_handed_back(
    world: World,
) -> None:
    program = logged_in(world, age=60)
    issue, old = world.authorization.issue, program.stored.tokens.access_token.reveal()
    world.authorization.issue = lambda family: {**issue(family), "access_token": old}  # type: ignore[method-assign]
    world.authorization.revoke_access()
    assert program.post() == 401
    assert (world.bearers, world.refreshes) == ([old, old], 1)


def test_a_request_whose_new_token_was_refused_twice_is_handed_back(world: World) -> None:
    program = logged_in(world, age=60)
    world.authorization.refuses_fresh = True
    assert program.post() == 401
    assert world.statuses == [401, 401, 401]
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
