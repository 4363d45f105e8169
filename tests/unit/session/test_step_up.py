"""A 403 asks once for all the scopes that are needed, and never in a loop."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import httpx
import pytest

from mcp_client_auth import (
    AuthorizationDenied,
    InsufficientScope,
    LoginRequired,
    MemoryStorage,
)
from mcp_client_auth.session.single_flight import wait
from tests.support.session_world import (
    OTHER,
    SERVER,
    Person,
    Program,
    World,
    credential,
    logged_in,
)

pytestmark = pytest.mark.usefixtures("here_and_now")


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
    with pytest.raises(InsufficientScope) as caught:
        program.post("write")
    assert caught.value.requested == ("read",)
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


def test_a_denied_step_up_stops_another_for_a_while(world: World) -> None:
    person = Person(world, "deny")
    program = logged_in(world, person)
    with pytest.raises(AuthorizationDenied):
        program.post("write")
    person.decision = "allow"
    with pytest.raises(AuthorizationDenied):
        program.post("admin")
    world.clock.go(61)
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
