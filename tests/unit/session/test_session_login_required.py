"""Where no one can sign in, the error names the command to run."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pytest

from mcp_client_auth import (
    Credential,
    LoginRequired,
    Options,
    Unavailable,
)
from mcp_client_auth.protocol.challenge import Challenge
from mcp_client_auth.session.session import Session
from mcp_client_auth.session.single_flight import wait
from tests.support.session_world import (
    SERVER,
    TOKEN,
    Person,
    Program,
    World,
    document,
    logged_in,
)

pytestmark = pytest.mark.usefixtures("here_and_now")


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


@pytest.mark.parametrize("refused", [401, 403])
def test_a_request_that_may_ask_does_not_fail_with_one_that_may_not(
    world: World, refused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a program sends of itself asks no one, and is refused at the same moment."""
    person = Person(world)
    program = logged_in(world, person)
    sent = program.stored
    challenge = Challenge("bearer", {"error": "insufficient_scope", "scope": "write"})
    if refused == 401:
        program.storage.delete(sent.key)
    load, asking = program.storage.load, list[Future[Credential | None]]()

    def better(session: Session) -> Future[Credential | None]:
        return (
            session.after_401(None, None) if refused == 401 else session.after_403(sent, challenge)
        )

    def meanwhile(key: Any) -> Any:
        monkeypatch.undo()
        asking.append(better(program.session))
        return load(key)

    monkeypatch.setattr(program.storage, "load", meanwhile)
    with suppress(LoginRequired):
        wait(better(program.session.asking(None, None)))
    assert wait(asking[0])
    assert len(person.visits) == 1


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
    world.clock.go(66)
    assert program.post() == 200
    assert program.auth.last_error is None


def test_a_failed_step_up_as_response_hands_back_the_403(world: World) -> None:
    program = logged_in(world, arguments=AS_RESPONSE)
    assert program.post("write") == 403
    assert isinstance(program.auth.last_error, LoginRequired)
    assert program.post() == 200


AS_RESPONSE = {"on_failure": "response"}
