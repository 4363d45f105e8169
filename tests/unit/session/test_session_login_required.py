"""Where no one can sign in, the error names the command to run."""

from __future__ import annotations

import pytest

from mcp_client_auth import (
    LoginRequired,
    Options,
    Unavailable,
)
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
