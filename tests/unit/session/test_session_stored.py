"""A stored credential is used where it is what the caller asked for."""

from __future__ import annotations

import pytest

from mcp_client_auth import (
    ClientMetadataDocument,
    LoginRequired,
    Options,
    PreRegistered,
)
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.secret import Secret
from tests.support.session_world import (
    ISSUER,
    OTHER,
    SERVER,
    Person,
    Program,
    World,
    credential,
    logged_in,
)

pytestmark = pytest.mark.usefixtures("here_and_now")


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


@pytest.mark.parametrize(
    ("pinned", "fits"), [(ISSUER, True), (ISSUER + "/", True), (OTHER, False), ("", True)]
)
def test_a_credential_of_another_issuer_than_the_pinned_one_is_not_used(
    world: World, pinned: str, fits: bool
) -> None:
    program = logged_in(world, arguments={"options": Options(issuer=pinned)})
    if fits:
        assert program.post() == 200
        return
    with pytest.raises(LoginRequired):
        program.post()
    assert program.storage.load(program.session.key) is not None


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


def test_whether_a_token_is_that_of_a_record_is_told_by_the_token(world: World) -> None:
    program = logged_in(world)
    assert program.post() == 200
    assert program.session.rests_on(program.stored)
    assert not program.session.rests_on(credential(world)), "of a login after a logout"
